"""Who somebody is today: their live grants, read from the register."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from chargepki.core.access.decide import SYSTEM, narrow_grants
from chargepki.core.access.model import Actor, ActorKind, Assurance, Grant, Role, Scope
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace
from chargepki.core.records import (
    ApiToken,
    GrantRecord,
    GrantState,
    Machine,
    MachineId,
    MachineState,
    Person,
    PersonId,
    PersonState,
    StationId,
    TokenId,
)
from chargepki.errors import Finding, NotAuthenticated
from chargepki.ports import PAGE_SIZE_MAX, Ports

_SELF: Final = Grant("self", Role.SELF)
KNOWN_MAX: Final = 1_000  # holders in memory; a platform has tens of people and hundreds of machines


@dataclass(frozen=True, slots=True)
class _Known:
    """What the register said of a holder in one second."""

    state: PersonState | MachineState
    name: str
    grants: tuple[GrantRecord, ...]
    read_at: datetime


class Actors:
    """A holder and their grants are read once per second: what ends here ends at once, what another node ended within a second."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: dict[str, _Known] = {}
        self._forgotten = 0  # counts up: what was read before a change is not kept after it

    async def of_person(self, id: PersonId, *, assurance: Assurance = Assurance.TOKEN) -> Actor:
        """Raises `NotAuthenticated` for somebody who has left, `NotFound` for nobody."""
        known = await self._read(f"person:{id}", lambda: self._ports.store.get_person(id))
        if known.state is PersonState.OFFBOARDED:
            raise _ended("this person has left")
        grants = (*_live(known.grants, self._now()), _SELF)
        return Actor(f"person:{id}", ActorKind.PERSON, grants, id, assurance)

    async def of_machine(self, id: MachineId, *, assurance: Assurance = Assurance.TOKEN) -> Actor:
        known = await self._read(f"machine:{id}", lambda: self._ports.store.get_machine(id))
        if known.state is not MachineState.ACTIVE:
            raise _ended(f"the machine {known.name} is {known.state}")
        return Actor(f"machine:{id}", ActorKind.MACHINE, _live(known.grants, self._now()), "", assurance)

    async def of_token(self, token: ApiToken) -> Actor:
        """The token's holder within what the token was narrowed to: a grant that ended or shrank took the token along."""
        kind, _, holder = token.holder.partition(":")
        if kind == "person":
            whole = await self.of_person(PersonId(holder))
        else:
            whole = await self.of_machine(MachineId(holder))
        held = {grant.id: grant for grant in whole.grants}
        grants = tuple(narrowed for grant in token.grants if grant.id in held for narrowed in self._narrow(held[grant.id], grant))
        # What the token leaves out still conflicts: nobody gets rid of a role by not using it.
        others = frozenset(grant.role for grant in whole.grants if grant.role is not Role.SELF)
        # Names may repeat, ids never. People name their tokens after themselves, and this stands in the log in clear.
        name = holder if kind == "person" else token.name
        return replace(whole, id=f"token:{name}/{token.id}", grants=grants, other_roles=others)

    async def reload(self, actor_id: str, *, assurance: Assurance = Assurance.TOKEN) -> Actor:
        """Who a recorded actor is now, with `assurance` as it was proved then."""
        kind, _, rest = actor_id.partition(":")
        match kind:
            case "person":
                return await self.of_person(PersonId(rest), assurance=assurance)
            case "machine":
                return await self.of_machine(MachineId(rest), assurance=assurance)
            case "token":
                token = await self._ports.store.get_api_token(TokenId(rest.rpartition("/")[2]))
                check_token_lives(token, self._now())
                return await self.of_token(token)
            case "system":
                return SYSTEM
            case _:
                raise _ended(f"{actor_id} proposes nothing")

    def forget(self, holder: str) -> None:
        """After a change of their grants or their state."""
        self._known.pop(holder, None)
        self._forgotten += 1

    def _narrow(self, held: Grant, to: Grant) -> tuple[Grant, ...]:
        if held.until is None:  # what everybody holds about their own account is no token's to carry
            return ()
        return narrow_grants((held,), patterns=to.narrowed_to, scope=to.scope, until=to.until or held.until, now=self._now())

    async def _read(self, id: str, load: Callable[[], Awaitable[Person | Machine]]) -> _Known:
        now, forgotten = self._now(), self._forgotten
        known = self._known.get(id)
        if known is not None and known.read_at == now:
            return known
        holder = await load()
        page = await self._ports.store.list_grants(holder=id, state=GrantState.ACTIVE, limit=PAGE_SIZE_MAX)
        known = _Known(holder.state, holder.name if isinstance(holder, Machine) else "", page.items, now)
        if forgotten == self._forgotten:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[id] = known
        return known

    def _now(self) -> datetime:
        return self._ports.clock.now()


def device_actor(station: StationId | str) -> Actor:
    """A station speaks for itself alone."""
    names = frozenset({NameSpace(NameKind.STATION, station), NameSpace(NameKind.STATION_SERIAL, "*")})
    return Actor(f"station:{station}", ActorKind.STATION, (Grant("device", Role.DEVICE, Scope(names=names)),))


def check_token_lives(token: ApiToken, now: datetime) -> None:
    if token.revoked_at is not None or token.expires_at <= now:
        raise _ended("the bearer token has ended")


def _live(records: Iterable[GrantRecord], now: datetime) -> tuple[Grant, ...]:
    return tuple(record.grant for record in records if record.state is GrantState.ACTIVE and record.until > now)


def _ended(message: str) -> NotAuthenticated:
    return NotAuthenticated(Finding("access.actor.ended", message, hint="ask the platform's administrator"))
