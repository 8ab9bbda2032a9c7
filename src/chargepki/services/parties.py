"""Parties: the organisations of the platform, what they are, and which names each of them may speak for."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.model import NO_BALLOT, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import ALL, NameKind, NameSpace, covers, dns_name, overlaps, parse_name_space
from chargepki.core.identifiers.party import parse_party_id
from chargepki.core.records import Page, Party, PartyId, PartyRole, PartyState
from chargepki.errors import Broken, Conflict, Finding, NotFound, Refused, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, AddParty, Ports, UpdateParty
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.labels import LABEL_MAX, parse_label
from chargepki.services.proposed import order_of, read_texts, unreadable
from chargepki.services.scoping import no_such_party

PARTIES_MAX: Final = 10_000  # all of them are compared when a name space is added, and fit in memory many times over
SPACES_MAX: Final = 64  # of one party; the largest operators hold a dozen ids, and a decision is recorded with all of them
KNOWN_MAX: Final = 20_000  # answers held in memory, of parties that exist and of names that nobody has
SLUG_MAX: Final = 32  # of an id made from a name: nine more characters make it unique
_NOT_OF_A_PARTY: Final = frozenset({NameKind.STATION})  # one station is what a token is narrowed to
DEVELOPMENT_SPACES: Final = tuple(f"{kind}:{ALL}" for kind in NameKind if kind not in _NOT_OF_A_PARTY)
_STATES: Final = frozenset({"", *PartyState})  # of an order: "" leaves it
_NO_SLUG: Final = re.compile(r"[^a-z0-9]+")


class Parties:
    def __init__(self, ports: Ports, audit: AuditTrail) -> None:
        self._ports, self._audit = ports, audit
        self._known: dict[str, tuple[Party | None, datetime]] = {}
        self._all: tuple[tuple[Party, ...], datetime] | None = None
        self._writing = asyncio.Lock()  # whether a name space is free and that it is taken are one step

    async def create_party(
        self,
        caller: Caller,
        *,
        id: str,
        name: str,
        roles: frozenset[PartyRole],
        spaces: Sequence[str] = (),
        ballot: Ballot = NO_BALLOT,
    ) -> Party:
        """Registers an organisation. With name spaces, others may have to agree (`NeedsVotes`); without any it can ask for nothing yet."""
        act = caller.act(Permission.ACCESS_PARTY_WRITE, f"party:{id}", resource=None, name=name)
        act.detail.update(_told(roles, spaces, ()))
        async with self._audit.act(act) as opened, self._writing:
            label = parse_label(name, path="name", code="party.name", clause="OCPP A00.FR.509")
            now = self._ports.clock.now()
            party = Party(parse_party_id(id), label, _parse_roles(roles), _parse_spaces(spaces), PartyState.ACTIVE, now)
            await self._check_new(party)
            await self._check_free(party.id, party.spaces)
            content: dict[str, JsonValue] = {"do": "create", "id": id, "name": name, "roles": sorted(roles), "spaces": [*spaces]}
            opened.check(_resource(party.id, party.spaces), ballot=ballot, order=order_of(content, ballot))
            await self._ports.store.commit(AddParty(party), opened.done(after_sha256=_digest(party)))
            self._forget()
            return party

    async def get_party(self, caller: Caller, id: PartyId) -> Party:
        self._audit.check_visible(caller, Permission.ACCESS_PARTY_READ, Resource(party=id), _unknown(id))
        return await self._ports.store.get_party(id)

    async def list_parties(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[Party]:
        parties = self._audit.parties_of(caller, Permission.ACCESS_PARTY_READ)
        return await self._ports.store.list_parties(parties=parties, cursor=cursor, limit=limit)

    async def update_party(
        self,
        caller: Caller,
        id: PartyId,
        *,
        roles: frozenset[PartyRole] | None = None,
        state: PartyState | None = None,
        add_spaces: Sequence[str] = (),
        remove_spaces: Sequence[str] = (),
        ballot: Ballot = NO_BALLOT,
    ) -> Party:
        """Changes what is given. What takes away works at once; where others must agree to an added space, the whole change waits."""
        act = caller.act(Permission.ACCESS_PARTY_WRITE, f"party:{id}", resource=None)
        act.detail.update(_told(roles or (), add_spaces, remove_spaces) | ({"state": state.value} if state else {}))
        async with self._audit.act(act) as opened, self._writing:
            self._audit.check_visible(caller, Permission.ACCESS_PARTY_WRITE, Resource(party=id), _unknown(id))
            old = await self._ports.store.get_party(id)
            added, removed = _parse_spaces(add_spaces), _parse_spaces(remove_spaces)
            new = _changed(old, roles, state, added, removed)
            await self._check_free(id, new.spaces - old.spaces)
            content = _change_content(id, roles, state, add_spaces, remove_spaces)
            opened.check(_resource(id, new.spaces - old.spaces), ballot=ballot, order=order_of(content, ballot))
            await self._ports.store.commit(UpdateParty(new), opened.done(before_sha256=_digest(old), after_sha256=_digest(new)))
            self._forget()
            return replace(new, version=old.version + 1)

    async def carry_out(self, caller: Caller, order: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """Does what a proposal said, now that others agreed; the party's id."""
        match order:
            case {"do": "create", "id": str(id), "name": str(name), "roles": roles, "spaces": spaces}:
                await self.create_party(caller, id=id, name=name, roles=_read_roles(roles), spaces=read_texts(spaces), ballot=ballot)
                return id
            case {"do": "change", "id": str(id), "roles": roles, "state": str(state), "add": add, "remove": remove} if state in _STATES:
                await self.update_party(
                    caller,
                    PartyId(id),
                    roles=None if roles is None else _read_roles(roles),
                    state=PartyState(state) if state else None,
                    add_spaces=read_texts(add),
                    remove_spaces=read_texts(remove),
                    ballot=ballot,
                )
                return id
        raise unreadable()

    # --------------------------------------------------------------------------- for other services: no permission is asked here

    async def get(self, id: PartyId) -> Party:
        """`NotFound` when there is none. At most a second old; what this process changes is seen at once."""
        found = await self._remember(f"id:{id}", lambda: self._lookup(id))
        if found is None:
            raise _unknown(id)
        return found

    async def find_by_operator(self, name_or_id: str) -> Party | None:
        """The party that a station's operator is, by its id or else by its name."""
        return await self._remember(f"operator:{name_or_id}", lambda: self._lookup_operator(name_or_id))

    async def owner_of_host(self, host: str) -> Party | None:
        """Whose name space holds this host; the longest suffix wins. None too where several parties hold every host."""
        name = dns_name(host)
        held = [(_reach(space), party) for party in await self._everybody() for space in party.spaces if covers(space, name)]
        longest = max((reach for reach, _ in held), default=0)
        owners = [party for reach, party in held if reach == longest]
        return owners[0] if len(owners) == 1 else None

    async def ensure_development(self, caller: Caller, operator: str) -> Party:
        """The operator's party. Under the development policy one that nobody registered is registered now, with every name space."""
        known = await self.find_by_operator(operator)
        if known is not None:
            return known
        if not self._audit.policy.is_development:
            hint = "chargepki party create ID --name NAME --role cpo --space evse-operator:DE*ABC"
            raise Refused.because("party.operator.unknown", f"no party is called {operator[:LABEL_MAX]!r}", path="operator", hint=hint)
        try:
            return await self.create_party(
                caller, id=_slug(operator), name=operator, roles=frozenset({PartyRole.CPO}), spaces=DEVELOPMENT_SPACES
            )
        except Conflict:  # somebody else was quicker
            known = await self.find_by_operator(operator)
            if known is None:
                raise
            return known

    async def _lookup(self, id: PartyId) -> Party | None:
        try:
            return await self._ports.store.get_party(id)
        except NotFound:
            return None

    async def _lookup_operator(self, name_or_id: str) -> Party | None:
        return await self._lookup(PartyId(name_or_id)) or await self._ports.store.lookup_party_by_name(name_or_id)

    async def _remember(self, key: str, look: Callable[[], Awaitable[Party | None]]) -> Party | None:
        """Read once per second: every order asks whose it is."""
        now = self._ports.clock.now()
        known, read_at = self._known.get(key, (None, None))
        if read_at == now:
            return known
        found = await look()
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[key] = (found, now)
        return found

    async def _everybody(self) -> tuple[Party, ...]:
        now = self._ports.clock.now()
        if self._all is None or self._all[1] != now:
            self._all = (await self._read_all(), now)
        return self._all[0]

    async def _read_all(self) -> tuple[Party, ...]:
        read: list[Party] = []
        cursor = ""
        while len(read) <= PARTIES_MAX:
            page = await self._ports.store.list_parties(cursor=cursor, limit=PAGE_SIZE_MAX)
            read.extend(page.items)
            if not (cursor := page.next):
                return tuple(read)
        raise Broken(f"there are more than {PARTIES_MAX} parties", hint="this platform compares all of them: divide it")

    async def _check_new(self, party: Party) -> None:
        """Stations name their operator by id or by name: neither may mean two parties."""
        for text in (party.id, party.name):
            if await self._lookup_operator(text) is not None:
                raise Conflict(Finding("party.exists", f"there is a party called {text} already", path="id", hint="chargepki party list"))

    async def _check_free(self, id: PartyId, spaces: frozenset[NameSpace]) -> None:
        """No name may be spoken for by two. Whose a space is already is nobody else's business."""
        if not spaces:
            return
        others = [space for party in await self._read_all() if party.id != id for space in party.spaces]
        taken = sorted(str(space) for space in spaces if any(self._is_shared(space, other) for other in others))
        hint = "add a narrower space, or ask the platform's registration officers"
        refuse_errors(Finding("party.space.taken", f"{space} overlaps another party's", path="spaces", hint=hint) for space in taken)

    def _is_shared(self, space: NameSpace, other: NameSpace) -> bool:
        if self._audit.policy.is_development and ALL in (space.value, other.value):
            return False  # a development platform hands everything to everybody
        return overlaps(space, other)

    def _forget(self) -> None:
        self._known.clear()
        self._all = None


