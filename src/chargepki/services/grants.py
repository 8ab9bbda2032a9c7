"""The register of access rights: who is offered which role over what, who accepted it, and when it ended.

# EN 319 401 REQ-7.4.1-08: rights are given, reviewed and taken away by a documented act; here every such act is an entry of the log.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from chargepki.core.access.decide import held_permissions, narrow_grants
from chargepki.core.access.encode import decode_scope, encode_scope
from chargepki.core.access.model import NO_BALLOT, Actor, ActorKind, Ballot, Plane, Resource, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.access.roles import ROLES, find_grant_faults, permissions_of
from chargepki.core.audit import Act
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import GrantId, GrantRecord, GrantState, Page, PartyId
from chargepki.errors import Conflict, Finding, NotAuthorised, NotFound, Refused, refuse_errors
from chargepki.ports import AddGrant, Ports, UpdateGrant
from chargepki.services.access_reviews import AccessReviews
from chargepki.services.actors import Actors
from chargepki.services.approvals import proposal_of
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.holders import HeldGrant, Holder, find_holder, find_live_grants, holder_of, unknown_holder, with_holders
from chargepki.services.proposed import order_of, unreadable

PERSON_DAYS: Final = 365  # until the next yearly review at the latest
MACHINE_DAYS: Final = 90
DAYS_MAX: Final = 398  # thirteen months and a day: a year, and time to renew
HELD_MAX: Final = 16  # live grants of one holder: a decision is recorded with all of them
SCOPE_ITEMS_MAX: Final = 32  # of one kind in one scope, for the same reason
ME: Final = "me"  # as a holder: whoever asks
_OF_A_PARTY: Final = frozenset({Plane.PARTY, Plane.MACHINE})  # what one party gives to its own
_GIVEN_BY_NOBODY: Final = frozenset({Role.PLATFORM, Role.SELF})
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class Grants:
    def __init__(self, ports: Ports, audit: AuditTrail, actors: Actors) -> None:
        self._ports, self._audit, self._actors = ports, audit, actors
        self.reviews = AccessReviews(ports, audit)
        self._writing = asyncio.Lock()  # whether duties conflict and that they are given are one step

    async def propose_grant(
        self, caller: Caller, *, holder: str, role: Role, scope: Scope, until: datetime | None = None, ballot: Ballot = NO_BALLOT
    ) -> HeldGrant:
        """Offers a role to a person, who has to accept it; a machine has it at once. `NeedsVotes` where others have to agree first.

        `holder` is "person:USERNAME" or the id of a person or machine. What a machine holds already of the same role is replaced.
        """
        act = caller.act(Permission.ACCESS_GRANT_PROPOSE, "grant:new", resource=None, role=role.value)
        async with self._audit.act(act) as opened, self._writing:
            to = await find_holder(self._ports, holder)
            self._audit.check_visible(caller, Permission.ACCESS_GRANT_PROPOSE, Resource(party=to.party), unknown_holder())
            opened.act = replace(opened.act, object=f"grant:{to.id}")
            wanted, end = with_party(role, scope, to.party), self._end(to, until)
            live = await self._check_grantable(caller, to, role, wanted, end)
            order = order_of(_content(to.id, role, wanted, end), ballot)
            resource = Resource(party=to.party, role=role, subject=to.person)
            opened.check(resource, ballot=ballot, order=order)
            now = self._ports.clock.now()
            made = new_record(GrantId(self._ports.entropy.ulid("grt")), to, role, wanted, end, caller.actor.id, now)
            record = replace(made, proposal=proposal_of(caller))
            replaced = () if to.is_person else tuple(UpdateGrant(end_record(old, caller.actor.id, now)) for old in live)
            await self._ports.store.commit(*replaced, AddGrant(record), opened.done(object=f"grant:{record.id}"))
            self._actors.forget(to.id)
            return HeldGrant(record, to)

    async def carry_out(self, caller: Caller, order: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """Offers what a proposal said, now that others agreed; the grant's id."""
        match order:
            case {"do": "grant", "holder": str(holder), "role": str(role), "scope": scope, "until": str(until)}:
                wanted = decode_scope(scope)
                held = await self.propose_grant(
                    caller, holder=holder, role=_read_role(role), scope=wanted, until=_read_time(until), ballot=ballot
                )
                return held.record.id
        raise unreadable()

    async def accept_grant(self, caller: Caller, id: GrantId) -> HeldGrant:
        """The person says yes, signed in as themselves. Judged as if they held it already, so that a conflict of duties shows here."""
        # EN 319 401 REQ-7.2-16: trusted roles are accepted by those who fill them.
        record = await self._lookup_own(caller, id)
        if record is None:
            raise _unknown(id)
        holder = await find_holder(self._ports, record.holder)
        act = await self._own_act(caller, record, "accept")
        async with self._audit.act(act) as opened:
            now = self._ports.clock.now()
            if record.state is not GrantState.OFFERED:
                raise Conflict(Finding("grant.state", f"grant {id} is {record.state}, not offered", path="grant"))
            if record.until <= now:
                raise Conflict(Finding("grant.expired", f"grant {id} would have ended at {_spell(record.until)}", path="grant"))
            accepted = replace(record, state=GrantState.ACTIVE, accepted_at=now)
            await self._ports.store.commit(UpdateGrant(accepted), opened.done())
            self._actors.forget(record.holder)
            return HeldGrant(replace(accepted, version=record.version + 1), holder)

    async def end_grant(self, caller: Caller, id: GrantId) -> HeldGrant:
        """Takes a role away, at once and with every token that was narrowed from it. Nobody else has to agree to less."""
        record = await self._lookup_own(caller, id)
        if record is not None:
            act = await self._own_act(caller, record, "give up")
        else:
            act = caller.act(self._ending(caller), f"grant:{id}", resource=None, do="end")
        async with self._audit.act(act) as opened:
            record = await self._load(id)
            holder = await find_holder(self._ports, record.holder)
            if act.resource is None:
                self._audit.check_visible(caller, act.action, Resource(party=holder.party), _unknown(id))
                opened.check(Resource(party=holder.party, role=record.role, count=0))  # nothing is given
            if record.state is GrantState.ENDED:
                raise Conflict(Finding("grant.state", f"grant {id} has ended already", path="grant"))
            ended = end_record(record, caller.actor.id, self._ports.clock.now())
            await self._ports.store.commit(UpdateGrant(ended), opened.done())
            self._actors.forget(record.holder)
            return HeldGrant(replace(ended, version=record.version + 1), holder)

    async def get_grant(self, caller: Caller, id: GrantId) -> HeldGrant:
        is_own = (await self._lookup_held(caller, id)) is not None
        if not is_own:
            self._audit.check_held(caller, Permission.ACCESS_GRANT_READ)
        record = await self._load(id)
        holder = await find_holder(self._ports, record.holder)
        if not is_own:
            self._audit.check_visible(caller, Permission.ACCESS_GRANT_READ, Resource(party=holder.party), _unknown(id))
        return HeldGrant(record, holder)

    async def list_grants(
        self, caller: Caller, *, holder: str = "", role: str = "", state: str = "", cursor: str = "", limit: int = 50
    ) -> Page[HeldGrant]:
        """The register, oldest first. Everybody may see what they hold or are offered themselves: `holder` `ME`."""
        parties = None
        if holder == ME and holder_of(caller.actor):
            holder = holder_of(caller.actor)
        else:
            parties = self._audit.parties_of(caller, Permission.ACCESS_GRANT_READ)
            holder = holder and (await self._find_visible(holder, parties)).id
        page = await self._ports.store.list_grants(holder=holder, role=role, state=state, parties=parties, cursor=cursor, limit=limit)
        return Page(await with_holders(self._ports, page.items), page.next)

    # ------------------------------------------------------------------------------------------------------------------ checks

    async def _check_grantable(self, caller: Caller, to: Holder, role: Role, scope: Scope, until: datetime) -> tuple[GrantRecord, ...]:
        """Everything that speaks against it, at once; what the holder has now."""
        now = self._ports.clock.now()
        live = await find_live_grants(self._ports, to.id, now)
        found = [*find_grant_faults(to.kind, role, scope, until, (record.role for record in live)), *find_scope_faults(scope)]
        if not to.may_hold:
            found.append(Finding("grant.holder.state", f"{to.id} has left or is suspended", path="holder"))
        if role in _GIVEN_BY_NOBODY:
            found.append(Finding("grant.role.reserved", f"{role} is given by nobody", path="role", hint="chargepki grant propose --help"))
        if role is Role.DEVELOPER and not self._audit.policy.is_development:
            found.append(
                Finding("grant.role.development", "nobody holds everything here", path="role", hint="chargepki grant propose --help")
            )
        if caller.actor.person and to.id == f"person:{caller.actor.person}":
            found.append(Finding("grant.holder.self", "nobody proposes a grant for themselves", path="holder", hint="ask somebody else to"))
        if to.is_person and len(live) >= HELD_MAX:
            found.append(Finding("grant.holder.full", f"{to.id} holds {HELD_MAX} grants already", path="holder", hint="end one first"))
        held = next((r for r in live if r.role is role and r.scope == scope and r.until >= until), None)
        if held is not None:
            message = f"{to.id} holds this already, until {_spell(held.until)} ({held.id})"
            found.append(Finding("grant.held", message, path="role", hint="name a later end to prolong it"))
        refuse_errors(found)
        if ROLES[role].plane not in _OF_A_PARTY and self._audit.parties_of(caller, Permission.ACCESS_GRANT_PROPOSE) is not None:
            message = f"{role} is no role within a party: only the platform's administrators propose it"
            raise NotAuthorised(Finding("grant.role.plane", message, path="role"))
        check_reach(caller.actor, Permission.ACCESS_GRANT_PROPOSE, scope, until, now)
        return live

    def _end(self, to: Holder, until: datetime | None) -> datetime:
        now = self._ports.clock.now()
        end = until or now + timedelta(days=PERSON_DAYS if to.is_person else MACHINE_DAYS)
        check_end(end, now)
        return end.astimezone(UTC).replace(microsecond=0)

    def _ending(self, caller: Caller) -> Permission:
        """Whoever proposes or approves grants may end one."""
        held = held_permissions(caller.actor, self._ports.clock.now(), self._audit.policy)
        proposes = Permission.ACCESS_GRANT_PROPOSE in held
        return Permission.ACCESS_GRANT_PROPOSE if proposes else Permission.ACCESS_GRANT_APPROVE

    async def _own_act(self, caller: Caller, record: GrantRecord, do: str) -> Act:
        """What holders do with their own grant, judged as if it was in force: a conflict of duties shows here as well."""
        would_hold = replace(caller.actor, grants=(*(g for g in caller.actor.grants if g.id != record.id), record.grant))
        holder = await find_holder(self._ports, record.holder)
        resource = Resource(party=_party_within(record.scope, holder.party))
        as_holder = replace(caller, actor=would_hold)
        return as_holder.act(Permission.ACCESS_GRANT_ACCEPT, f"grant:{record.id}", resource=resource, role=record.role.value, do=do)

    async def _lookup_own(self, caller: Caller, id: GrantId) -> GrantRecord | None:
        """The grant, where the caller is its holder in person: a token speaks for nobody's consent."""
        try:
            record = await self._ports.store.get_grant(id)
        except NotFound:
            return None
        is_holder = caller.actor.kind is ActorKind.PERSON and caller.actor.id == record.holder
        return record if is_holder else None

    async def _lookup_held(self, caller: Caller, id: GrantId) -> GrantRecord | None:
        """The grant, where the caller, or who their token speaks for, is its holder."""
        try:
            record = await self._ports.store.get_grant(id)
        except NotFound:
            return None
        return record if holder_of(caller.actor) == record.holder else None

    async def _load(self, id: GrantId) -> GrantRecord:
        try:
            return await self._ports.store.get_grant(id)
        except NotFound:
            raise _unknown(id) from None

    async def _find_visible(self, text: str, parties: frozenset[PartyId] | None) -> Holder:
        holder = await find_holder(self._ports, text)
        if parties is not None and holder.party not in parties:
            raise unknown_holder()
        return holder


