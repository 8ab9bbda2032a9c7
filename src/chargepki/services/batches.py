"""Factory batches: a permission for one factory line, boxed in time, count and serial numbers.

A batch is a machine of its own with one grant that reaches exactly the box, and a standing approval that stands in for that grant's
holder alone and counts. Ending it ends all three, and the line's token with them.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast

from chargepki.core.access.model import NO_BALLOT, Ballot, Grant, Resource, Role, Scope, StandingApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace, ScopedName, parse_name_space
from chargepki.core.profiles.registry import Profiles
from chargepki.core.proposals import JsonObject
from chargepki.core.records import (
    GrantId,
    GrantRecord,
    GrantState,
    Machine,
    MachineId,
    MachineState,
    Page,
    Party,
    PartyId,
    PartyState,
    ProfileId,
    StandingId,
    StandingRecord,
)
from chargepki.errors import Conflict, Finding, NotAuthorised, NotFound, Refused, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, AddGrant, AddMachine, AddStanding, EndStanding, EndTokens, Ports, UpdateGrant, UpdateMachine
from chargepki.services.access import Access
from chargepki.services.actors import Actors
from chargepki.services.approvals import proposal_of
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.proposed import order_of
from chargepki.services.scoping import no_such_party, spaces_of
from chargepki.services.standing import BATCH_PREFIX, EVERY_STATION, Standing, find_standing, is_batch

SEEN_WITH: Final = Permission.INVENTORY_STATION_READ  # whoever sees a party's stations sees for which a line may get certificates
COUNT_MAX: Final = 100_000  # a year of a large factory
DAYS_MAX: Final = 90  # a machine's grant lasts no longer
PREFIXES_MAX: Final = 16
LINE_MAY: Final = frozenset(
    {
        Permission.CERTIFICATE_ISSUE.value,
        Permission.CERTIFICATE_READ.value,
        Permission.INVENTORY_STATION_READ.value,
        Permission.INVENTORY_STATION_WRITE.value,
    }
)
SUMMED_OVER: Final = timedelta(hours=24)  # what a party got within a day counts together: many small batches are a large one


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """So many certificates of one profile for stations whose serial numbers begin with one of `prefixes`."""

    party: PartyId
    profile: ProfileId
    prefixes: frozenset[str]
    count: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """`used` of `record.approval.per_hour_max` are used."""

    record: StandingRecord
    used: int

    @property
    def id(self) -> StandingId:
        return StandingId(self.record.approval.id)

    @property
    def party(self) -> PartyId:
        return PartyId(self.record.approval.party)

    @property
    def count(self) -> int:
        return self.record.approval.per_hour_max


class Batches:
    def __init__(self, ports: Ports, audit: AuditTrail, standing: Standing, access: Access, actors: Actors, profiles: Profiles) -> None:
        self._ports, self._audit, self._standing = ports, audit, standing
        self._access, self._actors, self._profiles = access, actors, profiles
        self._writing = asyncio.Lock()  # what the party got lately, and that it gets more, are one step

    async def create(self, caller: Caller, order: BatchOrder, *, ballot: Ballot = NO_BALLOT) -> Batch:
        """Raises `NeedsVotes` where the party would get more within a day than one person may give."""
        ulid = self._ports.entropy.ulid("bat").removeprefix(BATCH_PREFIX)
        act = caller.act(Permission.REGISTRATION_BATCH_CREATE, f"batch:{BATCH_PREFIX}{ulid}", resource=None, party=order.party)
        async with self._audit.act(act) as opened, self._writing:
            if not self._audit.reaches_party(caller, Permission.REGISTRATION_BATCH_CREATE, order.party):
                raise no_such_party(order.party)
            party = await self._ports.store.get_party(order.party)
            now = self._ports.clock.now()
            refuse_errors(find_faults(order, party, self._profiles, now))
            resource = await self._resource_of(order, party, now)
            opened.check(resource, ballot=ballot, order=order_of(spell_order(order), ballot))
            _check_no_line(caller)
            record = StandingRecord(_approval(ulid, order), caller.actor.id, now, proposal_of(caller))
            machine = Machine(MachineId(self._ports.entropy.ulid("mch")), record.approval.id, order.party, MachineState.ACTIVE, now)
            added = (AddMachine(machine), AddGrant(_grant(ulid, order, machine, caller, now)), AddStanding(record))
            await self._ports.store.commit(*added, opened.done())
        self._standing.forget()
        return Batch(record, 0)

    async def carry_out(self, caller: Caller, order: JsonObject, ballot: Ballot) -> str:
        return f"batch:{(await self.create(caller, parse_order(order), ballot=ballot)).id}"

    async def resource_of(self, order: JsonObject) -> Resource:
        """What an edited order is about; refuses one that could not be carried out."""
        parsed, now = parse_order(order), self._ports.clock.now()
        party = await self._ports.store.get_party(parsed.party)
        refuse_errors(find_faults(parsed, party, self._profiles, now))
        return await self._resource_of(parsed, party, now)

    async def create_token(self, caller: Caller, id: StandingId) -> str:
        """The factory line's bearer token, shown this once. The one before ends: one line, one token."""
        batch = await self.get(caller, id)
        act = caller.act(Permission.REGISTRATION_CREDENTIAL_CREATE, f"batch:{id}", resource=_about(batch.record), credential="batch token")
        async with self._audit.act(act) as opened:
            now = self._ports.clock.now()
            if batch.record.ended_at is not None or batch.record.approval.until <= now:
                raise Conflict(Finding("batch.ended", f"the batch {id} has ended", hint="chargepki batch create"))
            grant = await self._ports.store.get_grant(_grant_id(id))
            machine = await self._machine_of(grant)
            # First the end of the old one: in one commit it would take the new one along.
            await self._ports.store.commit(EndTokens(grant.holder, now))
            added, secret = await self._access.create_machine_token(opened, machine, (_for_line(grant),), grant.until)
            await self._ports.store.commit(added, opened.done())
        return secret

    async def list(self, caller: Caller, *, party: PartyId | None = None, cursor: str = "", limit: int = 50) -> Page[Batch]:
        """Oldest first, ended ones too; a page may be shorter than `limit`."""
        parties = self._audit.parties_of(caller, SEEN_WITH)
        page = await self._ports.store.list_standing(party=party, cursor=cursor, limit=limit)
        shown = [r for r in page.items if is_batch(r.approval) and (parties is None or r.approval.party in parties)]
        return Page(tuple([await self._count(record) for record in shown]), page.next)

    async def get(self, caller: Caller, id: StandingId) -> Batch:
        missing = NotFound(Finding("batch.unknown", f"there is no factory batch {id}", hint="chargepki batch list"))
        self._audit.check_held(caller, SEEN_WITH)
        if not id.startswith(BATCH_PREFIX):
            raise missing
        try:
            record = await find_standing(self._ports, id)
        except NotFound:
            raise missing from None
        self._audit.check_visible(caller, SEEN_WITH, _about(record), missing)
        return await self._count(record)

    async def end(self, caller: Caller, id: StandingId) -> Batch:
        """At once, by one person: the approval, the machine, its grant and its token."""
        batch = await self.get(caller, id)
        act = caller.act(Permission.REGISTRATION_BATCH_CREATE, f"batch:{id}", resource=_about(batch.record), change="end")
        async with self._audit.act(act) as opened:
            now = self._ports.clock.now()
            grant = await self._ports.store.get_grant(_grant_id(id))
            machine = await self._machine_of(grant)
            await self._ports.store.commit(
                EndStanding(id, now),
                EndTokens(grant.holder, now),
                UpdateGrant(replace(grant, state=GrantState.ENDED, ended_at=now, ended_by=caller.actor.id)),
                UpdateMachine(replace(machine, state=MachineState.SUSPENDED)),
                opened.done(),
            )
        self._standing.forget()
        self._actors.forget(grant.holder)
        return await self._count(await find_standing(self._ports, id))

    async def _resource_of(self, order: BatchOrder, party: Party, now: datetime) -> Resource:
        """Counted together with what the party got within a day, so that nobody slips under the limit in slices."""
        recent = 0
        async for record in _records(self._ports, order.party):
            if is_batch(record.approval) and record.created_at > now - SUMMED_OVER:
                recent += record.approval.per_hour_max
        names = tuple(ScopedName(space.kind, space.value) for space in sorted(_spaces(order), key=str))
        return Resource(party=party.id, profile=order.profile, names=names, spaces=spaces_of(party), count=order.count + recent)

    async def _machine_of(self, grant: GrantRecord) -> Machine:
        return await self._ports.store.get_machine(MachineId(grant.holder.removeprefix("machine:")))

    async def _count(self, record: StandingRecord) -> Batch:
        """Everything is counted in the hour in which the batch was made (`services/standing.py: use_of`)."""
        party = PartyId(record.approval.party)
        async for counted in _records(self._ports, party, is_live_at=record.created_at):
            if counted.approval.id == record.approval.id:
                return Batch(record, counted.approval.used)
        return Batch(record, 0)


