"""Standing approvals: rules, agreed on beforehand, that let machines work: party, profiles, names, keys, so many per hour, until when.

Two registration officers make one, one person ends it at once. Each certificate it produced names it. A factory batch is one too, made
for one machine alone (`services/batches.py`): its id says so.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from chargepki.core.access.model import NO_BALLOT, Actor, Ballot, Resource, StandingApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace, ScopedName, covers, parse_name_space
from chargepki.core.profiles.registry import Profiles
from chargepki.core.proposals import JsonObject
from chargepki.core.records import Page, Party, PartyId, PartyState, ProfileId, StandingId, StandingRecord
from chargepki.errors import Finding, NotFound, Refused, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, AddStanding, EndStanding, Ports, UseStanding
from chargepki.services.approvals import proposal_of
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.proposed import order_of
from chargepki.services.scoping import no_such_party, spaces_of

PROFILES_MAX: Final = 32
NAMES_MAX: Final = 64
PER_HOUR_MAX: Final = 100_000  # a fleet's mass roll-over within an hour; more than that bounds nothing
DAYS_MAX: Final = 366  # nothing stands for ever: when it is renewed somebody looks at it again
KNOWN_PARTIES_MAX: Final = 1_000
SEVERAL: Final = "*"  # as a resource's profile: only a scope without bounds covers it
BATCH_PREFIX: Final = "bat_"  # a batch and the grant of its machine share one ULID: bat_X stands in for whoever holds grt_X
EVERY_STATION: Final = NameSpace(NameKind.STATION, "*")  # which station is whose says the inventory, not a name space
_GRANT_PREFIX: Final = "grt_"


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """What is asked for. Without `keys` every key that the profiles allow."""

    party: PartyId
    profiles: frozenset[ProfileId]
    names: frozenset[NameSpace]
    keys: frozenset[KeySpec]
    per_hour_max: int
    until: datetime


class Standing:
    def __init__(self, ports: Ports, audit: AuditTrail, profiles: Profiles) -> None:
        self._ports, self._audit, self._profiles = ports, audit, profiles
        self._known: dict[str, tuple[datetime, tuple[StandingRecord, ...]]] = {}

    async def create(self, caller: Caller, order: StandingOrder, *, ballot: Ballot = NO_BALLOT) -> StandingRecord:
        """Raises `NeedsVotes` until a second registration officer agrees."""
        id = StandingId(self._ports.entropy.ulid("sta"))
        act = caller.act(Permission.APPROVAL_STANDING_PROPOSE, f"standing:{id}", resource=None, party=order.party)
        async with self._audit.act(act) as opened:
            if not self._audit.reaches_party(caller, Permission.APPROVAL_STANDING_PROPOSE, order.party):
                raise no_such_party(order.party)
            party = await self._ports.store.get_party(order.party)
            refuse_errors(find_faults(order, party, self._profiles, self._ports.clock.now()))
            opened.check(resource_of(order, party), ballot=ballot, order=order_of(spell_order(order), ballot))
            record = StandingRecord(_approval(id, order), caller.actor.id, self._ports.clock.now(), proposal_of(caller))
            await self._ports.store.commit(AddStanding(record), opened.done())
        self.forget()
        return record

    async def carry_out(self, caller: Caller, order: JsonObject, ballot: Ballot) -> str:
        return f"standing:{(await self.create(caller, parse_order(order), ballot=ballot)).approval.id}"

    async def resource_of(self, order: JsonObject) -> Resource:
        """What an edited order is about; refuses one that could not be carried out."""
        parsed = parse_order(order)
        party = await self._ports.store.get_party(parsed.party)
        refuse_errors(find_faults(parsed, party, self._profiles, self._ports.clock.now()))
        return resource_of(parsed, party)

    async def list(
        self, caller: Caller, *, party: PartyId | None = None, is_live: bool = False, cursor: str = "", limit: int = 50
    ) -> Page[StandingRecord]:
        """Oldest first, without the factory batches; a page may be shorter than `limit`. `used` is counted for those that live."""
        parties = self._audit.parties_of(caller, Permission.APPROVAL_STANDING_READ)
        now = self._ports.clock.now() if is_live else None
        page = await self._ports.store.list_standing(party=party, is_live_at=now, cursor=cursor, limit=limit)
        shown = (r for r in page.items if not is_batch(r.approval) and (parties is None or r.approval.party in parties))
        return Page(tuple(shown), page.next)

    async def get(self, caller: Caller, id: StandingId) -> StandingRecord:
        self._audit.check_held(caller, Permission.APPROVAL_STANDING_READ)
        record = await find_standing(self._ports, id)
        self._audit.check_visible(caller, Permission.APPROVAL_STANDING_READ, Resource(party=record.approval.party), unknown_standing(id))
        return record

    async def end(self, caller: Caller, id: StandingId) -> StandingRecord:
        """At once, by one person. `Conflict` when it has ended already."""
        record = await self.get(caller, id)
        resource = Resource(party=record.approval.party)
        act = caller.act(Permission.APPROVAL_STANDING_APPROVE, f"standing:{id}", resource=resource, change="end")
        async with self._audit.act(act) as opened:
            if is_batch(record.approval):
                raise Refused.because("approval.standing.batch", "this belongs to a factory batch", hint=f"chargepki batch end {id}")
            await self._ports.store.commit(EndStanding(id, self._ports.clock.now()), opened.done())
        self.forget()
        return await find_standing(self._ports, id)

    # --------------------------------------------------------------------------------------------------------- issuance

    async def matching(self, resource: Resource, now: datetime, actor: Actor | None = None) -> tuple[StandingApproval, ...]:
        """Those that could stand in for a second person here: what issuance puts on its ballot. Read once per party and second.

        A factory batch's stands in for whoever holds the batch's grant, and for nobody else.
        """
        held = _batches_of(actor)
        found = (record.approval for record in await self._read(PartyId(resource.party), now))
        return tuple(a for a in found if _is_within(a, resource, now) and (not is_batch(a) or a.id in held))

    async def uses(self, standing: str, resource: Resource, now: datetime, actor: Actor) -> tuple[UseStanding, ...]:
        """What issuance commits with its intent: one use of the approval that `decide` named ("": none), and one of the factory batch
        the actor works in, whatever allowed the act. The commit's `Conflict` says that the hour, or the batch, is full."""
        wanted = {standing, *_batches_of(actor)}
        records = [r for r in await self._read(PartyId(resource.party), now) if r.approval.id in wanted]
        return tuple(use_of(record, now) for record in records)

    def forget(self) -> None:
        """After a change of any of them."""
        self._known.clear()

    async def _read(self, party: PartyId, now: datetime) -> tuple[StandingRecord, ...]:
        read_at, records = self._known.get(party, (None, ()))
        if read_at != now:
            records = await _list_live(self._ports, party, now)
            if len(self._known) >= KNOWN_PARTIES_MAX:
                self._known.clear()
            self._known[party] = (now, records)
        return records