def new_record(id: GrantId, to: Holder, role: Role, scope: Scope, until: datetime, by: str, now: datetime) -> GrantRecord:
    """People accept first; a machine cannot say no."""
    state = GrantState.OFFERED if to.is_person else GrantState.ACTIVE
    return GrantRecord(id, to.id, role, scope, until, state, by, now, accepted_at=None if to.is_person else now)


def end_record(record: GrantRecord, by: str, now: datetime) -> GrantRecord:
    return replace(record, state=GrantState.ENDED, ended_at=now, ended_by=by)


def with_party(role: Role, scope: Scope, party: PartyId) -> Scope:
    """A role within a party reaches that party, unless it was said which."""
    is_open = scope.parties is None and ROLES[role].plane in _OF_A_PARTY
    return replace(scope, parties=frozenset({party})) if is_open else scope


def check_end(end: datetime, now: datetime) -> None:
    if not now < end <= now + timedelta(days=DAYS_MAX):
        raise Refused.because("grant.until", f"a grant ends within {DAYS_MAX} days, and not before now", path="until")


def check_reach(actor: Actor, permission: Permission, scope: Scope, until: datetime, now: datetime) -> None:
    """Nobody hands out a wider scope than the one in which they may hand out at all."""
    for grant in actor.grants:
        if permission in permissions_of(grant.role, actor.kind, grant.narrowed_to):
            narrowed = narrow_grants((grant,), patterns=None, scope=scope, until=until, now=now)
            if any(found.scope == scope for found in narrowed):
                return
    message = f"this scope is wider than that in which {actor.id} holds {permission}"
    raise NotAuthorised(Finding("grant.scope.beyond", message, path="scope", hint="chargepki whoami shows your own scope"))


def find_scope_faults(scope: Scope) -> Iterable[Finding]:
    for name in ("parties", "authorities", "profiles", "names"):
        items = getattr(scope, name)
        if items is not None and not 0 < len(items) <= SCOPE_ITEMS_MAX:
            yield Finding("grant.scope.size", f"a scope names 1 to {SCOPE_ITEMS_MAX} {name}, or none to mean all", path=f"scope.{name}")


def _unknown(id: GrantId) -> NotFound:
    return NotFound(Finding("grant.unknown", f"there is no grant {id}", path="grant", hint="chargepki grant list"))


def _content(holder: str, role: Role, scope: Scope, until: datetime) -> dict[str, JsonValue]:
    return {"do": "grant", "holder": holder, "role": role.value, "scope": encode_scope(scope), "until": _spell(until)}


def _read_role(text: str) -> Role:
    if text not in list(Role):
        raise unreadable()
    return Role(text)


def _read_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise unreadable() from None


def _party_within(scope: Scope, own: PartyId) -> str:
    """A party that the scope reaches, the holder's own where it can."""
    return own if scope.parties is None or own in scope.parties else min(scope.parties)


def _spell(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime(_TIME)
