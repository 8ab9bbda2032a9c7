"""Bearer tokens: who holds one, what it may do, until when.

A token is random and long, so one SHA-256 finds it; a password hash on every call would only slow the platform down.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.decide import SYSTEM, held_permissions, narrow_grants, pattern_covers
from chargepki.core.access.model import EVERYWHERE, Actor, ActorKind, Grant, Resource, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.identifiers.name_spaces import ALL, NameKind, NameSpace
from chargepki.core.records import (
    PLATFORM_PARTY,
    ApiToken,
    GrantId,
    GrantRecord,
    GrantState,
    Machine,
    MachineId,
    MachineState,
    Page,
    PartyId,
    StationId,
    TokenId,
)
from chargepki.core.secret_text import new_secret
from chargepki.errors import Finding, NotAuthenticated, NotAuthorised, NotFound, refuse_errors
from chargepki.ports import AddApiToken, AddGrant, AddMachine, Ports, RevokeApiToken
from chargepki.services.actors import Actors, check_token_lives, device_actor
from chargepki.services.audit import AuditTrail, Caller, OpenAct
from chargepki.services.scoping import missing

API_PREFIX: Final = "cpat"
ENROLMENT_PREFIX: Final = "cpet"
BEARER_LENGTH_MAX: Final = 128
SECRET_OCTETS: Final = 32
NAME_LENGTH_MAX: Final = 64
SCOPES_MAX: Final = 64
VALID_DAYS: Final = 90  # where nobody says; machines renew
VALID_DAYS_MAX: Final = 3650
KNOWN_MAX: Final = 1_000  # tokens held in memory; a deployment has a few dozen
DEPTH_MAX: Final = 8  # of tokens narrowed from tokens
_PATTERN: Final = re.compile(r"(\*|[a-z0-9-]+):(\*|[a-z0-9-]+):(\*|[a-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token wanted. `scopes` are permission patterns; `scope` narrows where they reach."""

    name: str
    scopes: frozenset[str]
    scope: Scope = EVERYWHERE
    valid_days: int = VALID_DAYS


