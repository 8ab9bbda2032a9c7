"""Who may open a connection, and what those hear who may not."""

import base64
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from chargepki.core.records import SecurityProfile, StationId, StationState
from chargepki.protocols.ocpp.server import FAILURES_PER_MINUTE_MAX
from chargepki.testing.station.identity import StationCertificate
from chargepki.testing.station.link import HandshakeFailed, UpgradeRefused
from chargepki.testing.workbench import ADMIN

from .conftest import Endpoint, wait_until


def tls_of(endpoint: Endpoint) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=endpoint.roots_pem)


async def refused_status(endpoint: Endpoint, station: str, password: str) -> int:
    async with endpoint.simulator(station) as simulator:
        with pytest.raises(UpgradeRefused) as refused:
            await simulator.connect_basic(password)
    return refused.value.status


@pytest.mark.clause("OCPP A00.FR.301", "OCPP A00.FR.302")
async def test_a_wrong_password_is_refused_and_recorded(endpoint: Endpoint) -> None:
    await endpoint.add_station()
    assert await refused_status(endpoint, "CS-17", "0" * 40) == 401
    [entry] = await endpoint.refusals()
    assert (entry.actor, entry.object) == ("station:CS-17", "station:CS-17")
    assert b"admission.password" in entry.body


async def test_an_unknown_station_hears_the_same_as_one_with_a_wrong_password(endpoint: Endpoint) -> None:
    assert await refused_status(endpoint, "NOBODY", "0" * 40) == 401


@pytest.mark.clause("OCPP A00.FR.303")
async def test_the_password_of_one_station_opens_no_other(endpoint: Endpoint) -> None:
    password = await endpoint.add_station("CS-1")
    await endpoint.add_station("CS-2")
    credentials = base64.b64encode(f"CS-1:{password}".encode()).decode()
    async with httpx.AsyncClient(verify=tls_of(endpoint), trust_env=False) as client:
        answer = await _upgrade(client, endpoint, "/ocpp/CS-2", {"authorization": f"Basic {credentials}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *((path, 404) for path in ("/", "/ocpp", "/ocpp/", "/ocpp/a/b", "/ocpp/%00", "/ocpp/%FF", "/ocpp/" + "x" * 49)),
        *((path, 401) for path in ("/ocpp/CS-17", "/ocpp/%43S-17", "/ocpp/RDAM%7C123")),
    ],
)
@pytest.mark.clause("OCPP 2.1 part 4, 3.1.1")
async def test_paths_without_credentials(endpoint: Endpoint, path: str, status: int) -> None:
    async with httpx.AsyncClient(verify=tls_of(endpoint), trust_env=False) as client:
        answer = await _upgrade(client, endpoint, path, {})
    assert answer.status_code == status
    assert answer.text == f"{status}\n"


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Bearer abc", "Basic " + "A" * 600, "Basic " + base64.b64encode(b"\xff:\xff").decode()]
)
async def test_credentials_that_are_none(endpoint: Endpoint, header: str) -> None:
    await endpoint.add_station()
    async with httpx.AsyncClient(verify=tls_of(endpoint), trust_env=False) as client:
        assert (await _upgrade(client, endpoint, "/ocpp/CS-17", {"authorization": header})).status_code == 401


