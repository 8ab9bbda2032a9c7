"""What the status tests ask of a workbench: certificates to ask about, and requests that ask."""

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from chargepki.core import oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import AuthorityId, Certificate, ProfileId
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN, Workbench

SUB = AuthorityId("operator-sub")
ROOT = AuthorityId("operator-root")
_HASHES = {oids.SHA1: hashes.SHA1(), oids.SHA256: hashes.SHA256(), oids.SHA384: hashes.SHA384(), oids.SHA512: hashes.SHA512()}


def at_real_time(bench: Workbench) -> Workbench:
    """Moves the standing clock to now: judges like OpenSSL look at the machine's own."""
    bench.clock.set(datetime.now(UTC))
    return bench


async def issue(bench: Workbench, host: str = "csms.example.org", *, issuer: AuthorityId = SUB) -> Certificate:
    spec = KeySpec.RSA2048 if "rsa" in issuer else KeySpec.P256
    order = CertificateOrder(ProfileId("backend/tls-server"), key_spec=spec, host=host, issuer=issuer)
    return (await bench.services.issuance.request(ADMIN, order)).certificate


async def request_for(bench: Workbench, certificate: Certificate, *, hash: str = oids.SHA256, nonce: bytes | None = None) -> bytes:
    view = await bench.services.authorities.view(certificate.issuer)
    return request_of(certificate.der, view.certificate_der, hash=hash, nonce=nonce)


def request_of(subject: bytes, issuer: bytes, *, hash: str = oids.SHA256, nonce: bytes | None = None) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(subject), x509.load_der_x509_certificate(issuer), _HASHES[hash]
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


async def ask(bench: Workbench, certificate: Certificate, *, nonce: bytes | None = None) -> ocsp.OCSPResponse:
    answer = await bench.services.status.answer(await request_for(bench, certificate, nonce=nonce))
    return ocsp.load_der_ocsp_response(answer.der)


async def ask_status(bench: Workbench, certificate: Certificate, *, nonce: bytes | None = None) -> str:
    return (await ask(bench, certificate, nonce=nonce)).certificate_status.name
