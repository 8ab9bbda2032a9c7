"""All services of one node over an embedded store, without a server: for tests and experiments."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.secret_box import FileSecretBox
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.store import open_store
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.app import Services, Settings, compose
from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import EVERYWHERE, Actor, ActorKind, Assurance, Grant, Policy, Role, Scope
from chargepki.core.access.policy import DEVELOPMENT
from chargepki.core.records import (
    PLATFORM_PARTY,
    Account,
    GrantId,
    GrantRecord,
    GrantState,
    Machine,
    MachineId,
    MachineState,
    PartyId,
    Person,
    PersonId,
    PersonState,
)
from chargepki.errors import ChargePkiError, Conflict
from chargepki.ports import AddGrant, AddMachine, AddPerson, Event, Ports
from chargepki.services.audit import Caller
from chargepki.services.authorities import StatusUrls
from chargepki.services.server_certificates import ServerNames
from chargepki.testing.clock import FixedClock
from chargepki.testing.vault import MemoryVault

_ADMIN: Final = MachineId("mch_admin")
ADMIN: Final = Caller(Actor(f"machine:{_ADMIN}", ActorKind.MACHINE, (Grant("grt_admin", Role.DEVELOPER),)), door="test")


def limited(name: str, permissions: Iterable[str]) -> Actor:
    """A machine that may do this and nothing else."""
    return Actor(f"machine:mch_{name}", ActorKind.MACHINE, (Grant(f"grt_{name}", Role.DEVELOPER, narrowed_to=frozenset(permissions)),))


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

    async def person(self, name: str, *roles: Role, party: str = "", scope: Scope = EVERYWHERE) -> Caller:
        """A registered person with these roles, signed in with two factors: what invitations and grants lead to."""
        id, now = PersonId(f"per_{name}"), self.clock.now()
        person = Person(id, name, PartyId(party), PersonState.ACTIVE, now)
        records = [self._grant(f"person:{id}", f"grt_{name}_{role}", role, scope) for role in roles]
        await self.ports.store.commit(AddPerson(person, Account(id)), *map(AddGrant, records))
        return self.caller(await self.services.actors.of_person(id, assurance=Assurance.MFA))

    async def machine(self, name: str, role: Role, *, party: str = "", scope: Scope = EVERYWHERE) -> Caller:
        """A registered machine with its one role, signed in with its certificate."""
        id = MachineId(f"mch_{name}")
        machine = Machine(id, name, PartyId(party), MachineState.ACTIVE, self.clock.now())
        record = self._grant(f"machine:{id}", f"grt_{name}", role, scope)
        await self.ports.store.commit(AddMachine(machine), AddGrant(record))
        return self.caller(await self.services.actors.of_machine(id, assurance=Assurance.HARDWARE))

    def _grant(self, holder: str, id: str, role: Role, scope: Scope) -> GrantRecord:
        now = self.clock.now()
        return GrantRecord(GrantId(id), holder, role, scope, now + timedelta(days=3650), GrantState.ACTIVE, "system", now)


@asynccontextmanager
async def open_workbench(
    directory: Path, *, url: str = "", organization: str = "demo-cpo", policy: Policy = DEVELOPMENT, has_authorities: bool = True
) -> AsyncIterator[Workbench]:
    """A workbench with the development hierarchies. `url` names another store than the embedded one in `directory`.

    Under another policy than development's, the hierarchies come from a development start over the same store.
    """
    store = open_store(url or f"sqlite:///{directory / 'chargepki.db'}")
    clock = FixedClock()
    tiles, secrets = TileDirectory(directory / "log"), FileSecretBox(b"\0" * 32)
    ports = Ports(store, MemoryVault(), clock, SystemEntropy(), LocalNotifier(_fail), tiles, secrets)
    names = ServerNames(("localhost",), ("127.0.0.1",))
    try:
        development = compose(ports, Settings(organization, _urls, names))
        await development.keys.adopt()
        await development.log.start()
        if has_authorities:
            await development.authorities.bootstrap(organization)
        await development.parties.ensure_development(ADMIN, organization)
        await _register_admin(ports)
        services = development
        if policy is not DEVELOPMENT:
            services = compose(ports, Settings(organization, _urls, names, policy))
            await services.log.start()
        yield Workbench(ports, services, clock)
    finally:
        await tiles.close()
        await store.close()


async def _register_admin(ports: Ports) -> None:
    now = ports.clock.now()
    machine = Machine(_ADMIN, "admin", PLATFORM_PARTY, MachineState.ACTIVE, now)
    record = GrantRecord(
        GrantId("grt_admin"),
        f"machine:{_ADMIN}",
        Role.DEVELOPER,
        EVERYWHERE,
        now + timedelta(days=3650),
        GrantState.ACTIVE,
        "system",
        now,
    )
    with suppress(Conflict):  # a store that is opened again has it
        await ports.store.commit(AddMachine(machine), AddGrant(record))


def _urls() -> StatusUrls:
    return StatusUrls("http://127.0.0.1:8080")


def _fail(event: Event, error: ChargePkiError) -> None:
    raise AssertionError(f"a listener failed on {event}") from error
