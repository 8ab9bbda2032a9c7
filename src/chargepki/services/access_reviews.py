"""The review of access rights: who holds what, whether they use it, and an auditor's word that it was looked at."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.encode import encode_scope
from chargepki.core.access.model import Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import AuditId, GrantRecord, GrantState, PartyId, PersonId
from chargepki.errors import Conflict, Finding, Refused
from chargepki.ports import PAGE_SIZE_MAX, Ports
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.holders import HeldGrant, with_holders

ENDS_SOON_DAYS: Final = 30
UNUSED_DAYS: Final = 90  # reviews are quarterly (NetSec 2.2): nobody signed in since the last one
RIGHTS_MAX: Final = 5_000  # of one review; larger platforms review party by party


@dataclass(frozen=True, slots=True)
class ReviewedGrant:
    """A right as the reviewer sees it. `last_seen` is the newest sign-in of a person; None: never, or a machine."""

    held: HeldGrant
    last_seen: datetime | None
    ends_soon: bool
    is_unused: bool


@dataclass(frozen=True, slots=True)
class AccessReview:
    """All rights that are in force or offered. `digest` names exactly these rights; sign-ins do not change it."""

    at: datetime
    party: PartyId | None  # None: everybody's that the reviewer may see
    lines: tuple[ReviewedGrant, ...]
    digest: bytes


class AccessReviews:
    def __init__(self, ports: Ports, audit: AuditTrail) -> None:
        self._ports, self._audit = ports, audit

    async def review(self, caller: Caller, *, party: PartyId | None = None) -> AccessReview:
        parties = self._audit.parties_of(caller, Permission.ACCESS_GRANT_READ)
        if party is not None:
            parties = frozenset({party}) if parties is None or party in parties else frozenset()
        now = self._ports.clock.now()
        records = await self._rights(parties, now)
        lines = [await self._line(held, now) for held in await with_holders(self._ports, records)]
        return AccessReview(now, party, tuple(lines), _digest(records))

    async def sign(self, caller: Caller, digest: bytes, *, party: PartyId | None = None) -> AuditId:
        """The reviewer's word that exactly these rights were looked at; the entry that says so. `Conflict` when they changed since."""
        resource = Resource(party=party or "")
        act = caller.act(Permission.AUDIT_REVIEW_SIGN, f"review:access/{party or ''}", resource=resource, digest=digest.hex())
        async with self._audit.act(act) as opened:
            review = await self.review(caller, party=party)
            if not hmac.compare_digest(review.digest, digest):
                hint = "look at it again: chargepki grant review"
                raise Conflict(Finding("review.changed", "the rights are not those that were reviewed", path="digest", hint=hint))
            opened.act.detail["rights"] = str(len(review.lines))
            opened.act.detail["unused"] = str(sum(line.is_unused for line in review.lines))
            await self._ports.store.commit(opened.done())
            return opened.id

    async def _rights(self, parties: frozenset[PartyId] | None, now: datetime) -> tuple[GrantRecord, ...]:
        found: list[GrantRecord] = []
        for state in (GrantState.OFFERED, GrantState.ACTIVE):
            cursor = ""
            while True:
                page = await self._ports.store.list_grants(state=state, parties=parties, cursor=cursor, limit=PAGE_SIZE_MAX)
                found += (record for record in page.items if record.until > now)
                if len(found) > RIGHTS_MAX:
                    raise Refused.because("review.too_large", f"more than {RIGHTS_MAX} rights", hint="review party by party: --party ID")
                if not (cursor := page.next):
                    break
        return tuple(sorted(found, key=lambda record: record.id))

    async def _line(self, held: HeldGrant, now: datetime) -> ReviewedGrant:
        record, last_seen = held.record, None
        if held.holder.is_person:
            newest = (await self._ports.store.list_sessions(person=PersonId(held.holder.person), limit=1)).items
            last_seen = newest[0].last_seen_at if newest else None
        since = last_seen or record.accepted_at or record.created_at
        is_unused = held.holder.is_person and since < now - timedelta(days=UNUSED_DAYS)
        return ReviewedGrant(held, last_seen, record.until <= now + timedelta(days=ENDS_SOON_DAYS), is_unused)


def _digest(records: Sequence[GrantRecord]) -> bytes:
    rights: list[JsonValue] = [
        {
            "id": record.id,
            "holder": record.holder,
            "role": record.role.value,
            "scope": encode_scope(record.scope),
            "until": record.until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "state": record.state.value,
        }
        for record in records
    ]
    return hashlib.sha256(canonical_json.encode(rights)).digest()
