"""Tokens, the caller's own identity, the audit trail and open intents."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A role within a scope. None is no bound."""

    id: str
    role: str
    parties: tuple[str, ...] | None
    authorities: tuple[str, ...] | None
    profiles: tuple[str, ...] | None
    names: tuple[str, ...] | None
    narrowed_to: tuple[str, ...] | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    name: str
    holder: str
    party: str
    grants: tuple[HeldGrant, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    @property
    def roles(self) -> str:
        return ", ".join(sorted({grant.role for grant in self.grants}))

    @property
    def scopes(self) -> tuple[str, ...]:
        return tuple(sorted({scope for grant in self.grants for scope in grant.narrowed_to or ("*:*:*",)}))


@dataclass(frozen=True, slots=True)
class NewToken:
    token: Token
    secret: str


@dataclass(frozen=True, slots=True)
class Identity:
    actor: str
    kind: str
    person: str
    assurance: str
    grants: tuple[HeldGrant, ...]
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    id: str
    at: datetime
    actor: str
    action: str
    object: str
    outcome: str
    index: int | None
    party: str
    body: dict[str, Any]
    personal: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Intent:
    id: str
    issuer: str
    serial: str
    tbs_sha256: str
    profile: str
    station: str | None
    requested_by: str
    created_at: datetime


class Tokens:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Token, ...]:
        """All of them, oldest first."""
        return tuple([token async for token in iterate(self._transport, Token, "/tokens")])

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[str],
        valid_days: int | None = None,
        parties: Sequence[str] | None = None,
        profiles: Sequence[str] | None = None,
        names: Sequence[str] | None = None,
    ) -> NewToken:
        """A token of the caller's own, narrowed to `scopes` and to what the rest names (None: the caller's own bound)."""
        narrowed = {"parties": parties, "profiles": profiles, "names": names}
        body: dict[str, Any] = {"name": name, "scopes": [*scopes]}
        body |= {field: [*values] for field, values in narrowed.items() if values is not None}
        if valid_days is not None:
            body["valid_days"] = valid_days
        return decode(NewToken, await self._transport.post("/tokens", body))

    async def revoke(self, id: str) -> None:
        await self._transport.call("DELETE", f"/tokens/{id}")

    async def whoami(self) -> Identity:
        return decode(Identity, await self._transport.get("/whoami"))


class AuditEntries:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, actor: str = "", action: str = "", object: str = "", outcome: str = "") -> AsyncIterator[AuditEntry]:
        """Newest first; `object` may end in * to match a prefix."""
        return iterate(self._transport, AuditEntry, "/audit-entries", actor=actor, action=action, object=object, outcome=outcome)

    async def get(self, id: str) -> AuditEntry:
        return decode(AuditEntry, await self._transport.get(f"/audit-entries/{id}"))


class Intents:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> AsyncIterator[Intent]:
        """Signatures that were announced and led to no certificate, oldest first."""
        return iterate(self._transport, Intent, "/intents")
