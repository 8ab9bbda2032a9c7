"""Bearer tokens: who holds one, what it may do, until when.

A token is random and long, so one SHA-256 finds it; a password hash on every call would only slow the platform down.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.decide import SYSTEM, Actor, ActorKind, check_allowed, covers
from chargepki.core.access.permissions import Permission
from chargepki.core.records import ApiToken, Page, TokenId
from chargepki.core.secret_text import new_secret
from chargepki.errors import Finding, NotAuthenticated, NotAuthorised, refuse_errors
from chargepki.ports import AddApiToken, Ports, RevokeApiToken
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.registration import ENROLEE

API_PREFIX: Final = "cpat"
ENROLMENT_PREFIX: Final = "cpet"
BEARER_LENGTH_MAX: Final = 128
SECRET_OCTETS: Final = 32
NAME_LENGTH_MAX: Final = 64
SCOPES_MAX: Final = 64
VALID_DAYS_MAX: Final = 3650
KNOWN_MAX: Final = 1_000  # tokens held in memory; a deployment has a few dozen
_SCOPE: Final = re.compile(r"(\*|[a-z0-9-]+):(\*|[a-z0-9-]+):(\*|[a-z0-9-]+)")


class Access:
    def __init__(self, ports: Ports, audit: AuditTrail) -> None:
        self._ports, self._audit = ports, audit
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
        if token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now):
            raise _not_authenticated("the bearer token has ended")
        return Actor(f"token:{token.name}/{token.id}", ActorKind.MACHINE, token.role, token.scopes)  # names may repeat, ids never

    async def create_token(
        self, caller: Caller, *, name: str, scopes: frozenset[str], role: str = "operator", valid_days: int | None = None
    ) -> tuple[ApiToken, str]:
        """A new token and its secret, which is shown this once. Nobody hands out more than they hold."""
        async with self._audit.act(caller.act(Permission.ACCESS_TOKEN_CREATE, f"token:{name}", scopes=" ".join(sorted(scopes)))) as opened:
            refuse_errors(_find_token_faults(name, scopes, valid_days))
            _check_no_more_than_own(caller.actor, scopes)
            token, secret = self._new_token(caller.actor.id, name, scopes, role, valid_days)
            await self._ports.store.commit(AddApiToken(token), opened.done(object=f"token:{token.id}"))
            return token, secret

    async def bootstrap_administrator(self, keep: Callable[[str], Awaitable[None]]) -> None:
        """The first administrator's token, made by the platform itself. `keep` puts the secret where the administrator finds it:
        before the commit, since a start that is cut off in between must not leave a token that nobody knows."""
        scopes = frozenset({"*:*:*"})
        act = Caller(SYSTEM, door="system").act(Permission.ACCESS_TOKEN_CREATE, "token:admin", scopes=" ".join(scopes))
        async with self._audit.act(act) as opened:
            token, secret = self._new_token(SYSTEM.id, "admin", scopes, "administrator", None)
            await keep(secret)
            await self._ports.store.commit(AddApiToken(token), opened.done(object=f"token:{token.id}"))

    async def revoke_token(self, caller: Caller, id: TokenId) -> None:
        async with self._audit.act(caller.act(Permission.ACCESS_TOKEN_REVOKE, f"token:{id}")) as opened:
            await self._ports.store.commit(RevokeApiToken(id, self._ports.clock.now()), opened.done())
        self._known.clear()

    async def list_tokens(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[ApiToken]:
        check_allowed(caller.actor, Permission.ACCESS_TOKEN_READ)
        return await self._ports.store.list_api_tokens(cursor=cursor, limit=limit)

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
        return Actor(f"station:{token.station}", ActorKind.STATION, ENROLEE, frozenset({Permission.CERTIFICATE_ISSUE.value}))

    def _new_token(self, creator: str, name: str, scopes: frozenset[str], role: str, valid_days: int | None) -> tuple[ApiToken, str]:
        secret, now = new_secret(API_PREFIX, self._ports.entropy.octets(SECRET_OCTETS)), self._ports.clock.now()
        expires = None if valid_days is None else now + timedelta(days=valid_days)
        id = TokenId(self._ports.entropy.ulid("tok"))
        return ApiToken(id, hashlib.sha256(secret.encode()).digest(), name, role, scopes, creator, now, expires), secret


def _find_token_faults(name: str, scopes: frozenset[str], valid_days: int | None) -> Iterable[Finding]:
    if not 0 < len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        yield Finding("access.token.name", f"a token's name has 1 to {NAME_LENGTH_MAX} printable characters", path="name")
    if not 0 < len(scopes) <= SCOPES_MAX:
        yield Finding("access.token.scopes", f"a token has 1 to {SCOPES_MAX} scopes", path="scopes")
    for scope in sorted(scopes)[:SCOPES_MAX]:
        if not _SCOPE.fullmatch(scope) or not any(covers(scope, permission) for permission in Permission):
            yield Finding("access.token.scope", f"{scope!r} covers no permission", path="scopes", hint="for instance certificate:*:*")
    if valid_days is not None and not 1 <= valid_days <= VALID_DAYS_MAX:
        yield Finding("access.token.validity", f"a token lives 1 to {VALID_DAYS_MAX} days", path="valid_days")


def _check_no_more_than_own(actor: Actor, scopes: frozenset[str]) -> None:
    wanted = [permission for permission in Permission if any(covers(scope, permission) for scope in scopes)]
    beyond = [permission for permission in wanted if not any(covers(scope, permission) for scope in actor.scopes)]
    if beyond:
        raise NotAuthorised(
            Finding(
                "access.token.beyond",
                f"{actor.id} does not hold {', '.join(beyond)}",
                path="scopes",
                hint="ask for scopes you hold yourself",
            )
        )


def _not_authenticated(message: str) -> NotAuthenticated:
    return NotAuthenticated(Finding("access.token.invalid", message, hint="Authorization: Bearer TOKEN; see chargepki token create"))