def is_batch(approval: StandingApproval) -> bool:
    return approval.id.startswith(BATCH_PREFIX)


def use_of(record: StandingRecord, now: datetime) -> UseStanding:
    """A batch counts everything in the hour in which it was made: so its hourly bound is the bound of the whole."""
    counted_at = record.created_at if is_batch(record.approval) else now
    return UseStanding(StandingId(record.approval.id), counted_at, record.approval.per_hour_max)


async def find_standing(ports: Ports, id: StandingId) -> StandingRecord:
    """There are tens of them, in a few pages. Raises `NotFound`."""
    cursor = ""
    while True:
        page = await ports.store.list_standing(cursor=cursor, limit=PAGE_SIZE_MAX)
        found = next((record for record in page.items if record.approval.id == id), None)
        if found is not None:
            return found
        if not (cursor := page.next):
            raise unknown_standing(id)


def unknown_standing(id: StandingId) -> NotFound:
    return NotFound(Finding("approval.standing.unknown", f"there is no standing approval {id}", hint="chargepki standing list"))


def find_faults(order: StandingOrder, party: Party, profiles: Profiles, now: datetime) -> Iterable[Finding]:
    """Everything against an order, before anybody is asked to vote on it."""
    if party.state is not PartyState.ACTIVE:
        yield Finding("approval.standing.party", f"the party {party.id} is {party.state}", path="party")
    if not 1 <= len(order.profiles) <= PROFILES_MAX:
        yield Finding("approval.standing.profiles", f"a standing approval names 1 to {PROFILES_MAX} profiles", path="profiles")
    offered = {offered.profile.id for offered in profiles.list()}
    for profile in sorted(order.profiles - offered):
        yield Finding("profile.unknown", f"there is no profile {profile!r}", path="profiles", hint="chargepki profile list")
    if not 1 <= len(order.names) <= NAMES_MAX:
        yield Finding("approval.standing.names", f"a standing approval covers 1 to {NAMES_MAX} name spaces", path="names", hint="dns:*")
    if not 1 <= order.per_hour_max <= PER_HOUR_MAX:
        yield Finding("approval.standing.rate", f"1 to {PER_HOUR_MAX} certificates per hour", path="per_hour_max")
    if not now < order.until <= now + timedelta(days=DAYS_MAX):
        yield Finding("approval.standing.until", f"it ends within {DAYS_MAX} days from now, and later than now", path="until")


