"""Authorities, their CRLs, and the profiles they issue."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode, encode


@dataclass(frozen=True, slots=True)
class Authority:
    id: str
    parent: str | None
    profile: str
    subject: str
    key_spec: str
    signature: str
    state: str
    certificate: str
    not_after: datetime
    sha256: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Crl:
    issuer: str
    number: int
    this_update: datetime
    next_update: datetime
    entry_count: int
    octets: int


@dataclass(frozen=True, slots=True)
class NameRule:
    type: str
    is_required: bool
    length_max: int


@dataclass(frozen=True, slots=True)
class Source:
    """Who narrowed a field of a profile: "config", or the approved change's proposal."""

    field: str
    by: str


@dataclass(frozen=True, slots=True)
class Profile:
    id: str
    title: str
    version: int
    kind: str
    subject_kind: str
    clauses: tuple[str, ...]
    issuers: tuple[str, ...]
    keys: tuple[str, ...]
    subject: tuple[NameRule, ...]
    san: str
    validity_days: int
    validity_days_max: int
    key_usage: tuple[str, ...]
    rsa_key_usage: tuple[str, ...] | None
    extended_key_usage: tuple[str, ...]
    path_length: int | None
    organizations: tuple[str, ...] | None
    host_suffixes: tuple[str, ...] | None
    effective_version: str
    change: int
    sources: tuple[Source, ...]

    def source_of(self, field: str) -> str:
        """Where a field's value comes from, for people."""
        by = [source.by for source in self.sources if source.field == field]
        return ", ".join(f"approved change {name}" if name.startswith("prp_") else name for name in by) or "built-in"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Of a built-in profile; None does not narrow."""

    validity_days: int | None = None
    validity_days_max: int | None = None
    keys: tuple[str, ...] | None = None
    organizations: tuple[str, ...] | None = None
    host_suffixes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """A change that was agreed on; the newest of its profile is in force."""

    profile: str
    number: int
    narrowing: Narrowing
    proposal: str | None
    created_by: str
    created_at: datetime


class Authorities:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Authority, ...]:
        return tuple(decode(Authority, item) for item in (await self._transport.get("/authorities"))["items"])

    async def create(
        self,
        *,
        id: str,
        profile: str,
        key_spec: str,
        common_name: str,
        organization: str,
        parent: str | None = None,
        signature: str | None = None,
        validity_days: int | None = None,
        path_length: int | None = None,
    ) -> Authority:
        body = {
            "id": id,
            "profile": profile,
            "parent": parent,
            "key_spec": key_spec,
            "common_name": common_name,
            "organization": organization,
            "signature": signature,
            "validity_days": validity_days,
            "path_length": path_length,
        }
        return decode(Authority, await self._transport.post("/authorities", body))

    async def get(self, id: str) -> Authority:
        return decode(Authority, await self._transport.get(f"/authorities/{id}"))

    async def chain(self, id: str, *, format: str = "pem", include_root: bool = True) -> bytes:
        """From the authority's own certificate to the root; `format` der: its own certificate alone."""
        return await self._transport.get_bytes(f"/authorities/{id}/certificate", format=format, include_root=include_root)

    async def crl(self, id: str) -> Crl:
        return decode(Crl, await self._transport.get(f"/authorities/{id}/crl"))

    async def crl_file(self, id: str, *, format: str = "der") -> bytes:
        return await self._transport.get_bytes(f"/authorities/{id}/crl", format=format)

    async def publish_crl(self, id: str) -> Crl:
        return decode(Crl, await self._transport.post(f"/authorities/{id}/crl"))


class Profiles:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Profile, ...]:
        return tuple(decode(Profile, item) for item in (await self._transport.get("/profiles"))["items"])

    async def get(self, id: str) -> Profile:
        return decode(Profile, await self._transport.get(f"/profiles/{id}"))

    def versions(self, *, profile: str = "") -> AsyncIterator[ProfileVersion]:
        """Newest first."""
        return iterate(self._transport, ProfileVersion, "/profile-versions", profile=profile)

    async def propose(self, id: str, narrowing: Narrowing, *, base: int | None = None) -> ProfileVersion:
        """The whole narrowing that the profile shall have. Raises `NeedsVotes` until others agree."""
        body = {"profile": id, "base": base, "narrowing": encode(narrowing)}
        return decode(ProfileVersion, await self._transport.post("/profile-versions", body))
