"""A small PKI for the listener's tests: roots, sub-CAs, an RSA and an ECDSA server, clients good and bad."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chargepki.adapters.listen.tls import ServerIdentity

PASSPHRASE = b"between the vault and OpenSSL"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    key: Key
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))

    def identity(self, *chain: "Issued") -> ServerIdentity:
        return ServerIdentity(self.pem + b"".join(issuer.pem for issuer in chain), self.key_pem, PASSPHRASE)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    is_ca: bool = False,
    key: Key | None = None,
    expired: bool = False,
    purpose: x509.ObjectIdentifier | None = None,
) -> Issued:
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    start, end = (now - timedelta(days=9), now - timedelta(days=1)) if expired else (now - timedelta(hours=1), now + timedelta(days=9))
    signer = issuer or Issued(own, None)  # type: ignore[arg-type]
    issuer_name = subject if issuer is None else issuer.certificate.subject
    builder = (
        x509.CertificateBuilder(issuer_name, subject, own.public_key(), x509.random_serial_number(), start, end)
        .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False)
    )
    if not is_ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    if purpose:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    return Issued(own, builder.sign(signer.key, hashes.SHA256()))


@dataclass(frozen=True)
class TestPki:
    __test__ = False

    root: Issued
    sub: Issued
    ecdsa_server: Issued
    rsa_server: Issued
    client: Issued  # no extended key usage, as OCPP stations have it
    rsa_client: Issued
    client_for_servers: Issued  # says serverAuth
    expired_client: Issued
    foreign_client: Issued

    @property
    def identities(self) -> tuple[ServerIdentity, ServerIdentity]:
        return self.ecdsa_server.identity(self.sub), self.rsa_server.identity(self.sub)

    @property
    def anchors(self) -> tuple[bytes, bytes]:
        return self.root.der, self.sub.der


@cache
def make_pki() -> TestPki:
    root = issue("root", is_ca=True)
    sub = issue("sub", root, is_ca=True)
    foreign_root = issue("foreign root", is_ca=True)
    return TestPki(
        root=root,
        sub=sub,
        ecdsa_server=issue("ecdsa server", sub),
        rsa_server=issue("rsa server", sub, key=rsa.generate_private_key(65537, 2048)),
        client=issue("SN-1", sub),
        rsa_client=issue("SN-2", sub, key=rsa.generate_private_key(65537, 2048)),
        client_for_servers=issue("SN-3", sub, purpose=ExtendedKeyUsageOID.SERVER_AUTH),
        expired_client=issue("SN-4", sub, expired=True),
        foreign_client=issue("SN-5", foreign_root),
    )
