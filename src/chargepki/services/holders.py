"""Who can hold a grant, and what they hold now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chargepki.core.access.model import Actor, ActorKind
from chargepki.core.records import GrantRecord, GrantState, MachineId, MachineState, PartyId, Person, PersonId, PersonState
from chargepki.errors import Broken, Finding, NotFound
from chargepki.ports import PAGE_SIZE_MAX, Ports

PERSON_PREFIX: Final = "per_"
HISTORY_MAX: Final = 10_000  # grants that one holder ever had


@dataclass(frozen=True, slots=True)
class Holder:
    """Who can hold a grant. `id` is "person:per_..." or "machine:mch_..."; `name` the user name or the machine's."""

    id: str
    name: str
    party: PartyId
    is_person: bool
    may_hold: bool  # has not left, is not suspended

    @property
    def kind(self) -> ActorKind:
        return ActorKind.PERSON if self.is_person else ActorKind.MACHINE

    @property
    def person(self) -> str:
        """per_...; "" for a machine."""
        return self.id.removeprefix("person:") if self.is_person else ""


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A line of the register."""

    record: GrantRecord
    holder: Holder


async def find_holder(ports: Ports, text: str) -> Holder:
    """From "person:USERNAME", "person:per_...", "machine:mch_...". `NotFound` when there is no such holder."""
    kind, _, name = text.partition(":")
    try:
        if kind == "machine":
            machine = await ports.store.get_machine(MachineId(name))
            return Holder(f"machine:{machine.id}", machine.name, machine.party, False, machine.state is MachineState.ACTIVE)
        if kind == "person":
            person = await find_person(ports, name)
            return Holder(f"person:{person.id}", person.username, person.party, True, person.state is not PersonState.OFFBOARDED)
    except NotFound:
        raise unknown_holder() from None
    raise unknown_holder()


async def find_person(ports: Ports, name: str) -> Person:
    """By id or by user name. `NotFound`."""
    if name.startswith(PERSON_PREFIX):
        return await ports.store.get_person(PersonId(name))
    person = await ports.store.lookup_person_by_username(name)
    if person is None:
        raise NotFound(Finding("person.unknown", "there is no such person", path="person", hint="chargepki person list"))
    return person


async def with_holders(ports: Ports, records: Sequence[GrantRecord]) -> tuple[HeldGrant, ...]:
    holders = {id: await find_holder(ports, id) for id in {record.holder for record in records}}
    return tuple(HeldGrant(record, holders[record.holder]) for record in records)


async def find_live_grants(ports: Ports, holder: str, now: datetime) -> tuple[GrantRecord, ...]:
    """What somebody holds or is offered now, oldest first."""
    live: list[GrantRecord] = []
    cursor = ""
    for _ in range(HISTORY_MAX // PAGE_SIZE_MAX):
        page = await ports.store.list_grants(holder=holder, cursor=cursor, limit=PAGE_SIZE_MAX)
        live += (record for record in page.items if record.state is not GrantState.ENDED and record.until > now)
        if not (cursor := page.next):
            return tuple(live)
    raise Broken(f"{holder} has had more than {HISTORY_MAX} grants", hint="this is not how the register is meant to be used")


def holder_of(actor: Actor) -> str:
    """Who an actor or their token speaks for; "" for what holds no grants of the register."""
    if actor.person:
        return f"person:{actor.person}"
    return actor.id if actor.id.startswith("machine:") else ""


def unknown_holder() -> NotFound:
    """Says nothing of what was asked for: it is somebody's name, and the refusal goes into the log."""
    hint = "person:USERNAME or machine:mch_...; chargepki person list, chargepki machine list"
    return NotFound(Finding("grant.holder.unknown", "there is no such holder", path="holder", hint=hint))
