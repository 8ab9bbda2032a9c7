"""The whole story on the platform as a user starts it, on both stores: over a restart, an interrupted first start, and an outage."""

import asyncio
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from tests.postgres_server import PostgresServer

from chargepki.client.client import Client
from chargepki.errors import StoreUnavailable
from chargepki.testing.server import ServerProcess, running_server
from chargepki.testing.station.link import ConnectionEnded, HandshakeFailed, UpgradeRefused
from chargepki.testing.station.simulator import StationSimulator

ID, SERIAL, OPERATOR = "CS-17", "SN-0017", "demo-cpo"
FOLLOW_SECONDS = 5.0  # from a revocation to the closed connection, OCSP and the CRL
AUTHORITIES = ["manufacturer-root", "manufacturer-sub", "operator-root", "operator-rsa-root", "operator-rsa-sub", "operator-sub"]


@pytest.fixture(params=["sqlite", "postgres"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    if request.param == "postgres":
        use_postgres(directory, request.getfixturevalue("postgres_url"))
    return directory


def use_postgres(data: Path, url: str) -> None:
    (data / "config.toml").write_text(f'[store]\ntype = "postgres"\ndsn = "{url}"\n')


@asynccontextmanager
async def simulated_station(server: ServerProcess, home: Path) -> AsyncIterator[StationSimulator]:
    """The same station again and again: `home` keeps its key and chain."""
    async with StationSimulator(ID, server.ocpp, server.operator_roots_pem(), serial_number=SERIAL, directory=home) as station:
        yield station


@pytest.mark.clause("OCPP A00.FR.703", "OCPP A02", "OCPP A05.FR.07", "RFC 5280 5", "RFC 6960 2.2")
async def test_a_station_goes_from_password_to_mutual_tls_over_a_restart_and_is_shut_out(data: Path, tmp_path: Path) -> None:
    home = tmp_path / "station"
    home.mkdir()
    async with running_server(data) as server, server.client() as client, simulated_station(server, home) as station:
        password = await enrol(client, station)
        await station.disconnect()
        await station.connect_mutual_tls()
        await station.boot()
        assert [(s.station, s.security_profile) for s in await client.stations.sessions()] == [(ID, "3")]
        assert await server.stop() == 0, server.log()
        assert (await station.wait_closed(FOLLOW_SECONDS)).code == 1001

    async with running_server(data) as server, server.client() as client, simulated_station(server, home) as station:
        assert sorted(authority.id for authority in await client.authorities.list()) == AUTHORITIES
        with pytest.raises(UpgradeRefused, match=r"401|403"):
            await station.connect_basic(password)
        await station.connect_mutual_tls()
        await station.boot()
        await revoke_and_see_it_follow(server, client, station)


async def enrol(client: Client, station: StationSimulator) -> str:
    await client.stations.add(id=ID, serial_number=SERIAL, operator=OPERATOR)
    password = (await client.stations.set_password(ID)).password
    await station.connect_basic(password)
    await station.boot()
    leaf = (await station.wait_for_certificate()).leaf
    assert leaf.subject == x509.Name(
        [x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, OPERATOR), x509.NameAttribute(x509.NameOID.COMMON_NAME, SERIAL)]
    )
    return password


async def revoke_and_see_it_follow(server: ServerProcess, client: Client, station: StationSimulator) -> None:
    assert station.certificate is not None
    certificate = await anext(client.certificates.list(station=ID))
    leaf, issuer = x509.load_pem_x509_certificates(await client.certificates.chain(certificate.id))
    assert leaf == station.certificate.leaf
    assert await ask_ocsp(server, leaf, issuer) == "GOOD"
    revoked_at = time.monotonic()
    await client.certificates.revoke(certificate.id, reason="keyCompromise")
    assert (await station.wait_closed(FOLLOW_SECONDS)).code == 1008
    assert await ask_ocsp(server, leaf, issuer) == "REVOKED"
    await wait_for_crl_entry(server, certificate.issuer, leaf.serial_number)
    assert time.monotonic() - revoked_at < FOLLOW_SECONDS
    with pytest.raises((UpgradeRefused, ConnectionEnded, HandshakeFailed)):
        await station.connect_mutual_tls()
    refused = await anext(client.audit_entries.list(object=f"station:{ID}", outcome="refused"))
    assert refused.body["findings"][0]["code"] == "admission.certificate.revoked"


async def ask_ocsp(server: ServerProcess, leaf: x509.Certificate, issuer: x509.Certificate) -> str:
    """The certificate's status, or the response status of an answer that has none."""
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
    headers = {"content-type": "application/ocsp-request"}
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{server.status}/ocsp", content=request.public_bytes(serialization.Encoding.DER), headers=headers)
    response = ocsp.load_der_ocsp_response(answer.content)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return response.response_status.name
    return response.certificate_status.name


async def wait_for_crl_entry(server: ServerProcess, issuer: str, serial: int) -> None:
    async with asyncio.timeout(FOLLOW_SECONDS), httpx.AsyncClient() as http:
        while True:
            crl = x509.load_der_x509_crl((await http.get(f"{server.status}/crl/{issuer}.crl")).content)
            if crl.get_revoked_certificate_by_serial_number(serial) is not None:
                return
            await asyncio.sleep(0.05)


# ------------------------------------------------------------------------------------------------------------------- first start


async def test_a_first_start_that_is_killed_again_and_again_is_finished_by_the_next(data: Path) -> None:
    keys = data / "keys"

    def has_keys(count: int) -> Callable[[], bool]:
        return lambda: len(list(keys.glob("*.key"))) >= count

    moments = [keys.is_dir, (keys / "vault.json").exists, *(has_keys(count) for count in (1, 2, 4, 6)), (data / "admin.token").exists]
    for moment in moments:
        await start_and_kill(data, moment)
    async with running_server(data) as server, server.client() as client:
        assert sorted(authority.id for authority in await client.authorities.list()) == AUTHORITIES
        assert [g.role for g in (await client.tokens.whoami()).grants] == ["developer"]
        issued = await client.certificates.order(profile="backend/tls-server", key_spec="ec-p256", host="csms.example.org")
        assert issued.certificate.state == "valid"
        assert not [intent async for intent in client.intents.list()]
    assert (data / "admin.token").stat().st_mode & 0o777 == 0o600


async def start_and_kill(data: Path, moment: Callable[[], bool]) -> None:
    """Starts the platform and ends it with SIGKILL as soon as `moment` has come."""
    ports = [f"--{name}-port=0" for name in ("api", "ocpp", "status", "metrics")]
    command = [sys.executable, "-m", "chargepki", "up", "--data", str(data), *ports]
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=silent, stdout=silent, stderr=silent, env=dict(os.environ))
    async with asyncio.timeout(60):
        while not moment():  # another process
            assert process.returncode is None, "the start ended by itself"
            await asyncio.sleep(0.005)
    process.kill()
    await process.wait()