def _unknown(id: PartyId) -> NotFound:
    return no_such_party(id)


def _resource(id: PartyId, added: frozenset[NameSpace]) -> Resource:
    """`count` is how many name spaces are added: none, and nobody else need agree."""
    return Resource(party=id, count=len(added))


def _changed(
    old: Party, roles: frozenset[PartyRole] | None, state: PartyState | None, added: frozenset[NameSpace], removed: frozenset[NameSpace]
) -> Party:
    missing = sorted(map(str, removed - old.spaces))
    held = f"it holds {', '.join(sorted(map(str, old.spaces))[:8]) or 'none'}"
    refuse_errors(Finding("party.space.absent", f"{old.id} does not hold {space}", path="remove_spaces", hint=held) for space in missing)
    spaces = (old.spaces - removed) | added
    if len(spaces) > SPACES_MAX:
        raise Refused.because("party.spaces", f"a party has at most {SPACES_MAX} name spaces", path="add_spaces")
    new = replace(old, roles=old.roles if roles is None else _parse_roles(roles), state=state or old.state, spaces=spaces)
    if new == old:
        raise Refused.because("party.unchanged", "the request changes nothing", hint="name a role, a name space or a state")
    return new


def _parse_roles(roles: frozenset[PartyRole]) -> frozenset[PartyRole]:
    if not roles:
        raise Refused.because("party.roles", "a party has at least one role", path="roles", hint=", ".join(PartyRole))
    return roles


