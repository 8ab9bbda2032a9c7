"""/certificates: order, list, show, spell, revoke, release."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, SecretStr

from chargepki.api.impact import ImpactView, assess_impact
from chargepki.api.problems import FindingView, show_findings
from chargepki.api.shapes import PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, Text, TextQuery, View, answer, shown
from chargepki.api.spelling import CHAIN_MEDIA_TYPES, ChainFormat, choose_format, spell
from chargepki.api.visit import ShownOnce, Visit, Visiting
from chargepki.core.algorithms import KeySpec
from chargepki.core.pem import encode_pem
from chargepki.core.records import (
    AuthorityId,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    CertificateId,
    CertificateQuery,
    MachineId,
    ProfileId,
    StationId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Refused
from chargepki.services.orders import CertificateOrder, Issued

CSR_CHARS_MAX: Final = 16 * 1024  # an ML-DSA-87 CSR in PEM has 10,300; OCPP allows 5,500
ALT_HOSTS_MAX: Final = 100
VALIDITY_DAYS_MAX: Final = 36_500  # a profile says less
PASSPHRASE_CHARS_MIN: Final = 8
PASSPHRASE_CHARS_MAX: Final = 256
NOTE_CHARS_MAX: Final = 200

router = APIRouter(prefix="/certificates", tags=["certificates"])


class CertificateOrderBody(Order):
    """Exactly one of `csr` and `key_spec`. Which of the names is wanted depends on the profile's `subject_kind`."""

    profile: Id = Field(examples=["ocpp/station"])
    csr: str = Field("", max_length=CSR_CHARS_MAX, description="PKCS#10 in PEM")
    key_spec: KeySpec | None = Field(None, description="the platform makes an exportable key of this kind")
    station: Id | None = None
    host: Text = ""
    alt_hosts: list[Text] = Field([], max_length=ALT_HOSTS_MAX)
    organization: Text = ""
    common_name: Text = ""
    machine: Text = ""
    issuer: Id | None = None
    validity_days: int | None = Field(None, ge=1, le=VALIDITY_DAYS_MAX)


