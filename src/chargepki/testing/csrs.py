"""Certification requests by the thousand, each with a key of its own."""

from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def make_csrs(count: int) -> Iterator[str]:
    """PEM requests for P-256 keys. The names in them are ignored by the platform, so all of them say the same."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ignored")]))
    curve, digest = ec.SECP256R1(), hashes.SHA256()
    for _ in range(count):
        request = builder.sign(ec.generate_private_key(curve), digest)
        yield request.public_bytes(serialization.Encoding.PEM).decode("ascii")