def _parse_spaces(texts: Sequence[str]) -> frozenset[NameSpace]:
    if len(texts) > SPACES_MAX:
        raise Refused.because("party.spaces", f"a party has at most {SPACES_MAX} name spaces", path="spaces")
    found: list[Finding] = []
    spaces: set[NameSpace] = set()
    for text in texts:
        try:
            space = parse_name_space(text)
        except Refused as refusal:
            found.extend(refusal.findings)
            continue
        spaces.add(space)
        if space.kind in _NOT_OF_A_PARTY:
            hint = "a station belongs to the party that is its operator"
            found.append(Finding("party.space.kind", f"{space} is no name space of a party", path="spaces", hint=hint))
    refuse_errors(found)
    return frozenset(spaces)


def _told(roles: Iterable[PartyRole], added: Sequence[str], removed: Sequence[str]) -> dict[str, str]:
    """What the log tells in clear: all of it is about organisations."""
    told = {"roles": " ".join(sorted(roles)), "added": " ".join(sorted(added)), "removed": " ".join(sorted(removed))}
    return {name: text for name, text in told.items() if text}


def _change_content(
    id: PartyId, roles: frozenset[PartyRole] | None, state: PartyState | None, added: Sequence[str], removed: Sequence[str]
) -> dict[str, JsonValue]:
    return {
        "do": "change",
        "id": id,
        "roles": None if roles is None else sorted(roles),
        "state": state.value if state else "",
        "add": [*added],
        "remove": [*removed],
    }


def _digest(party: Party) -> bytes:
    value: dict[str, JsonValue] = {
        "id": party.id,
        "name": party.name,
        "roles": sorted(party.roles),
        "spaces": sorted(map(str, party.spaces)),
        "state": party.state,
    }
    return hashlib.sha256(canonical_json.encode(value)).digest()


def _reach(space: NameSpace) -> int:
    """How narrow a domain suffix is; 0 for every host."""
    return 0 if space.value == ALL else space.value.count(".") + 1


def _slug(name: str) -> str:
    """An id for a party that is known by its name only."""
    slug = _NO_SLUG.sub("-", name.lower()).strip("-")[:SLUG_MAX].strip("-")
    return slug if slug == name else f"{slug or 'party'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _read_roles(value: JsonValue) -> frozenset[PartyRole]:
    texts = read_texts(value)
    if not set(texts) <= set(PartyRole):
        raise unreadable()
    return frozenset(map(PartyRole, texts))
