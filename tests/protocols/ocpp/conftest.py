"""A running OCPP endpoint: the real services over SQLite, the real TLS listener, on a free port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from chargepki.adapters.listen.server import Listener, ListenerBounds
from chargepki.adapters.listen.tls import ClientAuth, LiveTls, ServerIdentity
from chargepki.core.algorithms import KeySpec
from chargepki.core.bundle import OcppVersion
from chargepki.core.pem import encode_pem
from chargepki.core.records import AuditEntry, Certificate, CertificateQuery, ProfileId, SecurityEvent, StationId
from chargepki.protocols.ocpp.gateway import Gateway
from chargepki.protocols.ocpp.server import OcppApp, create_ocpp_app
from chargepki.protocols.ocpp.services import OcppServices, OcppSettings
from chargepki.protocols.ocpp.wire import FRAME_OCTETS_MAX
from chargepki.services.server_certificates import ServerCertificate, ServerCertificates, ServerNames
from chargepki.testing.station.simulator import Habits, StationSimulator
from chargepki.testing.workbench import ADMIN, Workbench

FAST = OcppSettings(
    response_seconds=3.0,
    courtesy_seconds=1.0,
    settle_seconds=0.3,
    review_seconds=60.0,
    recheck_seconds=30.0,
    renew_before=timedelta(days=30),
)
SERVER = ProfileId("ocpp/csms-server")


@dataclass
class Endpoint:
    bench: Workbench
    app: OcppApp
    listener: Listener
    roots_pem: str

    @property
    def url(self) -> str:
        return f"wss://127.0.0.1:{self.listener.port}/ocpp"

    @property
    def gateway(self) -> Gateway:
        return self.app.gateway

    async def add_station(self, id: str = "CS-17", *, include_root: bool = False) -> str:
        """Its Basic password."""
        inventory = self.bench.services.inventory
        await inventory.add_station(ADMIN, id=id, serial_number=f"SN-{id}", operator="demo-cpo", include_root=include_root)
        return await inventory.set_password(ADMIN, StationId(id))

    def simulator(self, id: str = "CS-17", version: OcppVersion = OcppVersion.V201, habits: Habits | None = None) -> StationSimulator:
        return StationSimulator(id, self.url, self.roots_pem, serial_number=f"SN-{id}", version=version, habits=habits)

    async def security_events(self, id: str = "CS-17") -> list[SecurityEvent]:
        page = await self.bench.services.inventory.list_security_events(ADMIN, StationId(id))
        return list(reversed(page.items))

    async def event_types(self, id: str = "CS-17") -> list[str]:
        return [event.type for event in await self.security_events(id)]

    async def certificates(self, id: str = "CS-17", state: str = "") -> tuple[Certificate, ...]:
        query = CertificateQuery(station=StationId(id), state=state)
        return (await self.bench.services.issuance.list(ADMIN, query)).items

    async def refusals(self) -> list[AuditEntry]:
        return list((await self.bench.ports.store.list_audit(outcome="refused")).items)


@pytest.fixture
def settings() -> OcppSettings:
    """Override in a module to run the endpoint with others."""
    return FAST


@pytest.fixture
async def endpoint(bench: Workbench, settings: OcppSettings) -> AsyncIterator[Endpoint]:
    bench.clock.set(datetime.now(UTC))  # TLS looks at the machine's clock
    services, ports = bench.services, bench.ports
    own = ServerCertificates(ports, services.issuance, ServerNames(("csms.demo.example",), ("127.0.0.1",)))
    identities = [await own.ensure(SERVER, spec) for spec in (KeySpec.P256, KeySpec.RSA2048)]
    views = await services.authorities.views()
    tls = LiveTls(
        [_identity(each) for each in identities], client_auth=ClientAuth.OPTIONAL, client_anchors=[v.certificate_der for v in views]
    )
    roots = "".join(encode_pem("CERTIFICATE", view.certificate_der) for view in views if view.authority.parent is None)
    app = create_ocpp_app(
        OcppServices(
            services.admission,
            services.inventory,
            services.issuance,
            services.revocation,
            ports.notifier,
            ports.clock,
            ports.entropy,
            settings,
            lambda: f"wss://127.0.0.1:{listener.port}/ocpp",
        )
    )
    bounds = ListenerBounds(message_octets_max=FRAME_OCTETS_MAX)
    listener = Listener(
        app,
        "127.0.0.1",
        0,
        tls=tls,
        on_handshake_refused=services.admission.refuse_handshake,
        has_websockets=True,
        bounds=bounds,
    )
    await listener.start()
    try:
        yield Endpoint(bench, app, listener, roots)
    finally:
        await listener.stop(1.0)


def _identity(server: ServerCertificate) -> ServerIdentity:
    chain = "".join(encode_pem("CERTIFICATE", der) for der in server.chain[:-1])
    return ServerIdentity(chain.encode(), server.key_pem, server.passphrase)


def with_settings(**changes: object) -> OcppSettings:
    return replace(FAST, **changes)  # type: ignore[arg-type]


async def wait_until(condition: Callable[[], Awaitable[bool]]) -> None:
    """What follows a message a moment later."""
    async with asyncio.timeout(5):
        while not await condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)