@pytest.mark.clause("OCPP 1.6 security whitepaper A00.FR.304")
async def test_a_station_may_send_the_octets_that_its_hex_password_stands_for(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    credentials = base64.b64encode(b"CS-17:" + bytes.fromhex(password)).decode()
    headers = {"Authorization": f"Basic {credentials}"}
    async with connect(
        f"{endpoint.url}/CS-17", ssl=tls_of(endpoint), additional_headers=headers, subprotocols=[Subprotocol("ocpp1.6")], proxy=None
    ) as socket:
        assert socket.subprotocol == "ocpp1.6"


async def test_guessing_is_slowed_down(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    statuses = [await refused_status(endpoint, "CS-17", "0" * 40) for _ in range(FAILURES_PER_MINUTE_MAX)]
    assert set(statuses) == {401}
    assert await refused_status(endpoint, "CS-17", password) == 429


async def test_plain_http_is_told_to_upgrade(endpoint: Endpoint) -> None:
    async with httpx.AsyncClient(verify=tls_of(endpoint), trust_env=False) as client:
        answer = await client.get(endpoint.url.replace("wss", "https") + "/CS-17")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")


@pytest.mark.parametrize("offered", [[], ["ocpp1.5", "ocpp2.0"]])
@pytest.mark.clause("OCPP 2.1 part 4, 3.3")
async def test_without_a_common_version_the_connection_opens_without_one_and_closes(endpoint: Endpoint, offered: list[str]) -> None:
    password = await endpoint.add_station()
    headers = {"Authorization": "Basic " + base64.b64encode(f"CS-17:{password}".encode()).decode()}
    protocols = [Subprotocol(name) for name in offered] or None
    async with connect(
        f"{endpoint.url}/CS-17", ssl=tls_of(endpoint), additional_headers=headers, subprotocols=protocols, proxy=None
    ) as socket:
        assert socket.subprotocol is None
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1002


@pytest.mark.clause("OCPP A00.FR.403", "OCPP A00.FR.407", "OCPP A00.FR.408")
async def test_a_certificate_of_another_ca_fails_the_handshake_and_is_recorded(endpoint: Endpoint) -> None:
    await endpoint.add_station()
    async with endpoint.simulator() as station:
        with pytest.raises(HandshakeFailed):
            await station.connect_mutual_tls(_foreign_certificate("SN-CS-17", "demo-cpo"))
    await wait_until(partial(has_refusal, endpoint))
    [entry] = await endpoint.refusals()
    assert b"admission.handshake" in entry.body
    assert "SN-CS-17" in entry.object


@pytest.mark.clause("OCPP A00.FR.405")
async def test_the_certificate_of_one_station_opens_no_other(endpoint: Endpoint) -> None:
    certificate = await _enrol(endpoint, "CS-1")
    await endpoint.add_station("CS-2")
    async with endpoint.simulator("CS-2") as station:
        with pytest.raises(UpgradeRefused) as refused:
            await station.connect_mutual_tls(certificate)
    assert refused.value.status == 403
    assert any(b"admission.certificate.station" in entry.body for entry in await endpoint.refusals())


async def test_a_suspended_station_is_cut_off_and_stays_out(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator() as station:
        await station.connect_basic(password)
        await endpoint.bench.services.inventory.update_station(ADMIN, StationId("CS-17"), state=StationState.SUSPENDED)
        assert (await station.wait_closed(1.0)).code == 1008
        with pytest.raises(UpgradeRefused) as refused:
            await station.connect_basic(password)
    assert refused.value.status == 403


@pytest.mark.clause("OCPP A00.FR.002")
async def test_a_station_on_a_lower_profile_than_it_must_use_is_cut_off(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator() as station:
        await station.connect_basic(password)
        profile = SecurityProfile.MUTUAL_TLS
        await endpoint.bench.services.inventory.update_station(ADMIN, StationId("CS-17"), security_profile=profile)
        assert (await station.wait_closed(1.0)).code == 1008


async def has_refusal(endpoint: Endpoint) -> bool:
    return bool(await endpoint.refusals())


async def _enrol(endpoint: Endpoint, id: str) -> StationCertificate:
    password = await endpoint.add_station(id)
    async with endpoint.simulator(id) as station:
        await station.connect_basic(password)
        await station.boot()
        return await station.wait_for_certificate()


async def _upgrade(client: httpx.AsyncClient, endpoint: Endpoint, path: str, headers: dict[str, str]) -> httpx.Response:
    handshake = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    key = {"sec-websocket-key": base64.b64encode(b"0123456789abcdef").decode(), "sec-websocket-protocol": "ocpp2.0.1"}
    return await client.get(f"https://127.0.0.1:{endpoint.listener.port}{path}", headers={**handshake, **key, **headers})


def _foreign_certificate(serial_number: str, organization: str) -> StationCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization), x509.NameAttribute(NameOID.COMMON_NAME, serial_number)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(9)).sign(key, hashes.SHA256())
    return StationCertificate(key, (certificate,))
