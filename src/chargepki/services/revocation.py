"""Revocation: one event per change of status, committed with its audit entry, told to everybody after the commit."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.model import NO_BALLOT, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Act, Effect
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import (
    Authority,
    AuthorityId,
    AuthorityState,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    CertificateId,
    CertificateQuery,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, Finding, NotFound, Severity, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, AddCertificateEvent, CertificateStatusChanged, Change, Ports, SetAuthorityState
from chargepki.services.audit import AuditTrail, Caller, OpenAct, Order
from chargepki.services.scoping import no_such_certificate

NOTE_CHARACTERS_MAX: Final = 500
IMPACT_COUNT_MAX: Final = 10_000  # past this a person needs no exact figure


@dataclass(frozen=True, slots=True)
class Impact:
    """What falls with a certificate: the valid ones below it. `is_complete` False: there are more than were counted."""

    authorities: tuple[AuthorityId, ...]
    certificates: int
    is_complete: bool


class Revocation:
    def __init__(self, ports: Ports, audit: AuditTrail) -> None:
        self._ports, self._audit = ports, audit

    async def revoke(
        self, caller: Caller, id: CertificateId, *, reason: RevocationReason, note: str = "", ballot: Ballot = NO_BALLOT
    ) -> CertificateEvent:
        """Revokes, or holds when `reason` is certificateHold. A held certificate may still be revoked.

        Revoking an authority's certificate retires the authority in the same commit. Raises `NotFound`, `Conflict` (revoked already, or
        changed meanwhile), `Refused` with every finding against the reason.
        """
        async with self._audit.act(_act(caller, id, reason=reason, note=note)) as opened:
            certificate = await self._ports.store.get_certificate(id)
            self._decide(opened, caller, certificate, reason, note, ballot)
            return await self._revoke(opened, certificate, reason, note)

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to."""
        id, reason, note = CertificateId(str(content["id"])), RevocationReason(str(content["reason"])), str(content["note"])
        await self.revoke(caller, id, reason=reason, note=note, ballot=ballot)
        return f"certificate:{id}"

    async def revoke_by_serial(
        self, caller: Caller, issuer: AuthorityId, serial: int, *, reason: RevocationReason, note: str = ""
    ) -> CertificateEvent:
        """The same for whoever knows the certificate by its issuer and serial number."""
        async with self._audit.act(_act(caller, f"{issuer}/{serial:x}", reason=reason, note=note)) as opened:
            certificate = await self._ports.store.lookup_certificate_by_serial(issuer, serial)
            if certificate is None:
                hint = f"chargepki cert list --issuer {issuer}"
                raise NotFound(Finding("certificate.unknown", f"{issuer} issued no certificate {serial:x}", path="serial", hint=hint))
            self._decide(opened, caller, certificate, reason, note, NO_BALLOT)
            return await self._revoke(opened, certificate, reason, note)

    async def release(self, caller: Caller, id: CertificateId) -> CertificateEvent:
        """Ends a hold: the certificate is good again (RFC 5280 5.3.1). `Conflict` when it is not held."""
        async with self._audit.act(_act(caller, id, reason="release", note="")) as opened:
            certificate = await self._ports.store.get_certificate(id)
            self._audit.check_visible(caller, Permission.CERTIFICATE_REVOKE, certificate.party, no_such_certificate(id))
            opened.check(_resource_of(certificate))
            last = await self._last_event(id)
            if last is None or last.kind is not CertificateEventKind.HELD:
                state = "good" if last is None else str(last.kind)
                raise Conflict(
                    Finding(
                        "revocation.release.not_held",
                        f"the certificate is {state}, not held",
                        clause="RFC 5280 5.3.1",
                        hint="a revocation is for ever: request a new certificate",
                    )
                )
            event = self._event(opened, certificate, CertificateEventKind.RELEASED, RevocationReason.UNSPECIFIED, "")
            return await self._commit(opened, certificate, event, last)

    async def impact(self, caller: Caller, id: CertificateId) -> Impact:
        """What a revocation would take along, counted down the whole tree below an authority."""
        certificate = await self._ports.store.get_certificate(id)
        self._audit.check_visible(caller, Permission.CERTIFICATE_READ, certificate.party, no_such_certificate(id))
        below = _subtree(await self._ports.store.list_authorities(), id)
        count = -1 if any(a.id == certificate.issuer for a in below) else 0  # a root is not below itself
        for authority in below:
            count += await self._count_valid(authority.id, IMPACT_COUNT_MAX - count)
            if count >= IMPACT_COUNT_MAX:
                return Impact(tuple(a.id for a in below), count, is_complete=False)
        return Impact(tuple(a.id for a in below), count, is_complete=True)

    def _decide(
        self, opened: OpenAct, caller: Caller, certificate: Certificate, reason: RevocationReason, note: str, ballot: Ballot
    ) -> None:
        self._audit.check_visible(caller, Permission.CERTIFICATE_REVOKE, certificate.party, no_such_certificate(certificate.id))
        order = Order({"id": certificate.id, "reason": reason, "note": note})
        opened.check(_resource_of(certificate), ballot=ballot, order=order)

    async def _revoke(self, opened: OpenAct, certificate: Certificate, reason: RevocationReason, note: str) -> CertificateEvent:
        last = await self._last_event(certificate.id)
        kind = CertificateEventKind.HELD if reason is RevocationReason.CERTIFICATE_HOLD else CertificateEventKind.REVOKED
        self._check_transition(certificate, last, kind)
        authority = next((a for a in await self._ports.store.list_authorities() if a.certificate == certificate.id), None)
        found = (*_find_faults(authority, reason, note), *self._find_notices(certificate))
        opened.findings = refuse_errors(found)
        event = self._event(opened, certificate, kind, reason, note)
        retire = () if authority is None else (SetAuthorityState(authority.id, AuthorityState.RETIRED),)
        return await self._commit(opened, certificate, event, last, *retire)

    async def _commit(
        self, opened: OpenAct, certificate: Certificate, event: CertificateEvent, last: CertificateEvent | None, *more: Change
    ) -> CertificateEvent:
        facts = {
            "issuer": certificate.issuer,
            "serial": f"{certificate.serial:x}",
            "profile": certificate.profile,
            "station": certificate.station,
        }
        opened.effect = Effect(facts)
        object = f"certificate:{certificate.id}"
        entry = opened.done(object=object, before_sha256=_digest(last), after_sha256=_digest(event))
        await self._ports.store.commit(AddCertificateEvent(event, after=None if last is None else last.id), *more, entry)
        self._ports.notifier.publish(CertificateStatusChanged(event, certificate.station))
        return event

    def _event(
        self, opened: OpenAct, certificate: Certificate, kind: CertificateEventKind, reason: RevocationReason, note: str
    ) -> CertificateEvent:
        return CertificateEvent(
            self._ports.entropy.ulid("evt"),
            certificate.id,
            certificate.issuer,
            certificate.serial,
            kind,
            reason,
            self._ports.clock.now(),
            opened.act.actor.id,
            note,
        )

    def _check_transition(self, certificate: Certificate, last: CertificateEvent | None, kind: CertificateEventKind) -> None:
        if last is None or last.kind is CertificateEventKind.RELEASED:
            return
        if last.kind is CertificateEventKind.HELD and kind is CertificateEventKind.REVOKED:
            return
        # Told again: a commit whose answer was lost stands in the store, and nobody here has heard of it yet.
        self._ports.notifier.publish(CertificateStatusChanged(last, certificate.station))
        since = last.at.strftime("%Y-%m-%d %H:%M UTC")
        raise Conflict(
            Finding(
                f"revocation.already_{last.kind}",
                f"the certificate is {last.kind} since {since} ({last.reason})",
                hint="nothing to do: OCSP and the CRL say so",
            )
        )

    async def _last_event(self, id: CertificateId) -> CertificateEvent | None:
        return (await self._ports.store.latest_events((id,))).get(id)

    def _find_notices(self, certificate: Certificate) -> tuple[Finding, ...]:
        if self._ports.clock.now() <= certificate.not_after:
            return ()
        ended = certificate.not_after.strftime("%Y-%m-%d")
        message = f"the certificate ended on {ended} already; OCSP will say revoked, CRLs list it once at most"
        return (Finding("revocation.expired", message, Severity.NOTICE, clause="RFC 5280 3.3"),)

    async def _count_valid(self, issuer: AuthorityId, limit: int) -> int:
        """Valid certificates of one issuer; stops counting at `limit`."""
        query, now = CertificateQuery(issuer=issuer, state="valid"), self._ports.clock.now()
        count, cursor = 0, ""
        while count < limit:
            page = await self._ports.store.list_certificates(query, now=now, cursor=cursor, limit=min(PAGE_SIZE_MAX, limit - count))
            count, cursor = count + len(page.items), page.next
            if not cursor:
                break
        return count