class Access:
    def __init__(self, ports: Ports, audit: AuditTrail, actors: Actors) -> None:
        self._ports, self._audit, self._actors = ports, audit, actors
        self._known: dict[bytes, tuple[ApiToken, datetime]] = {}

    async def authenticate(self, bearer: str) -> Actor:
        """The holder of a bearer token; `NotAuthenticated` when it is unknown, ended, or was used up.

        A token that was revoked here ends at once, one that another node revoked within a second.
        """
        if len(bearer) > BEARER_LENGTH_MAX or not bearer.isascii():
            raise _not_authenticated("the bearer token is none of ours")
        digest = hashlib.sha256(bearer.encode()).digest()
        if bearer.startswith(f"{ENROLMENT_PREFIX}_"):
            return await self._authenticate_enrolee(digest)
        now = self._ports.clock.now()
        token = await self._find_token(digest, now)
        if token is None:
            raise _not_authenticated("the bearer token is unknown")
        check_token_lives(token, now)
        return await self._actors.of_token(token)

    async def create_token(self, caller: Caller, order: TokenOrder) -> tuple[ApiToken, str]:
        """A new token for the caller, and its secret, which is shown this once. It can never do more than the caller, nor longer."""
        resource, scopes = own_resource(caller.actor), " ".join(sorted(order.scopes))
        told = {"name": order.name}  # after their owner, often
        act = caller.act(Permission.ACCESS_TOKEN_CREATE, "token:new", resource=resource, personal=told, scopes=scopes)
        async with self._audit.act(act) as opened:
            refuse_errors(_find_token_faults(order))
            holder, parent = await self._holder_of(caller.actor)
            await self._check_depth(parent)
            now = self._ports.clock.now()
            expires = now + timedelta(days=order.valid_days)
            _check_no_more_than_own(caller.actor, order, held_permissions(caller.actor, now, self._audit.policy))
            scope = await self._with_all_names(caller, order.scope)
            grants = narrow_grants(caller.actor.grants, patterns=order.scopes, scope=scope, until=expires, now=now)
            ends = [expires, *([] if parent is None else [parent.expires_at])]
            token, secret = self._new_token(caller.actor.id, order.name, grants, holder, min(ends), parent)
            await self._ports.store.commit(AddApiToken(token), opened.done(object=f"token:{token.id}"))
            return token, secret

    async def create_machine_token(
        self, opened: OpenAct, machine: Machine, grants: tuple[Grant, ...], expires_at: datetime
    ) -> tuple[AddApiToken, str]:
        """A token for a machine that is being registered, as a change of that same act."""
        token, secret = self._new_token(opened.act.actor.id, machine.name, grants, f"machine:{machine.id}", expires_at, None, machine.party)
        return AddApiToken(token), secret

    async def bootstrap_developer(self, keep: Callable[[str], Awaitable[None]]) -> None:
        """The development platform's first token, which may do everything there. `keep` puts the secret where its user finds it:
        before the commit, since a start that is cut off in between must not leave a token that nobody knows."""
        now = self._ports.clock.now()
        until = now + timedelta(days=VALID_DAYS_MAX)
        machine = Machine(MachineId(self._ports.entropy.ulid("mch")), "admin", PLATFORM_PARTY, MachineState.ACTIVE, now)
        holder = f"machine:{machine.id}"
        record = GrantRecord(
            GrantId(self._ports.entropy.ulid("grt")), holder, Role.DEVELOPER, EVERYWHERE, until, GrantState.ACTIVE, SYSTEM.id, now
        )
        act = Caller(SYSTEM, door="system").act(Permission.SYSTEM_BOOTSTRAP, "token:admin", role=Role.DEVELOPER)
        async with self._audit.act(act) as opened:
            token, secret = self._new_token(SYSTEM.id, "admin", (record.grant,), holder, until, None)
            await keep(secret)
            added = (AddMachine(machine), AddGrant(record), AddApiToken(token))
            await self._ports.store.commit(*added, opened.done(object=f"token:{token.id}"))

    async def revoke_token(self, caller: Caller, id: TokenId) -> None:
        """Ends a token and all that were narrowed from it. Everybody may end their own."""
        self._audit.check_held(caller, Permission.ACCESS_TOKEN_REVOKE)
        token = await self._ports.store.get_api_token(id)
        is_own = token.holder == (await self._holder_of(caller.actor))[0] if caller.actor.kind is not ActorKind.STATION else False
        resource = Resource(party=token.party, is_own=is_own)
        if not is_own:
            self._audit.check_visible(caller, Permission.ACCESS_TOKEN_READ, resource, missing("token", id, "token"))
        async with self._audit.act(caller.act(Permission.ACCESS_TOKEN_REVOKE, f"token:{id}", resource=resource)) as opened:
            await self._ports.store.commit(RevokeApiToken(id, self._ports.clock.now()), opened.done())
        self._known.clear()

    async def list_tokens(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[ApiToken]:
        parties = self._audit.parties_of(caller, Permission.ACCESS_TOKEN_READ)
        return await self._ports.store.list_api_tokens(parties=parties, cursor=cursor, limit=limit)

    async def _with_all_names(self, caller: Caller, scope: Scope) -> Scope:
        """A station has an identity and a serial number, and both must be covered: whoever names one means the other with it."""
        if scope.names is None:
            return scope
        stations = [StationId(space.value) for space in scope.names if space.kind is NameKind.STATION and space.value != ALL]
        has_serials = any(space.kind is NameKind.STATION_SERIAL for space in scope.names)
        if stations and not has_serials:
            serials = [await self._lookup_serial(caller, station) for station in stations]
            return replace(scope, names=scope.names.union(NameSpace(NameKind.STATION_SERIAL, serial) for serial in serials if serial))
        if has_serials and not any(space.kind is NameKind.STATION for space in scope.names):
            return replace(scope, names=scope.names | {NameSpace(NameKind.STATION, ALL)})
        return scope

    async def _lookup_serial(self, caller: Caller, id: StationId) -> str:
        """ "" for a station that does not exist for this caller."""
        try:
            station = await self._ports.store.get_station(id)
        except NotFound:
            return ""
        return station.serial_number if self._audit.reaches_party(caller, Permission.ACCESS_TOKEN_CREATE, station.party) else ""

    async def _find_token(self, digest: bytes, now: datetime) -> ApiToken | None:
        """Read once per token and second: the look-up would be a sixth of what a certificate costs."""
        known, read_at = self._known.get(digest, (None, None))
        if read_at == now:
            return known
        token = await self._ports.store.lookup_api_token(digest)
        if token is not None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[digest] = (token, now)
        return token

    async def _authenticate_enrolee(self, digest: bytes) -> Actor:
        token = await self._ports.store.lookup_enrolment_token(digest)
        if token is None:
            raise _not_authenticated("the enrolment token is unknown")
        # Whether it was used or has expired is registration's to say, with a finding: the holder did prove who it is.
        return enrolee(token.station)

    async def _holder_of(self, actor: Actor) -> tuple[str, ApiToken | None]:
        """Who the caller is in the register, and the token they came with."""
        if not actor.id.startswith("token:"):
            return actor.id, None
        token = await self._ports.store.get_api_token(TokenId(actor.id.rpartition("/")[2]))
        return token.holder, token

    async def _check_depth(self, token: ApiToken | None) -> None:
        for _ in range(DEPTH_MAX - 1):
            if token is None or token.parent is None:
                return
            token = await self._ports.store.get_api_token(token.parent)
        raise NotAuthorised(
            Finding("access.token.depth", f"tokens may be narrowed from tokens {DEPTH_MAX} times", hint="take an earlier one of the chain")
        )

    def _new_token(
        self,
        creator: str,
        name: str,
        grants: tuple[Grant, ...],
        holder: str,
        expires_at: datetime,
        parent: ApiToken | None,
        party: PartyId | None = None,
    ) -> tuple[ApiToken, str]:
        secret, now = new_secret(API_PREFIX, self._ports.entropy.octets(SECRET_OCTETS)), self._ports.clock.now()
        id = TokenId(self._ports.entropy.ulid("tok"))
        token = ApiToken(
            id,
            hashlib.sha256(secret.encode()).digest(),
            name,
            grants,
            holder,
            creator,
            now,
            expires_at,
            parent=None if parent is None else parent.id,
            party=party if party is not None else _party_of(grants),
        )
        return token, secret


def enrolee(station: str) -> Actor:
    """Somebody who holds nothing but a station's one-time token: the station, for one certificate."""
    actor = device_actor(station)
    one_request = frozenset({Permission.CERTIFICATE_ISSUE.value})
    return Actor(actor.id, actor.kind, tuple(Grant(ENROLEE, g.role, g.scope, narrowed_to=one_request) for g in actor.grants))


ENROLEE: Final = "enrolee"  # the id of an enrolee's grant


def is_enrolee(actor: Actor) -> bool:
    return any(grant.id == ENROLEE for grant in actor.grants)


def own_resource(actor: Actor) -> Resource:
    """What is the caller's own lies in the caller's own party."""
    return Resource(party=_party_of(actor.grants), is_own=True)


def _party_of(grants: tuple[Grant, ...]) -> PartyId:
    """The one party these grants are bounded by; the platform's where they are not."""
    parties = {party for grant in grants if grant.role is not Role.SELF for party in grant.scope.parties or {""}}
    return PartyId(min(parties, default="")) if len(parties) == 1 else PLATFORM_PARTY


def _find_token_faults(order: TokenOrder) -> Iterable[Finding]:
    if not 0 < len(order.name) <= NAME_LENGTH_MAX or not order.name.isprintable():
        yield Finding("access.token.name", f"a token's name has 1 to {NAME_LENGTH_MAX} printable characters", path="name")
    if not 0 < len(order.scopes) <= SCOPES_MAX:
        yield Finding("access.token.scopes", f"a token has 1 to {SCOPES_MAX} scopes", path="scopes")
    for scope in sorted(order.scopes)[:SCOPES_MAX]:
        if not _PATTERN.fullmatch(scope) or not any(pattern_covers(scope, permission) for permission in Permission):
            yield Finding("access.token.scope", f"{scope!r} covers no permission", path="scopes", hint="for instance certificate:*:*")
    if not 1 <= order.valid_days <= VALID_DAYS_MAX:
        yield Finding("access.token.validity", f"a token lives 1 to {VALID_DAYS_MAX} days", path="valid_days")


def _check_no_more_than_own(actor: Actor, order: TokenOrder, own: frozenset[Permission]) -> None:
    wanted = [permission for permission in Permission if any(pattern_covers(scope, permission) for scope in order.scopes)]
    exact = [permission for permission in wanted if permission.value in order.scopes and permission not in own]
    if exact or not any(permission in own for permission in wanted):
        raise NotAuthorised(
            Finding(
                "access.token.beyond",
                f"{actor.id} does not hold {', '.join(exact or wanted[:8])}",
                path="scopes",
                hint="ask for scopes you hold yourself",
            )
        )


def _not_authenticated(message: str) -> NotAuthenticated:
    return NotAuthenticated(Finding("access.token.invalid", message, hint="Authorization: Bearer TOKEN; see chargepki token create"))
