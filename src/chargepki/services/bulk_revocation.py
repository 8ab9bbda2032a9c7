"""Bulk revocation: an exact list, shown with its blast radius, agreed on where it is long, carried out in pieces.

What is agreed on is the list itself, never the question that led to it: what appears meanwhile is not taken along.
"""

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

from chargepki.core import canonical_json
from chargepki.core.access.model import NO_BALLOT, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Effect
from chargepki.core.canonical_json import JsonValue
from chargepki.core.proposals import JsonObject
from chargepki.core.records import (
    PLATFORM_PARTY,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    CertificateId,
    CertificateQuery,
    PartyId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, Finding, NotFound, Refused
from chargepki.ports import PAGE_SIZE_MAX, AddCertificateEvent, CertificateStatusChanged, Ports
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.proposed import order_of
from chargepki.services.scoping import no_such_certificate

# 165,000 octets of the 256 KiB that a proposal may have; the audit's own bound per piece is far away. A larger fleet: one authority.
LIST_MAX: Final = 5_000
PIECE: Final = 100  # certificates per commit: their ids take 3,300 of the 16 KiB of an audit entry
PIECE_ATTEMPTS_MAX: Final = 3  # somebody else revoked one of them meanwhile
NOTE_CHARACTERS_MAX: Final = 500
SEVERAL: Final = "*"
REASONS: Final = frozenset(RevocationReason) - {RevocationReason.CA_COMPROMISE, RevocationReason.AA_COMPROMISE}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which certificates: by what they have in common, or one by one. A serial number needs its issuer."""

    query: CertificateQuery = field(default_factory=CertificateQuery)
    ids: tuple[CertificateId, ...] = ()
    serials: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What would fall. `list_sha256` names the exact list; `skipped` are revoked already, and not on it."""

    certificates: tuple[Certificate, ...]
    skipped: int
    list_sha256: bytes

    @property
    def stations(self) -> tuple[str, ...]:
        return tuple(sorted({c.station for c in self.certificates if c.station}))

    @property
    def parties(self) -> tuple[PartyId, ...]:
        return tuple(sorted({c.party for c in self.certificates}))


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of the list. `skipped` were revoked already: by an earlier attempt, or by somebody else."""

    list_sha256: bytes
    revoked: int
    skipped: int


class BulkRevocation:
    def __init__(self, ports: Ports, audit: AuditTrail) -> None:
        self._ports, self._audit = ports, audit

    async def preview(self, caller: Caller, selection: Selection) -> BlastRadius:
        """Resolves the list. `Refused` when it is empty, too long, or holds an authority's certificate."""
        parties = self._audit.parties_of(caller, Permission.REVOCATION_BULK_PROPOSE)
        found = {c.id: c async for c in self._select(selection, parties)}
        certificates = tuple(found[id] for id in sorted(found))
        await self._check_no_authority(certificates)
        events = await self._ports.store.latest_events([c.id for c in certificates])
        wanted = tuple(c for c in certificates if not _is_revoked(events.get(c.id)))
        if not wanted:
            message = f"nothing to revoke: {len(certificates)} of {len(certificates)} are revoked already"
            raise Refused.because("revocation.bulk.empty", message, hint="chargepki cert list")
        return BlastRadius(wanted, len(certificates) - len(wanted), digest_list([c.id for c in wanted]))

    async def revoke(
        self, caller: Caller, selection: Selection, *, reason: RevocationReason, list_sha256: bytes, note: str = ""
    ) -> BulkResult:
        """Revokes the list that was shown. `Conflict` when it is another one by now; `NeedsVotes` where it is long."""
        radius = await self.preview(caller, selection)
        if radius.list_sha256 != list_sha256:
            message = f"the list has changed: {len(radius.certificates)} certificates now"
            raise Conflict(Finding("revocation.bulk.changed", message, path="list_sha256", hint="look at it again, then confirm"))
        return await self.revoke_list(caller, [c.id for c in radius.certificates], reason=reason, note=note)

    async def revoke_list(
        self, caller: Caller, ids: Sequence[CertificateId], *, reason: RevocationReason, note: str = "", ballot: Ballot = NO_BALLOT
    ) -> BulkResult:
        """Exactly these. Done again it goes on where it stopped: what is revoked already is counted, not touched."""
        digest = digest_list(ids)
        name = f"revocations:{digest.hex()[:16]}"
        act = caller.act(
            Permission.REVOCATION_BULK_PROPOSE, name, resource=None, personal={"note": note}, reason=reason, count=str(len(ids))
        )
        async with self._audit.act(act) as opened:
            _check_order(ids, reason, note)
            certificates = [await self._ports.store.get_certificate(id) for id in ids]
            await self._check_no_authority(certificates)
            resource = resource_of(certificates)
            opened.check(resource, ballot=ballot, order=order_of(spell_order(ids, reason, note), ballot))
            revoked = 0
            for at in range(0, len(certificates), PIECE):
                piece = certificates[at : at + PIECE]
                revoked += await self._revoke_piece(caller, name, piece, resource, ballot, reason, note, at // PIECE)
            result = BulkResult(digest, revoked, len(ids) - revoked)
            opened.effect = Effect({"list_sha256": digest.hex(), "revoked": revoked, "skipped": result.skipped})
            await self._ports.store.commit(opened.done())
            return result

    async def carry_out(self, caller: Caller, order: JsonObject, ballot: Ballot) -> str:
        ids, reason, note = parse_order(order)
        result = await self.revoke_list(caller, ids, reason=reason, note=note, ballot=ballot)
        return f"revocations:{result.list_sha256.hex()[:16]} ({result.revoked} revoked, {result.skipped} revoked before)"

    async def resource_of(self, order: JsonObject) -> Resource:
        """What an edited order is about."""
        ids, reason, note = parse_order(order)
        _check_order(ids, reason, note)
        return resource_of([await self._ports.store.get_certificate(id) for id in ids])

    async def _revoke_piece(
        self,
        caller: Caller,
        name: str,
        piece: Sequence[Certificate],
        resource: Resource,
        ballot: Ballot,
        reason: RevocationReason,
        note: str,
        number: int,
    ) -> int:
        """One commit, with an entry that names every certificate. Decided again: a quorum that broke meanwhile stops it here."""
        # Another trace than the whole: that the piece is done does not say that all of it is (`Approvals` looks for that).
        part = replace(caller, trace=f"{caller.trace}/{number}")
        act = part.act(Permission.REVOCATION_BULK_PROPOSE, f"{name}/{number}", resource=None, reason=reason)
        async with self._audit.act(act) as opened:
            opened.check(resource, ballot=ballot)
            for _ in range(PIECE_ATTEMPTS_MAX):
                last = await self._ports.store.latest_events([c.id for c in piece])
                wanted = [c for c in piece if not _is_done(last.get(c.id), reason)]
                if not wanted:
                    return 0
                events = [self._event(caller, certificate, reason, note) for certificate in wanted]
                changes = [AddCertificateEvent(e, after=last[e.certificate].id if e.certificate in last else None) for e in events]
                opened.effect = Effect({"certificates": [c.id for c in wanted], "reason": reason})
                try:
                    await self._ports.store.commit(*changes, opened.done())
                except Conflict:
                    continue
                for event, certificate in zip(events, wanted, strict=True):
                    self._ports.notifier.publish(CertificateStatusChanged(event, certificate.station))
                return len(wanted)
            raise Conflict(Finding("revocation.bulk.busy", "others revoke the same certificates", hint="do it again: it goes on from here"))

    def _event(self, caller: Caller, certificate: Certificate, reason: RevocationReason, note: str) -> CertificateEvent:
        kind = CertificateEventKind.HELD if reason is RevocationReason.CERTIFICATE_HOLD else CertificateEventKind.REVOKED
        id, at = self._ports.entropy.ulid("evt"), self._ports.clock.now()
        return CertificateEvent(id, certificate.id, certificate.issuer, certificate.serial, kind, reason, at, caller.actor.id, note)

    async def _select(self, selection: Selection, parties: frozenset[PartyId] | None) -> AsyncIterator[Certificate]:
        """Only what the caller may revoke: another party's certificate does not exist here."""
        if len(selection.ids) + len(selection.serials) > LIST_MAX:
            raise _too_long()
        if not selection.ids and not selection.serials:
            async for certificate in self._list(selection.query, parties):
                yield certificate
        for id in selection.ids:
            certificate = await self._ports.store.get_certificate(id)
            if parties is not None and certificate.party not in parties:
                raise no_such_certificate(id)
            yield certificate
        for serial in selection.serials:
            if selection.query.issuer is None:
                raise Refused.because("revocation.bulk.issuer", "a serial number needs its issuer", path="issuer", hint="--issuer ID")
            found = await self._ports.store.lookup_certificate_by_serial(selection.query.issuer, serial)
            yield _check_seen(found, f"{selection.query.issuer}/{serial:x}", parties)

    async def _list(self, query: CertificateQuery, parties: frozenset[PartyId] | None) -> AsyncIterator[Certificate]:
        if query.station is None and query.issuer is None and query.profile is None:
            message = "say which certificates: nobody means all of them"
            raise Refused.because("revocation.bulk.selection", message, hint="--station, --issuer, --profile or --serial-file")
        cursor, count, now = "", 0, self._ports.clock.now()
        while True:
            page = await self._ports.store.list_certificates(
                replace(query, state="valid", parties=parties), now=now, cursor=cursor, limit=PAGE_SIZE_MAX
            )
            count += len(page.items)
            if count > LIST_MAX:
                raise _too_long()
            for certificate in page.items:
                yield certificate
            if not (cursor := page.next):
                return

    async def _check_no_authority(self, certificates: Iterable[Certificate]) -> None:
        ours = {authority.certificate: authority.id for authority in await self._ports.store.list_authorities()}
        named = sorted(ours[c.id] for c in certificates if c.id in ours)
        if named:
            message = f"among them are certificates of authorities: {', '.join(named)}"
            raise Refused.because("revocation.bulk.authority", message, hint="an authority is revoked by itself: chargepki cert revoke")


def digest_list(ids: Iterable[CertificateId]) -> bytes:
    """SHA-256 over the sorted ids, as canonical JSON."""
    return hashlib.sha256(canonical_json.encode(sorted(ids))).digest()


def resource_of(certificates: Sequence[Certificate]) -> Resource:
    """What they have in common; where they differ, something that only a scope without bounds covers: the platform itself, `*`."""
    return Resource(
        party=_common((c.party for c in certificates), PLATFORM_PARTY),
        authority=_common((c.issuer for c in certificates), SEVERAL),
        profile=_common((c.profile for c in certificates), SEVERAL),
        count=len(certificates),
    )


def spell_order(ids: Sequence[CertificateId], reason: RevocationReason, note: str) -> dict[str, JsonValue]:
    return {"certificates": sorted(ids), "list_sha256": digest_list(ids).hex(), "reason": reason, "note": note}


def parse_order(raw: JsonObject) -> tuple[tuple[CertificateId, ...], RevocationReason, str]:
    """Raises `Refused` for anything that `spell_order` does not write."""
    try:
        listed, reason, note = raw["certificates"], RevocationReason(cast(str, raw["reason"])), raw["note"]
        if not isinstance(listed, list | tuple) or not isinstance(note, str) or not all(isinstance(id, str) for id in listed):
            raise TypeError("certificates are a list of ids, the note is a text")
        if (
            set(raw) != {"certificates", "list_sha256", "reason", "note"}
            or raw["list_sha256"] != digest_list(cast(list[CertificateId], listed)).hex()
        ):
            raise ValueError("list_sha256 is of another list, or a field is too many")
    except (KeyError, TypeError, ValueError) as error:
        hint = '{"certificates": [...], "list_sha256": "...", "reason": "...", "note": "..."}'
        raise Refused.because("revocation.bulk.order", f"the order cannot be read: {error}", path="order", hint=hint) from error
    return tuple(CertificateId(cast(str, id)) for id in listed), reason, note


def _check_order(ids: Sequence[CertificateId], reason: RevocationReason, note: str) -> None:
    if not 1 <= len(ids) <= LIST_MAX or len(set(ids)) != len(ids):
        raise _too_long()
    if reason not in REASONS:
        message = f"{reason} is not for the certificates of stations and hosts"
        raise Refused.because("revocation.bulk.reason", message, path="reason", clause="RFC 5280 5.3.1", hint="keyCompromise, superseded")
    if len(note) > NOTE_CHARACTERS_MAX:
        message = f"the note has {len(note)} characters, the limit is {NOTE_CHARACTERS_MAX}"
        raise Refused.because("revocation.note", message, path="note", hint="keep the story in a ticket")


def _check_seen(certificate: Certificate | None, name: str, parties: frozenset[PartyId] | None) -> Certificate:
    if certificate is None or (parties is not None and certificate.party not in parties):
        raise NotFound(Finding("certificate.unknown", f"there is no certificate {name}", path="certificates", hint="chargepki cert list"))
    return certificate


def _is_revoked(last: CertificateEvent | None) -> bool:
    return last is not None and last.kind is CertificateEventKind.REVOKED


def _is_done(last: CertificateEvent | None, reason: RevocationReason) -> bool:
    is_held = last is not None and last.kind is CertificateEventKind.HELD and reason is RevocationReason.CERTIFICATE_HOLD
    return is_held or _is_revoked(last)


def _common(values: Iterable[str], otherwise: str) -> str:
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else otherwise


def _too_long() -> Refused:
    message = f"a bulk revocation takes 1 to {LIST_MAX} certificates, each once"
    return Refused.because("revocation.bulk.too_many", message, hint="divide it, or revoke the authority above them")