async def _records(ports: Ports, party: PartyId, *, is_live_at: datetime | None = None) -> AsyncIterator[StandingRecord]:
    cursor = ""
    while True:
        page = await ports.store.list_standing(party=party, is_live_at=is_live_at, cursor=cursor, limit=PAGE_SIZE_MAX)
        for record in page.items:
            yield record
        if not (cursor := page.next):
            return


def _about(record: StandingRecord) -> Resource:
    """The party and the serial numbers of a batch that there is."""
    names = tuple(ScopedName(NameKind.STATION_SERIAL, prefix) for prefix in prefixes_of(record.approval))
    return Resource(party=record.approval.party, names=names)


def _check_no_line(caller: Caller) -> None:
    """However often it asks: the next batch would lift the count of this one."""
    if any(grant.role is Role.FACTORY_LINE for grant in caller.actor.grants):
        raise NotAuthorised(Finding("batch.by_line", "a factory line gives itself no batch", hint="ask a requester of the party"))


def find_faults(order: BatchOrder, party: Party, profiles: Profiles, now: datetime) -> Iterable[Finding]:
    """Everything against an order, before anybody is asked to vote on it."""
    if party.state is not PartyState.ACTIVE:
        yield Finding("batch.party", f"the party {party.id} is {party.state}", path="party")
    if order.profile not in {offered.profile.id for offered in profiles.list()}:
        yield Finding("profile.unknown", f"there is no profile {order.profile!r}", path="profile", hint="chargepki profile list")
    if not 1 <= len(order.prefixes) <= PREFIXES_MAX:
        yield Finding("batch.prefixes", f"a batch covers 1 to {PREFIXES_MAX} prefixes of serial numbers", path="prefixes")
    if "*" in order.prefixes:
        yield Finding("batch.prefix.all", "a batch is for serial numbers of one kind, not for all", path="prefixes", hint="SN-2026-")
    if not 1 <= order.count <= COUNT_MAX:
        yield Finding("batch.count", f"a batch counts 1 to {COUNT_MAX} certificates", path="count")
    if not now < order.until <= now + timedelta(days=DAYS_MAX):
        yield Finding("batch.until", f"a batch ends within {DAYS_MAX} days from now, and later than now", path="until")


