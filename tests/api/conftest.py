"""The API over real services and an embedded store, called in-process."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargepki.api.app import create_api
from chargepki.api.services import ApiServices
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench


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
    services = bench.services
    return ApiServices(
        ports=bench.ports,
        access=services.access,
        inventory=services.inventory,
        issuance=services.issuance,
        authorities=services.authorities,
        revocation=services.revocation,
        audit=services.audit,
        profiles=services.profiles,
        status=services.status,
    )


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_workbench(tmp_path) as bench:
        _, token = await bench.services.access.create_token(ADMIN, name="tests", scopes=frozenset({"*:*:*"}))
        services = api_services(bench)
        async with open_http(services, token) as http:
            yield Platform(bench, services, http, token)


@pytest.fixture
async def station(platform: Platform) -> str:
    answer = await platform.http.post("/stations", json={"id": "CS-17", "serial_number": "SN-0017", "operator": "demo-cpo"})
    assert answer.status_code == 201
    return "CS-17"


def make_csr(common_name: str = "SN-0017", key: ec.EllipticCurvePrivateKey | None = None) -> str:
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "demo-cpo"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


