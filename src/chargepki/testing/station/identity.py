"""A station's keys and certificates: makes CSRs, judges the chains it is sent, gives TLS what it needs."""

import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from chargepki.errors import Refused

CHAIN_CERTIFICATES_MAX: Final = 6

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# What OCPP A00.FR.318 lets a station choose between, and forward secrecy for RSA where the server has it.
_CIPHERS: Final = {
    "ec": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384",
    "rsa": "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384",
}


class KeyKind(StrEnum):
    EC = "ec"  # P-256
    RSA = "rsa"  # 2048


@dataclass(frozen=True, slots=True)
class StationCertificate:
    """An installed certificate with its key. `chain`: the leaf and what came with it, in the order it came."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        return self.chain[0]


def generate_key(kind: KeyKind) -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1()) if kind is KeyKind.EC else rsa.generate_private_key(65537, 2048)


def assemble_csr(key: PrivateKey, *, serial_number: str, organization: str) -> str:
    """PKCS#10, PEM: O = the operator, CN = the serial number (OCPP A00.FR.509, FR.511)."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    name = x509.Name([*subject, x509.NameAttribute(NameOID.COMMON_NAME, serial_number)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def check_chain(
    pem: str, key: PrivateKey, *, serial_number: str, organization: str, roots: tuple[x509.Certificate, ...], needs_root: bool = False
) -> StationCertificate:
    """What a careful station checks before it says Accepted (OCPP A02.FR.13 and, in 1.6, A02.FR.07). `Refused` says which check failed."""
    try:
        chain = tuple(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        raise _bad("pem", "the chain is not PEM") from None
    if len(chain) > CHAIN_CERTIFICATES_MAX:
        raise _bad("length", f"the chain has {len(chain)} certificates")
    _check_leaf(chain[0], key, serial_number, organization)
    _check_path(chain, roots)
    if needs_root and chain[-1] not in roots:
        raise _bad("root", "the chain ends without its root")
    return StationCertificate(key, chain)


def client_context(roots_pem: str, certificate: StationCertificate | None, *, server_kind: KeyKind | None = None) -> ssl.SSLContext:
    """TLS as OCPP asks it of a station: 1.2 or newer, its name checked. `server_kind` narrows to one kind of server key, in TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=roots_pem)
    if server_kind is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # TLS 1.3 suites do not name a key
        context.set_ciphers(_CIPHERS[server_kind])
    if certificate is not None:
        _load(context, certificate)
    return context


def save(certificate: StationCertificate, directory: Path) -> None:
    """`station.key` (mode 0600) and `station.chain.pem`; makes the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    key, chain = _spell(certificate)
    path = directory / "station.key"
    path.touch(mode=0o600)
    path.write_bytes(key)
    (directory / "station.chain.pem").write_bytes(chain)


def load(directory: Path) -> StationCertificate | None:
    """What `save` left; None when there is nothing."""
    if not (directory / "station.key").exists():
        return None
    key = serialization.load_pem_private_key((directory / "station.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise _bad("key", "station.key is neither ECDSA nor RSA")
    return StationCertificate(key, tuple(x509.load_pem_x509_certificates((directory / "station.chain.pem").read_bytes())))


def _check_leaf(leaf: x509.Certificate, key: PrivateKey, serial_number: str, organization: str) -> None:
    if leaf.public_key() != key.public_key():
        raise _bad("key", "the certificate is for another key")
    if _attribute(leaf, NameOID.COMMON_NAME) != serial_number:  # A00.FR.511
        raise _bad("cn", "the CN is not this station's serial number")
    if organization and _attribute(leaf, NameOID.ORGANIZATION_NAME) != organization:  # A00.FR.509
        raise _bad("o", "the O is not this station's operator")
    if not leaf.not_valid_before_utc <= datetime.now(UTC) <= leaf.not_valid_after_utc:  # A02.FR.06, errata 2025-01
        raise _bad("validity", "the certificate is not valid now")


def _check_path(chain: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...]) -> None:
    last = chain[-1]
    for subject, issuer in pairwise(chain):
        _check_issued(subject, issuer)
    root = next((root for root in roots if root.subject == last.issuer), None)
    if root is None:
        raise _bad("path", "the chain does not lead to a trusted root")
    _check_issued(last, root)


def _check_issued(subject: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        raise _bad("path", f"{subject.subject.rfc4514_string()} was not issued by the next certificate") from None


def _attribute(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    values = certificate.subject.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else ""


def _load(context: ssl.SSLContext, certificate: StationCertificate) -> None:
    with tempfile.TemporaryDirectory() as directory:
        save(certificate, Path(directory))
        context.load_cert_chain(Path(directory) / "station.chain.pem", Path(directory) / "station.key")


def _spell(certificate: StationCertificate) -> tuple[bytes, bytes]:
    encoding = serialization.Encoding.PEM
    key = certificate.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key, b"".join(each.public_bytes(encoding) for each in certificate.chain)


def _bad(slug: str, message: str) -> Refused:
    return Refused.because(f"station.chain.{slug}", message)
