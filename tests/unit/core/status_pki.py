"""A small PKI made by `cryptography` alone, so that the code under test is judged against a stranger."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chargepki.core.algorithms import (
    DEFAULT_SIGNATURE,
    KeySpec,
    PrivateKey,
    SignatureAlgorithm,
    generate_private_key,
    sign,
    spki_of,
)

NOW = datetime.now(UTC).replace(microsecond=0)
_DIGESTS = {KeySpec.P384: hashes.SHA384(), KeySpec.P521: hashes.SHA512()}


@dataclass
class Party:
    """A certificate with its key."""

    key: PrivateKey
    spec: KeySpec
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def name(self) -> bytes:
        return self.certificate.subject.public_bytes()

    @property
    def spki(self) -> bytes:
        return spki_of(self.key.public_key())

    @property
    def key_id(self) -> bytes:
        return self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest

    @property
    def signature(self) -> SignatureAlgorithm:
        return SignatureAlgorithm.RSA_SHA256 if self.spec is KeySpec.RSA2048 else DEFAULT_SIGNATURE[self.spec]

    def sign(self, data: bytes) -> bytes:
        return sign(self.key, self.signature, data)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return path


@dataclass
class SmallPki:
    """A CA, its delegated responder, and as many leaves as a test wants."""

    spec: KeySpec = KeySpec.P256
    ca: Party = field(init=False)
    responder: Party = field(init=False)

    def __post_init__(self) -> None:
        self.ca = self._issue("status CA", None, 1, is_ca=True)
        self.responder = self._issue("responder", self.ca, 2, is_responder=True)

    def leaf(self, serial: int) -> Party:
        return self._issue(f"leaf {serial}", self.ca, serial)

    def _issue(self, cn: str, issuer: Party | None, serial: int, *, is_ca: bool = False, is_responder: bool = False) -> Party:
        key = generate_private_key(self.spec)
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ChargePKI test"), x509.NameAttribute(NameOID.COMMON_NAME, cn)])
        signer = key if issuer is None else issuer.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if issuer is None else issuer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(NOW - timedelta(hours=1))
            .not_valid_after(NOW + timedelta(days=30))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .add_extension(_usage(is_ca), critical=True)
        )
        if is_responder:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        digest = None if self.spec in _BARE else _DIGESTS.get(self.spec, hashes.SHA256())
        return Party(key, self.spec, builder.sign(signer, digest))


_BARE = {KeySpec.ED25519, KeySpec.ED448, KeySpec.MLDSA44, KeySpec.MLDSA65, KeySpec.MLDSA87}


def _usage(is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
