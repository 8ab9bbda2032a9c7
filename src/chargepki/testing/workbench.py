"""All services of one node over an embedded store, without a server: for tests and experiments."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.store import open_store
from chargepki.app import Services, Settings, compose
from chargepki.core.access.decide import SYSTEM, Actor, ActorKind
from chargepki.errors import ChargePkiError
from chargepki.ports import Event, Ports
from chargepki.services.audit import Caller
from chargepki.services.authorities import StatusUrls
from chargepki.services.server_certificates import ServerNames
from chargepki.testing.clock import FixedClock
from chargepki.testing.vault import MemoryVault

ADMIN: Final = Caller(Actor("token:admin", ActorKind.MACHINE, "administrator", frozenset({"*:*:*"})), door="test")


@dataclass(frozen=True, slots=True)
class Workbench:
    ports: Ports
    services: Services
    clock: FixedClock

    @property
    def system(self) -> Caller:
        return Caller(SYSTEM, door="test")

    def caller(self, actor: Actor) -> Caller:
        return Caller(actor, door="test")


@asynccontextmanager
async def open_workbench(directory: Path, *, url: str = "", organization: str = "demo-cpo") -> AsyncIterator[Workbench]:
    """A workbench with the development hierarchies. `url` names another store than the embedded one in `directory`."""
    store = open_store(url or f"sqlite:///{directory / 'chargepki.db'}")
    clock = FixedClock()
    ports = Ports(store, MemoryVault(), clock, SystemEntropy(), LocalNotifier(_fail))
    settings = Settings(organization, lambda: StatusUrls("http://127.0.0.1:8080"), ServerNames(("localhost",), ("127.0.0.1",)))
    services = compose(ports, settings)
    try:
        await services.authorities.bootstrap(organization)
        yield Workbench(ports, services, clock)
    finally:
        await store.close()


def _fail(event: Event, error: ChargePkiError) -> None:
    raise AssertionError(f"a listener failed on {event}") from error
