"""What a command answered, where it spoke to, and CSRs for it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


Run = Callable[..., Said]


@dataclass(frozen=True)
class Served:
    url: str
    token_file: Path


def write_csr(path: Path, common_name: str = "SN-0017", curve: ec.EllipticCurve | None = None) -> Path:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "demo-cpo"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(ec.generate_private_key(curve or ec.SECP256R1()), hashes.SHA256())
    path.write_bytes(csr.public_bytes(serialization.Encoding.PEM))
    return path