def _find_faults(authority: Authority | None, reason: RevocationReason, note: str) -> tuple[Finding, ...]:
    found = []
    if authority is None and reason is RevocationReason.CA_COMPROMISE:
        found.append(_fault("reason.ca_compromise", "cACompromise is for the certificates of authorities", "use keyCompromise"))
    if reason is RevocationReason.AA_COMPROMISE:
        found.append(
            _fault("reason.aa_compromise", "aACompromise is for attribute authorities, which issue nothing here", "use keyCompromise")
        )
    if authority is not None and reason is RevocationReason.CERTIFICATE_HOLD:
        found.append(_fault("reason.ca_hold", "an authority cannot be put on hold", "revoke it, or retire it"))
    if authority is not None and authority.parent is None:
        found.append(
            _fault("root", "nobody can revoke a root: it would vouch for its own end", "remove it from the trust stores and retire it")
        )
    if len(note) > NOTE_CHARACTERS_MAX:
        found.append(
            _fault("note", f"the note has {len(note)} characters, the limit is {NOTE_CHARACTERS_MAX}", "keep the story in a ticket")
        )
    return tuple(found)


def _fault(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"revocation.{slug}", message, path=slug.partition(".")[0], clause="RFC 5280 5.3.1", hint=hint)


def _subtree(authorities: Sequence[Authority], id: CertificateId) -> tuple[Authority, ...]:
    """The authority this certificate belongs to and all below it; `authorities` are oldest first, so parents come before children."""
    inside: list[Authority] = []
    for authority in authorities:
        if authority.certificate == id or any(authority.parent == a.id for a in inside):
            inside.append(authority)
    return tuple(inside)


def _act(caller: Caller, id: str, *, reason: str, note: str) -> Act:
    # A note is free text, and people write people's names into it.
    return caller.act(Permission.CERTIFICATE_REVOKE, f"certificate:{id}", resource=None, personal={"note": note}, reason=reason)


def _resource_of(certificate: Certificate) -> Resource:
    return Resource(party=certificate.party, authority=certificate.issuer, profile=certificate.profile)


def _digest(event: CertificateEvent | None) -> bytes:
    if event is None:
        return b""
    facts = {"id": event.id, "certificate": event.certificate, "kind": event.kind, "reason": event.reason, "at": event.at.isoformat()}
    return hashlib.sha256(canonical_json.encode(facts)).digest()