def resource_of(order: StandingOrder, party: Party) -> Resource:
    """Whoever agrees must be trusted with all of it: the party, every name, every profile."""
    profile = next(iter(order.profiles)) if len(order.profiles) == 1 else SEVERAL
    names = tuple(ScopedName(space.kind, space.value) for space in sorted(order.names, key=str))
    return Resource(party=party.id, profile=profile, names=names, spaces=spaces_of(party))


def spell_order(order: StandingOrder) -> dict[str, JsonValue]:
    return {
        "party": order.party,
        "profiles": sorted(order.profiles),
        "names": sorted(map(str, order.names)),
        "keys": sorted(order.keys),
        "per_hour_max": order.per_hour_max,
        "until": order.until.isoformat(),
    }


def parse_order(raw: JsonObject) -> StandingOrder:
    """Raises `Refused` for anything that `spell_order` does not write."""
    try:
        until = datetime.fromisoformat(cast(str, raw["until"]))
        if until.tzinfo is None or not isinstance(raw["per_hour_max"], int) or set(raw) != _FIELDS:
            raise ValueError("a time without a zone, a number that is none, or a field too many")
        return StandingOrder(
            PartyId(_text(raw["party"])),
            frozenset(map(ProfileId, _texts(raw["profiles"]))),
            frozenset(map(parse_name_space, _texts(raw["names"]))),
            frozenset(map(KeySpec, _texts(raw["keys"]))),
            raw["per_hour_max"],
            until,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Refused.because("approval.standing.order", f"the order cannot be read: {error}", path="order", hint=_SHAPE) from error


_FIELDS: Final = frozenset({"party", "profiles", "names", "keys", "per_hour_max", "until"})
_SHAPE: Final = json.dumps(dict.fromkeys(sorted(_FIELDS), "..."))


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _texts(value: JsonValue) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > NAMES_MAX:
        raise TypeError(f"a list of at most {NAMES_MAX} texts is expected")
    return [_text(item) for item in value]


def _approval(id: StandingId, order: StandingOrder) -> StandingApproval:
    keys = frozenset(str(key) for key in order.keys or KeySpec)
    has_serials = any(space.kind is NameKind.STATION_SERIAL for space in order.names)
    names = order.names | ({EVERY_STATION} if has_serials else set())
    return StandingApproval(id, order.party, frozenset(order.profiles), names, keys, order.per_hour_max, order.until)


def _is_within(approval: StandingApproval, resource: Resource, now: datetime) -> bool:
    """`decide` judges it again, with the count; this keeps the ballot short."""
    named = all(any(covers(space, name) for space in approval.names) for name in resource.names)
    return now < approval.until and resource.profile in approval.profiles and resource.key in approval.keys and named


def _batches_of(actor: Actor | None) -> frozenset[str]:
    return frozenset(BATCH_PREFIX + grant.id.removeprefix(_GRANT_PREFIX) for grant in (actor.grants if actor else ()))


async def _list_live(ports: Ports, party: PartyId, now: datetime) -> tuple[StandingRecord, ...]:
    records: list[StandingRecord] = []
    cursor = ""
    while True:
        page = await ports.store.list_standing(party=party, is_live_at=now, cursor=cursor, limit=PAGE_SIZE_MAX)
        records.extend(page.items)
        if not (cursor := page.next):
            return tuple(records)
