"""The API over real services, called in-process; and CSRs to send it."""

from dataclasses import dataclass

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargepki import app
from chargepki.api.app import create_api
from chargepki.api.services import ApiServices
from chargepki.testing.workbench import Workbench


@dataclass(frozen=True)
class Platform:
    bench: Workbench
    services: ApiServices
    http: httpx.AsyncClient
    token: str

    def speaking_as(self, token: str) -> httpx.AsyncClient:
        return open_http(self.services, token)


def open_http(services: ApiServices, token: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_api(services), raise_app_exceptions=False, client=("192.0.2.7", 4711))
    return httpx.AsyncClient(transport=transport, base_url="https://pki.test/api/v1", headers={"Authorization": f"Bearer {token}"})


def api_services(bench: Workbench) -> ApiServices:
    return app.api_services(bench.ports, bench.services)


def make_csr(common_name: str = "SN-0017", key: ec.EllipticCurvePrivateKey | None = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "demo-cpo"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()