class RevocationBody(Order):
    reason: RevocationReason
    note: str = Field("", max_length=NOTE_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


class HoldBody(Order):
    note: str = Field("", max_length=NOTE_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


class Pkcs12Body(Order):
    passphrase: SecretStr = Field(min_length=PASSPHRASE_CHARS_MIN, max_length=PASSPHRASE_CHARS_MAX)


class RevocationView(View):
    reason: RevocationReason
    at: datetime
    note: str
    until: datetime | None = Field(description="of an emergency hold: unless two others confirm it, it ends then")


class CertificateView(View):
    """`state` is valid, held, revoked or expired; `serial`, `sha256` and `spki_sha256` are hex without separators."""

    id: str
    serial: str
    issuer: str
    profile: str
    subject: str
    station: str | None
    party: str
    standing: str | None = Field(description="the standing approval that stood in for a second person")
    state: Literal["valid", "held", "revoked", "expired"]
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    requested_by: str
    sha256: str
    spki_sha256: str
    has_key: bool = Field(description="the platform holds the key; PKCS#12 can be had where the key was ordered exportable")
    revocation: RevocationView | None


class CertificateDetail(CertificateView):
    pem: str


class IssuedView(View):
    """`chain` is PEM: leaf first, then the sub-CAs, and the root with `?include_root=true`. `entry` is null for a repeat."""

    certificate: CertificateView
    chain: str
    findings: list[FindingView]
    entry: str | None
    is_repeat: bool


class EventView(View):
    id: str
    kind: CertificateEventKind
    reason: RevocationReason
    at: datetime
    actor: str
    note: str
    until: datetime | None = Field(description="of an emergency hold: unless two others confirm it, it ends then")


class EmergencyHoldView(EventView):
    proposal: str | None = Field(description="what two others agree to, so that the hold lasts; null where nobody else has to")


class EventList(View):
    items: list[EventView]


@router.get("", summary="List certificates, newest first", **shown(PageView[CertificateView]))
async def list_certificates(
    visit: Visiting,
    station: TextQuery = "",
    issuer: TextQuery = "",
    profile: TextQuery = "",
    state: Literal["", "valid", "revoked", "expired"] = "",
    expires_before: datetime | None = None,
    text: Annotated[TextQuery, Query(description="a part of the subject, or a whole serial number in hex")] = "",
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE,
) -> Response:
    query = CertificateQuery(
        station=StationId(station) if station else None,
        issuer=AuthorityId(issuer) if issuer else None,
        profile=ProfileId(profile) if profile else None,
        state=state,
        expires_before=_as_utc(expires_before),
        text=text,
    )
    page = await visit.services.issuance.list(visit.caller, query, cursor=cursor, limit=limit)
    events = await visit.services.ports.store.latest_events([certificate.id for certificate in page.items])
    now = visit.services.ports.clock.now()
    items = [show_certificate(certificate, events.get(certificate.id), now) for certificate in page.items]
    return answer(PageView(items=items, next=page.next or None))


@router.post(
    "",
    summary="Order a certificate",
    **shown(
        IssuedView,
        201,
        "Issued; `?format=` or `Accept` gives the chain itself",
        files=CHAIN_MEDIA_TYPES,
        waits=True,
        repeats="The certificate that this key got for the same purpose within a day",
    ),
)
async def order_certificate(
    request: Request, body: CertificateOrderBody, visit: Visiting, format: ChainFormat | None = None, include_root: bool = False
) -> Response:
    wanted = choose_format(format, request.headers.get("accept", ""))
    issued = await visit.services.issuance.request(visit.caller, _order_of(body, visit))
    status, location = 200 if issued.is_repeat else 201, f"/api/v1/certificates/{issued.certificate.id}"
    if wanted is not None:
        return spell(issued.chain, wanted, include_root=include_root, status=status, location=location)
    event, now = await _latest_event(visit, issued), visit.services.ports.clock.now()
    return answer(_show_issued(issued, event, now, include_root=include_root), status, location=location)


@router.get("/{id}", summary="Show a certificate", **shown(CertificateDetail))
async def get_certificate(id: IdPath, visit: Visiting) -> Response:
    certificate = await visit.services.issuance.get(visit.caller, CertificateId(id))
    events = await visit.services.ports.store.latest_events([certificate.id])
    view = show_certificate(certificate, events.get(certificate.id), visit.services.ports.clock.now())
    return answer(CertificateDetail(**view.model_dump(), pem=encode_pem("CERTIFICATE", certificate.der)))


@router.get(
    "/{id}/chain", summary="Spell a certificate's chain", **shown(None, 200, "The chain in the format asked for", files=CHAIN_MEDIA_TYPES)
)
async def get_chain(
    id: IdPath, request: Request, visit: Visiting, format: ChainFormat | None = None, include_root: bool = False
) -> Response:
    wanted = choose_format(format, request.headers.get("accept", "")) or ChainFormat.PEM
    certificate = await visit.services.issuance.get(visit.caller, CertificateId(id))
    return spell(await visit.services.issuance.chain_of(certificate), wanted, include_root=include_root)


@router.post(
    "/{id}/pkcs12",
    summary="Export key and chain as PKCS#12, where the platform made the key",
    dependencies=[ShownOnce],
    **shown(None, 200, "A PKCS#12 file", secret=True, files=["application/pkcs12"]),
)
async def export_pkcs12(id: IdPath, body: Pkcs12Body, visit: Visiting) -> Response:
    passphrase = body.passphrase.get_secret_value().encode()
    return Response(
        await visit.services.issuance.export_pkcs12(visit.caller, CertificateId(id), passphrase), media_type="application/pkcs12"
    )


@router.post("/{id}/revoke", summary="Revoke a certificate, or hold it", **shown(EventView))
async def revoke_certificate(id: IdPath, body: RevocationBody, visit: Visiting) -> Response:
    event = await visit.services.revocation.revoke(visit.caller, CertificateId(id), reason=body.reason, note=body.note)
    return answer(show_event(event))


@router.post("/{id}/hold", summary="Hold a certificate at once, for a day", **shown(EmergencyHoldView))
async def hold_certificate(id: IdPath, body: HoldBody, visit: Visiting) -> Response:
    held = await visit.services.revocation.hold(visit.caller, CertificateId(id), note=body.note)
    return answer(EmergencyHoldView(**show_event(held.event).model_dump(), proposal=held.proposal or None))


@router.post("/{id}/hold/confirm", summary="Let an emergency hold last until it is released", **shown(EventView, waits=True))
async def confirm_hold(id: IdPath, visit: Visiting) -> Response:
    return answer(show_event(await visit.services.revocation.confirm(visit.caller, CertificateId(id))))


@router.post("/{id}/release", summary="Release a certificate from hold", **shown(EventView, waits=True))
async def release_certificate(id: IdPath, visit: Visiting) -> Response:
    return answer(show_event(await visit.services.revocation.release(visit.caller, CertificateId(id))))


@router.get("/{id}/events", summary="List what happened to a certificate, oldest first", **shown(EventList))
async def list_certificate_events(id: IdPath, visit: Visiting) -> Response:
    certificate = await visit.services.issuance.get(visit.caller, CertificateId(id))
    events = await visit.services.ports.store.list_certificate_events(certificate.id)
    return answer(EventList(items=[show_event(event) for event in events]))


@router.get("/{id}/impact", summary="Say what a revocation would break", **shown(ImpactView))
async def get_impact(id: IdPath, visit: Visiting) -> Response:
    certificate = await visit.services.issuance.get(visit.caller, CertificateId(id))
    return answer(await assess_impact(visit, certificate))


def show_certificate(certificate: Certificate, event: CertificateEvent | None, now: datetime) -> CertificateView:
    return CertificateView(
        id=certificate.id,
        serial=f"{certificate.serial:x}",
        issuer=certificate.issuer,
        profile=certificate.profile,
        subject=certificate.subject,
        station=certificate.station,
        party=certificate.party,
        standing=certificate.standing,
        state=_state(certificate, event, now),
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        issued_at=certificate.issued_at,
        requested_by=certificate.requested_by,
        sha256=hashlib.sha256(certificate.der).hexdigest(),
        spki_sha256=certificate.spki_sha256.hex(),
        has_key=certificate.key is not None,
        revocation=_show_revocation(event),
    )


def _show_revocation(event: CertificateEvent | None) -> RevocationView | None:
    if event is None or _is_good(event):
        return None
    return RevocationView(reason=event.reason, at=event.at, note=event.note, until=event.until)


def show_event(event: CertificateEvent) -> EventView:
    return EventView(id=event.id, kind=event.kind, reason=event.reason, at=event.at, actor=event.actor, note=event.note, until=event.until)


def _state(certificate: Certificate, event: CertificateEvent | None, now: datetime) -> Literal["valid", "held", "revoked", "expired"]:
    if event is not None and event.kind is CertificateEventKind.REVOKED:
        return "revoked"
    if certificate.not_after < now:
        return "expired"
    return "valid" if _is_good(event) else "held"


def _is_good(event: CertificateEvent | None) -> bool:
    return event is None or event.kind is CertificateEventKind.RELEASED


def _order_of(body: CertificateOrderBody, visit: Visit) -> CertificateOrder:
    if bool(body.csr) is (body.key_spec is not None):
        raise Refused.because(
            "order.key", "an order has a CSR or a key_spec: one of the two", path="csr", hint="--csr FILE or --key ec-p256"
        )
    return CertificateOrder(
        profile=ProfileId(body.profile),
        csr=body.csr.encode(),
        key_spec=body.key_spec,
        station=None if body.station is None else StationId(body.station),
        host=body.host,
        alt_hosts=tuple(body.alt_hosts),
        organization=body.organization,
        common_name=body.common_name,
        issuer=None if body.issuer is None else AuthorityId(body.issuer),
        validity_days=body.validity_days,
        enrolment_token=visit.enrolment_token,
        machine=MachineId(body.machine) if body.machine else None,
    )


async def _latest_event(visit: Visit, issued: Issued) -> CertificateEvent | None:
    """A fresh certificate has none; a repeat may have been revoked meanwhile."""
    if not issued.is_repeat:
        return None
    return (await visit.services.ports.store.latest_events([issued.certificate.id])).get(issued.certificate.id)


def _show_issued(issued: Issued, event: CertificateEvent | None, now: datetime, *, include_root: bool) -> IssuedView:
    shown_chain = issued.chain if include_root else issued.chain[:-1] or issued.chain
    return IssuedView(
        certificate=show_certificate(issued.certificate, event, now),
        chain="".join(encode_pem("CERTIFICATE", der) for der in shown_chain),
        findings=show_findings(issued.findings),
        entry=issued.entry,
        is_repeat=issued.is_repeat,
    )


def _as_utc(moment: datetime | None) -> datetime | None:
    if moment is None or moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=UTC)