def prefixes_of(approval: StandingApproval) -> tuple[str, ...]:
    return tuple(sorted(space.value for space in approval.names if space.kind is NameKind.STATION_SERIAL))


def spell_order(order: BatchOrder) -> dict[str, JsonValue]:
    return {
        "party": order.party,
        "profile": order.profile,
        "prefixes": sorted(order.prefixes),
        "count": order.count,
        "until": order.until.isoformat(),
    }


def parse_order(raw: JsonObject) -> BatchOrder:
    """Raises `Refused` for anything that `spell_order` does not write."""
    try:
        until, prefixes, count = datetime.fromisoformat(cast(str, raw["until"])), raw["prefixes"], raw["count"]
        if until.tzinfo is None or not isinstance(count, int) or isinstance(count, bool) or set(raw) != _FIELDS:
            raise ValueError("a time without a zone, a number that is none, or a field too many")
        if not isinstance(prefixes, Sequence) or isinstance(prefixes, str) or len(prefixes) > PREFIXES_MAX:
            raise TypeError(f"prefixes are a list of at most {PREFIXES_MAX}")
        texts = [raw["party"], raw["profile"], *prefixes]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text is expected")
        party, profile, *spelt = cast(list[str], texts)
        order = BatchOrder(PartyId(party), ProfileId(profile), frozenset(spelt), count, until)
        _spaces(order)
        return order
    except (KeyError, TypeError, ValueError) as error:
        raise Refused.because("batch.order", f"the order cannot be read: {error}", path="order", hint=_SHAPE) from error


_FIELDS: Final = frozenset({"party", "profile", "prefixes", "count", "until"})
_SHAPE: Final = json.dumps(dict.fromkeys(sorted(_FIELDS), "..."))


def _spaces(order: BatchOrder) -> frozenset[NameSpace]:
    return frozenset(parse_name_space(f"{NameKind.STATION_SERIAL}:{prefix}") for prefix in order.prefixes)


def _reach(order: BatchOrder) -> frozenset[NameSpace]:
    """A station's identity in the inventory is the operator's choice: its serial number is what the box is about."""
    return _spaces(order) | {EVERY_STATION}


def _approval(ulid: str, order: BatchOrder) -> StandingApproval:
    keys = frozenset(map(str, KeySpec))  # the profile bounds them
    return StandingApproval(BATCH_PREFIX + ulid, order.party, frozenset({order.profile}), _reach(order), keys, order.count, order.until)


def _grant(ulid: str, order: BatchOrder, machine: Machine, caller: Caller, now: datetime) -> GrantRecord:
    reach = Scope(parties=frozenset({order.party}), profiles=frozenset({order.profile}), names=_reach(order))
    holder, id = f"machine:{machine.id}", GrantId("grt_" + ulid)
    return GrantRecord(
        id, holder, Role.FACTORY_LINE, reach, order.until, GrantState.ACTIVE, caller.actor.id, now, proposal_of(caller), accepted_at=now
    )


def _for_line(grant: GrantRecord) -> Grant:
    """Only what goes through the count: no enrolment token for somebody else, and no further batch."""
    return replace(grant.grant, narrowed_to=LINE_MAY)


def _grant_id(id: StandingId) -> GrantId:
    return GrantId("grt_" + id.removeprefix(BATCH_PREFIX))