# ------------------------------------------------------------------------------------------------------------------------ outage


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    name = postgres_server.create_database()
    yield name
    postgres_server.drop_database(name)


@contextmanager
def outage(postgres: PostgresServer, database: str) -> Iterator[None]:
    """For the length of the block nobody reaches the database."""
    postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
    try:
        yield
    finally:
        postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")


async def test_an_outage_of_the_database_is_told_half_issues_nothing_and_ends_by_itself(
    tmp_path: Path, postgres_server: PostgresServer, database: str
) -> None:
    use_postgres(tmp_path, postgres_server.url(database))
    order = {"profile": "backend/tls-server", "key_spec": "ec-p256", "host": "csms.example.org"}
    async with running_server(tmp_path) as server, server.client() as client:
        known = await order_and_load(client, "known.example.org")
        fresh = await order_and_load(client, "fresh.example.org")
        assert await ask_ocsp(server, *known) == "GOOD"
        before = [certificate.id async for certificate in client.certificates.list()]
        with outage(postgres_server, database):
            problem = await post_order(server, order)
            assert (problem.status_code, problem.json()["type"]) == (503, "urn:chargepki:problem:store-unavailable")
            with pytest.raises(StoreUnavailable):
                await client.stations.add(id=ID, serial_number=SERIAL, operator=OPERATOR)
            assert await ask_ocsp(server, *known) == "GOOD"  # from memory
            assert await ask_ocsp(server, *fresh) == "TRY_LATER"  # RFC 6960 2.3
            async with httpx.AsyncClient() as http:
                assert (await http.get(f"{server.metrics}/readyz")).status_code == 503
        assert (await post_order(server, order)).status_code == 201
        assert await ask_ocsp(server, *fresh) == "GOOD"
        assert len([certificate.id async for certificate in client.certificates.list()]) == len(before) + 1
        assert not [station async for station in client.stations.list()]


async def order_and_load(client: Client, host: str) -> tuple[x509.Certificate, x509.Certificate]:
    issued = await client.certificates.order(profile="backend/tls-server", key_spec="ec-p256", host=host)
    leaf, issuer = x509.load_pem_x509_certificates(issued.chain.encode())
    return leaf, issuer


async def post_order(server: ServerProcess, order: dict[str, str]) -> httpx.Response:
    tls = ssl.create_default_context(cafile=server.ca_file)
    async with httpx.AsyncClient(verify=tls, timeout=30) as http:
        headers = {"authorization": f"Bearer {server.admin_token}"}
        return await http.post(f"{server.api}/api/v1/certificates", json=order, headers=headers)
