"""Revocation: one event per change of status, committed with its audit entry, told to everybody after the commit."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.decide import SYSTEM, find_rule
from chargepki.core.access.model import NO_BALLOT, Actor, Ballot
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
    TokenId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, Finding, NeedsVotes, NotAuthorised, NotFound, Refused, Severity, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, AddCertificateEvent, CertificateStatusChanged, Change, Ports, SetAuthorityState
from chargepki.services.audit import AuditTrail, Caller, OpenAct, Order
from chargepki.services.proposed import order_of, unreadable
from chargepki.services.scoping import no_such_certificate, resource_of_certificate

NOTE_CHARACTERS_MAX: Final = 500
EMERGENCY_HOLD: Final = timedelta(hours=24)  # what one person did alone stands a day, unless two others confirm it
DUE_MAX: Final = 100  # emergency holds that one look releases; the next look goes on
IMPACT_COUNT_MAX: Final = 10_000  # past this a person needs no exact figure
_PLATFORM: Final = Caller(SYSTEM, door="system")


@dataclass(frozen=True, slots=True)
class Impact:
    """What falls with a certificate: the valid ones below it. `is_complete` False: there are more than were counted."""

    authorities: tuple[AuthorityId, ...]
    certificates: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class EmergencyHold:
    """`proposal` is what others may agree to, so that it lasts; "" where nobody else has to."""

    event: CertificateEvent
    proposal: str = ""


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
            self._decide(opened, caller, certificate, reason, note, ballot, no_such_certificate(id))
            return await self._revoke(opened, certificate, reason, note)

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to: a revocation, or that an authority's hold ends."""
        if content.get("do") == "release":
            return await self.carry_out_confirmation(caller, content, ballot)
        id, reason, note = CertificateId(str(content["id"])), RevocationReason(str(content["reason"])), str(content["note"])
        await self.revoke(caller, id, reason=reason, note=note, ballot=ballot)
        return f"certificate:{id}"

    async def revoke_by_serial(
        self, caller: Caller, issuer: AuthorityId, serial: int, *, reason: RevocationReason, note: str = ""
    ) -> CertificateEvent:
        """The same for whoever knows the certificate by its issuer and serial number."""
        async with self._audit.act(_act(caller, f"{issuer}/{serial:x}", reason=reason, note=note)) as opened:
            certificate = await self._ports.store.lookup_certificate_by_serial(issuer, serial)
            hint = f"chargepki cert list --issuer {issuer}"
            missing = NotFound(Finding("certificate.unknown", f"{issuer} issued no certificate {serial:x}", path="serial", hint=hint))
            if certificate is None:
                raise missing
            self._decide(opened, caller, certificate, reason, note, NO_BALLOT, missing)
            return await self._revoke(opened, certificate, reason, note)

    async def hold(self, caller: Caller, id: CertificateId, *, note: str = "") -> EmergencyHold:
        """Holds at once, by one person, for a day: others are asked to confirm it. `Conflict` when it is revoked or held already, or
        when the same person held it before and nobody confirmed that."""
        permission = Permission.REVOCATION_EMERGENCY_SUSPEND
        async with self._audit.act(_act(caller, id, reason="emergency", note=note, permission=permission)) as opened:
            certificate = await self._ports.store.get_certificate(id)
            resource = resource_of_certificate(certificate)
            self._audit.check_visible(caller, permission, resource, no_such_certificate(id))
            opened.check(resource)
            events = await self._ports.store.list_certificate_events(id)
            last = events[-1] if events else None
            self._check_transition(certificate, last, CertificateEventKind.HELD)
            await self._check_not_again(events, caller.actor)
            reason = RevocationReason.CERTIFICATE_HOLD
            authority = next((a for a in await self._ports.store.list_authorities() if a.certificate == id), None)
            opened.findings = refuse_errors((*_find_faults(authority, reason, note), *self._find_notices(certificate)))
            until = self._ports.clock.now() + EMERGENCY_HOLD
            event = replace(self._event(opened, certificate, CertificateEventKind.HELD, reason, note), until=until)
            await self._commit(opened, certificate, event, last)
        return EmergencyHold(event, await self._ask_others(caller, certificate))

    async def confirm(self, caller: Caller, id: CertificateId, *, hold: str = "", ballot: Ballot = NO_BALLOT) -> CertificateEvent:
        """An emergency hold lasts until it is released. `hold` is the event that is meant; raises `NeedsVotes` until two others agree,
        `Conflict` when there is no such hold (any more)."""
        permission = Permission.REVOCATION_EMERGENCY_CONFIRM
        async with self._audit.act(_act(caller, id, reason="confirm", note="", permission=permission)) as opened:
            certificate = await self._ports.store.get_certificate(id)
            resource = resource_of_certificate(certificate)
            self._audit.check_visible(caller, permission, resource, no_such_certificate(id))
            last = await self._last_event(id)
            if last is None or last.until is None or hold not in ("", last.id):
                hint = f"chargepki cert show {id}"
                raise Conflict(Finding("revocation.confirm.not_emergency", "there is no such emergency hold to confirm", hint=hint))
            order = order_of({"do": "confirm", "id": id, "hold": last.id}, ballot)
            opened.check(replace(resource, subject=await self._person_behind(last.actor)), ballot=ballot, order=order)
            event = self._event(opened, certificate, CertificateEventKind.HELD, RevocationReason.CERTIFICATE_HOLD, last.note)
            return await self._commit(opened, certificate, event, last)

    async def carry_out_confirmation(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to: that an emergency hold lasts, or that a confirmed one ends."""
        match content:
            case {"do": "confirm", "id": str(id), "hold": str(hold)}:
                await self.confirm(caller, CertificateId(id), hold=hold, ballot=ballot)
            case {"do": "release", "id": str(id)}:
                await self.release(caller, CertificateId(id), ballot=ballot)
            case _:
                raise unreadable()
        return f"certificate:{id}"

    async def release_due(self) -> int:
        """Ends the emergency holds that nobody confirmed in time, and says how many. For the node's chores; safe on several nodes."""
        due = await self._ports.store.list_due_holds(before=self._ports.clock.now(), limit=DUE_MAX)
        released = 0
        for hold in due:
            with suppress(Conflict):  # confirmed, revoked or released this moment, here or on another node
                await self._release_due(hold)
                released += 1
        return released

    async def release(self, caller: Caller, id: CertificateId, *, ballot: Ballot = NO_BALLOT) -> CertificateEvent:
        """Ends a hold: the certificate is good again (RFC 5280 5.3.1). `Conflict` when it is not held.

        Who may end it is who may make it: an emergency hold takes the permission for that, a confirmed one a quorum (`NeedsVotes`).
        """
        permission = await self._permission_to_release(caller, id)
        async with self._audit.act(_act(caller, id, reason="release", note="", permission=permission)) as opened:
            certificate = await self._ports.store.get_certificate(id)
            resource = resource_of_certificate(certificate)
            self._audit.check_visible(caller, permission, resource, no_such_certificate(id))
            order = order_of({"do": "release", "id": id}, ballot)
            opened.check(resource, ballot=ballot, order=order)
            events = await self._ports.store.list_certificate_events(id)
            _check_may_release(events, permission)
            last = events[-1] if events else None
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
        self._audit.check_held(caller, Permission.CERTIFICATE_READ)
        certificate = await self._ports.store.get_certificate(id)
        self._audit.check_visible(caller, Permission.CERTIFICATE_READ, resource_of_certificate(certificate), no_such_certificate(id))
        below = _subtree(await self._ports.store.list_authorities(), id)
        count = -1 if any(a.id == certificate.issuer for a in below) else 0  # a root is not below itself
        for authority in below:
            count += await self._count_valid(authority.id, IMPACT_COUNT_MAX - count)
            if count >= IMPACT_COUNT_MAX:
                return Impact(tuple(a.id for a in below), count, is_complete=False)
        return Impact(tuple(a.id for a in below), count, is_complete=True)

    async def _ask_others(self, caller: Caller, certificate: Certificate) -> str:
        """Puts the confirmation to the others. Where nobody else has to agree the hold waits all the same: to confirm is an act of its
        own. What fails here can be done again by anybody who may: the hold stands."""
        if find_rule(Permission.REVOCATION_EMERGENCY_CONFIRM, resource_of_certificate(certificate), self._audit.policy) is None:
            return ""
        try:
            await self.confirm(caller, certificate.id)
        except NeedsVotes as waits:
            return waits.proposal
        except Refused:  # on record; a token that may hold and not confirm
            return ""
        raise AssertionError("whoever holds takes no seat")

    async def _check_not_again(self, events: Sequence[CertificateEvent], actor: Actor) -> None:
        """One person's word stands for a day. Given again and again it would stand for ever."""
        for event, following in pairwise(events):
            if event.until is None or following.kind is not CertificateEventKind.RELEASED:
                continue
            if event.actor == actor.id or (actor.person and await self._person_behind(event.actor) == actor.person):
                message = "you have held this certificate alone before, and nobody confirmed it"
                hint = "let somebody else hold it, or revoke it: chargepki cert revoke"
                raise Conflict(Finding("revocation.hold.again", message, hint=hint))

    async def _person_behind(self, actor: str) -> str:
        """The natural person of a recorded actor, also behind a token of theirs; "" where it is nobody's."""
        kind, _, id = actor.partition(":")
        if kind == "token":
            kind, _, id = (await self._ports.store.get_api_token(TokenId(id.rpartition("/")[2]))).holder.partition(":")
        return id if kind == "person" else ""

    async def _permission_to_release(self, caller: Caller, id: CertificateId) -> Permission:
        """What the act is recorded under. To whoever may not see the certificate, one that is held in an emergency looks like any other."""
        wanted = _permission_to_release(await self._ports.store.list_certificate_events(id))
        if wanted is Permission.CERTIFICATE_REVOKE:
            return wanted
        resource = resource_of_certificate(await self._ports.store.get_certificate(id))
        try:
            self._audit.check_visible(caller, Permission.CERTIFICATE_READ, resource, no_such_certificate(id))
        except Refused:
            return Permission.CERTIFICATE_REVOKE
        return wanted

    async def _release_due(self, hold: CertificateEvent) -> None:
        certificate = await self._ports.store.get_certificate(hold.certificate)
        async with self._audit.act(_act(_PLATFORM, hold.certificate, reason="emergency hold not confirmed", note="")) as opened:
            opened.check(resource_of_certificate(certificate))
            event = self._event(opened, certificate, CertificateEventKind.RELEASED, RevocationReason.UNSPECIFIED, "")
            await self._commit(opened, certificate, event, hold)

    def _decide(
        self,
        opened: OpenAct,
        caller: Caller,
        certificate: Certificate,
        reason: RevocationReason,
        note: str,
        ballot: Ballot,
        missing: NotFound,
    ) -> None:
        resource = resource_of_certificate(certificate)
        self._audit.check_visible(caller, Permission.CERTIFICATE_REVOKE, resource, missing)
        order = Order({"id": certificate.id, "reason": reason, "note": note})
        opened.check(resource, ballot=ballot, order=order)

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


def _act(caller: Caller, id: str, *, reason: str, note: str, permission: Permission = Permission.CERTIFICATE_REVOKE) -> Act:
    # A note is free text, and people write people's names into it.
    return caller.act(permission, f"certificate:{id}", resource=None, personal={"note": note}, reason=reason)


def _permission_to_release(events: Sequence[CertificateEvent]) -> Permission:
    if not events or events[-1].kind is not CertificateEventKind.HELD:
        return Permission.CERTIFICATE_REVOKE
    if events[-1].until is not None:
        return Permission.REVOCATION_EMERGENCY_SUSPEND
    is_confirmed = len(events) > 1 and events[-2].kind is CertificateEventKind.HELD  # nothing else lets a hold follow a hold
    return Permission.REVOCATION_EMERGENCY_CONFIRM if is_confirmed else Permission.CERTIFICATE_REVOKE


def _check_may_release(events: Sequence[CertificateEvent], permission: Permission) -> None:
    """Asked again of the events that the commit follows: what changed meanwhile, or was not seen, is not ended by less than it takes."""
    if (needed := _permission_to_release(events)) is not permission:
        hint = f"needed: {needed}; chargepki whoami shows what you hold"
        raise NotAuthorised(Finding("revocation.release.emergency", "this hold is an emergency hold", hint=hint))


def _digest(event: CertificateEvent | None) -> bytes:
    if event is None:
        return b""
    facts = {"id": event.id, "certificate": event.certificate, "kind": event.kind, "reason": event.reason, "at": event.at.isoformat()}
    return hashlib.sha256(canonical_json.encode(facts)).digest()
