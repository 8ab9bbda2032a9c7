"""Approvals, standing approvals, factory batches and bulk revocations."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode, encode
from chargepki.errors import Broken


@dataclass(frozen=True, slots=True)
class Seat:
    """`roles`: only one of these takes it; empty: whoever holds the permission."""

    permission: str
    count: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FilledSeat:
    permission: str
    person: str


@dataclass(frozen=True, slots=True)
class Vote:
    person: str
    is_for: bool
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Difference:
    path: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Proposal:
    id: str
    action: str
    object: str
    rule: str
    party: str
    proposer: str
    state: str
    outcome: str
    revision: int
    digest: str
    created_at: datetime
    expires_at: datetime
    not_before: datetime | None
    filled: tuple[FilledSeat, ...]
    missing: tuple[Seat, ...]
    may_vote: bool


@dataclass(frozen=True, slots=True)
class ProposalDetail:
    """`payload` is the text that `digest` is the SHA-256 of."""

    id: str
    action: str
    object: str
    rule: str
    party: str
    proposer: str
    state: str
    outcome: str
    revision: int
    digest: str
    created_at: datetime
    expires_at: datetime
    not_before: datetime | None
    filled: tuple[FilledSeat, ...]
    missing: tuple[Seat, ...]
    may_vote: bool
    payload: str
    votes: tuple[Vote, ...]
    changes: tuple[Difference, ...]

    @property
    def content(self) -> dict[str, Any]:
        """What the payload says. `Broken` when it is not what the digest is of: never vote on that."""
        found = "sha256:" + hashlib.sha256(self.payload.encode()).hexdigest()
        if not hmac.compare_digest(found, self.digest):
            hint = "somebody between you and the platform changes its answers"
            raise Broken(f"the payload of {self.id} has the digest {found}, not {self.digest}", hint=hint)
        content: dict[str, Any] = json.loads(self.payload)
        return content


@dataclass(frozen=True, slots=True)
class StandingApproval:
    id: str
    party: str
    profiles: tuple[str, ...]
    names: tuple[str, ...]
    keys: tuple[str, ...]
    per_hour_max: int
    used: int
    until: datetime
    created_by: str
    created_at: datetime
    proposal: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Batch:
    id: str
    party: str
    profile: str
    prefixes: tuple[str, ...]
    count: int
    used: int
    left: int
    until: datetime
    created_by: str
    created_at: datetime
    proposal: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class BatchToken:
    batch: str
    secret: str


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """`subjects` and `stations` are the first hundred."""

    count: int
    skipped: int
    list_sha256: str
    parties: tuple[str, ...]
    station_count: int
    stations: tuple[str, ...]
    subjects: tuple[str, ...]
    live_sessions: int


@dataclass(frozen=True, slots=True)
class BulkResult:
    list_sha256: str
    revoked: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Selection:
    """All valid certificates with these in common, or the named ones; serial numbers (hex) need their issuer."""

    station: str | None = None
    issuer: str | None = None
    profile: str | None = None
    certificates: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()


class Approvals:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, state: str = "", mine: bool = False) -> AsyncIterator[Proposal]:
        """Newest first; `mine`: only those that the caller could vote on now."""
        return iterate(self._transport, Proposal, "/approvals", state=state, mine=mine or None)

    async def get(self, id: str) -> ProposalDetail:
        return decode(ProposalDetail, await self._transport.get(f"/approvals/{id}"))

    async def vote(self, id: str, *, digest: str, is_for: bool, note: str = "") -> ProposalDetail:
        body = {"digest": digest, "is_for": is_for, "note": note}
        return decode(ProposalDetail, await self._transport.post(f"/approvals/{id}/votes", body))

    async def edit(self, id: str, order: Mapping[str, Any]) -> ProposalDetail:
        return decode(ProposalDetail, await self._transport.post(f"/approvals/{id}/revisions", {"order": dict(order)}))

    async def withdraw(self, id: str) -> ProposalDetail:
        return decode(ProposalDetail, await self._transport.post(f"/approvals/{id}/withdrawal"))


class StandingApprovals:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        *,
        party: str,
        profiles: Sequence[str],
        names: Sequence[str],
        per_hour_max: int,
        until: datetime,
        keys: Sequence[str] = (),
    ) -> StandingApproval:
        body = {
            "party": party,
            "profiles": [*profiles],
            "names": [*names],
            "keys": [*keys],
            "per_hour_max": per_hour_max,
            "until": encode(until),
        }
        return decode(StandingApproval, await self._transport.post("/standing-approvals", body))

    def list(self, *, party: str = "", live: bool = False) -> AsyncIterator[StandingApproval]:
        return iterate(self._transport, StandingApproval, "/standing-approvals", party=party, live=live or None)

    async def get(self, id: str) -> StandingApproval:
        return decode(StandingApproval, await self._transport.get(f"/standing-approvals/{id}"))

    async def end(self, id: str) -> StandingApproval:
        return decode(StandingApproval, (await self._transport.call("DELETE", f"/standing-approvals/{id}")).json())


class Batches:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, party: str, profile: str, prefixes: Sequence[str], count: int, until: datetime) -> Batch:
        body = {"party": party, "profile": profile, "prefixes": [*prefixes], "count": count, "until": encode(until)}
        return decode(Batch, await self._transport.post("/batches", body))

    def list(self, *, party: str = "") -> AsyncIterator[Batch]:
        return iterate(self._transport, Batch, "/batches", party=party)

    async def get(self, id: str) -> Batch:
        return decode(Batch, await self._transport.get(f"/batches/{id}"))

    async def create_token(self, id: str) -> BatchToken:
        """The line's token, shown this once; the one before ends."""
        return decode(BatchToken, await self._transport.post(f"/batches/{id}/token"))

    async def end(self, id: str) -> Batch:
        return decode(Batch, (await self._transport.call("DELETE", f"/batches/{id}")).json())


class BulkRevocations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def preview(self, selection: Selection) -> BlastRadius:
        return decode(BlastRadius, await self._transport.post("/bulk-revocations/previews", encode(selection)))

    async def revoke(self, selection: Selection, *, reason: str, list_sha256: str, note: str = "") -> BulkResult:
        """Exactly the list that a preview named `list_sha256`."""
        body = {**encode(selection), "reason": reason, "list_sha256": list_sha256, "note": note}
        return decode(BulkResult, await self._transport.post("/bulk-revocations", body))
