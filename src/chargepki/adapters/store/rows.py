"""Records to rows and back. A row is a mapping of column to plain value; both databases read the same."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row

from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import (
    ApiToken,
    AuditEntry,
    Authority,
    AuthorityState,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    Crl,
    EnrolmentToken,
    IdempotentAnswer,
    Intent,
    Outcome,
    SecurityEvent,
    SecurityProfile,
    Station,
    StationState,
)
from chargepki.core.revocation import RevocationReason, Revoked

Value = str | int | bytes | bool | None
Values = Mapping[str, Any]  # column to value
AnyRow = Row[*tuple[Any, ...]]

SERIAL_OCTETS: Final = 20  # RFC 5280 4.1.2.2: at most 20 octets
SERIAL_MAX: Final = 2 ** (8 * SERIAL_OCTETS) - 1


def storable(text: str) -> str:
    """`text` with U+FFFD where PostgreSQL has no room for a character: NUL, and the lone surrogates of broken UTF-16."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    return text.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def serial_octets(serial: int) -> bytes:
    return serial.to_bytes(SERIAL_OCTETS, "big")


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def _seconds_or_none(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def _time(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)


def _time_or_none(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def _text_or_none(text: str | None) -> str | None:
    return None if text is None else storable(text)


# -------------------------------------------------------------------------------------------------------------- authorities


def authority_values(a: Authority) -> Values:
    return {
        "id": storable(a.id),
        "parent": _text_or_none(a.parent),
        "profile": storable(a.profile),
        "key": storable(a.key),
        "key_spec": a.key_spec.value,
        "signature": a.signature.value,
        "certificate": storable(a.certificate),
        "state": a.state.value,
        "created_at": seconds(a.created_at),
    }


def authority_of(row: AnyRow) -> Authority:
    return Authority(
        id=row.id,
        parent=row.parent,
        profile=row.profile,
        key=row.key,
        key_spec=KeySpec(row.key_spec),
        signature=SignatureAlgorithm(row.signature),
        certificate=row.certificate,
        state=AuthorityState(row.state),
        created_at=_time(row.created_at),
    )


# ------------------------------------------------------------------------------------------------------------- certificates


def intent_values(i: Intent) -> Values:
    return {
        "id": storable(i.id),
        "issuer": storable(i.issuer),
        "serial": serial_octets(i.serial),
        "tbs_sha256": i.tbs_sha256,
        "profile": storable(i.profile),
        "decision": storable(i.decision),
        "requested_by": storable(i.requested_by),
        "created_at": seconds(i.created_at),
        "station": _text_or_none(i.station),
    }


def intent_of(row: AnyRow) -> Intent:
    return Intent(
        id=row.id,
        issuer=row.issuer,
        serial=int.from_bytes(row.serial, "big"),
        tbs_sha256=bytes(row.tbs_sha256),
        profile=row.profile,
        decision=row.decision,
        requested_by=row.requested_by,
        created_at=_time(row.created_at),
        station=row.station,
    )


def certificate_values(c: Certificate) -> Values:
    return {
        "id": storable(c.id),
        "issuer": storable(c.issuer),
        "serial": serial_octets(c.serial),
        "profile": storable(c.profile),
        "subject": storable(c.subject),
        "der": c.der,
        "spki_sha256": c.spki_sha256,
        "not_before": seconds(c.not_before),
        "not_after": seconds(c.not_after),
        "intent": storable(c.intent),
        "requested_by": storable(c.requested_by),
        "issued_at": seconds(c.issued_at),
        "station": _text_or_none(c.station),
        "key": _text_or_none(c.key),
    }


def certificate_of(row: AnyRow) -> Certificate:
    return Certificate(
        id=row.id,
        issuer=row.issuer,
        serial=int.from_bytes(row.serial, "big"),
        profile=row.profile,
        subject=row.subject,
        der=bytes(row.der),
        spki_sha256=bytes(row.spki_sha256),
        not_before=_time(row.not_before),
        not_after=_time(row.not_after),
        intent=row.intent,
        requested_by=row.requested_by,
        issued_at=_time(row.issued_at),
        station=row.station,
        key=row.key,
    )


def event_values(e: CertificateEvent) -> Values:
    return {
        "id": storable(e.id),
        "certificate": storable(e.certificate),
        "issuer": storable(e.issuer),
        "serial": serial_octets(e.serial),
        "kind": e.kind.value,
        "reason": e.reason.value,
        "at": seconds(e.at),
        "actor": storable(e.actor),
        "note": storable(e.note),
    }


def event_of(row: AnyRow) -> CertificateEvent:
    return CertificateEvent(
        id=row.id,
        certificate=row.certificate,
        issuer=row.issuer,
        serial=int.from_bytes(row.serial, "big"),
        kind=CertificateEventKind(row.kind),
        reason=RevocationReason(row.reason),
        at=_time(row.at),
        actor=row.actor,
        note=row.note,
    )


def revoked_of(row: AnyRow) -> Revoked:
    return Revoked(int.from_bytes(row.serial, "big"), _time(row.at), RevocationReason(row.reason))


def crl_values(c: Crl) -> Values:
    return {
        "issuer": storable(c.issuer),
        "number": c.number,
        "this_update": seconds(c.this_update),
        "next_update": seconds(c.next_update),
        "entry_count": c.entry_count,
        "der": c.der,
    }


def crl_of(row: AnyRow) -> Crl:
    return Crl(
        issuer=row.issuer,
        number=row.number,
        this_update=_time(row.this_update),
        next_update=_time(row.next_update),
        entry_count=row.entry_count,
        der=bytes(row.der),
    )


# ---------------------------------------------------------------------------------------------------------------- inventory


def station_values(s: Station) -> Values:
    return {
        "id": storable(s.id),
        "serial_number": storable(s.serial_number),
        "operator": storable(s.operator),
        "state": s.state.value,
        "security_profile": s.security_profile.value,
        "created_at": seconds(s.created_at),
        "ocpp_version": storable(s.ocpp_version),
        "vendor": storable(s.vendor),
        "model": storable(s.model),
        "firmware": storable(s.firmware),
        "csr_tolerant": s.csr_tolerant,
        "include_root": s.include_root,
        "password_hash": storable(s.password_hash),
        "last_seen": _seconds_or_none(s.last_seen),
        "version": s.version,
    }


def station_of(row: AnyRow) -> Station:
    return Station(
        id=row.id,
        serial_number=row.serial_number,
        operator=row.operator,
        state=StationState(row.state),
        security_profile=SecurityProfile(row.security_profile),
        created_at=_time(row.created_at),
        ocpp_version=row.ocpp_version,
        vendor=row.vendor,
        model=row.model,
        firmware=row.firmware,
        csr_tolerant=bool(row.csr_tolerant),
        include_root=bool(row.include_root),
        password_hash=row.password_hash,
        last_seen=_time_or_none(row.last_seen),
        version=row.version,
    )


def enrolment_token_values(t: EnrolmentToken) -> Values:
    return {
        "id": storable(t.id),
        "token_sha256": t.token_sha256,
        "station": storable(t.station),
        "profile": storable(t.profile),
        "expires_at": seconds(t.expires_at),
        "created_by": storable(t.created_by),
        "created_at": seconds(t.created_at),
        "used_at": _seconds_or_none(t.used_at),
    }


def enrolment_token_of(row: AnyRow) -> EnrolmentToken:
    return EnrolmentToken(
        id=row.id,
        token_sha256=bytes(row.token_sha256),
        station=row.station,
        profile=row.profile,
        expires_at=_time(row.expires_at),
        created_by=row.created_by,
        created_at=_time(row.created_at),
        used_at=_time_or_none(row.used_at),
    )


def api_token_values(t: ApiToken) -> Values:
    return {
        "id": storable(t.id),
        "token_sha256": t.token_sha256,
        "name": storable(t.name),
        "role": storable(t.role),
        "scopes": storable(" ".join(sorted(t.scopes))),
        "created_by": storable(t.created_by),
        "created_at": seconds(t.created_at),
        "expires_at": _seconds_or_none(t.expires_at),
        "revoked_at": _seconds_or_none(t.revoked_at),
    }


def api_token_of(row: AnyRow) -> ApiToken:
    return ApiToken(
        id=row.id,
        token_sha256=bytes(row.token_sha256),
        name=row.name,
        role=row.role,
        scopes=frozenset(row.scopes.split()),
        created_by=row.created_by,
        created_at=_time(row.created_at),
        expires_at=_time_or_none(row.expires_at),
        revoked_at=_time_or_none(row.revoked_at),
    )


def security_event_values(e: SecurityEvent) -> Values:
    return {
        "id": storable(e.id),
        "station": storable(e.station),
        "type": storable(e.type),
        "at": seconds(e.at),
        "received_at": seconds(e.received_at),
        "is_critical": e.is_critical,
        "tech_info": storable(e.tech_info),
    }


def security_event_of(row: AnyRow) -> SecurityEvent:
    return SecurityEvent(
        id=row.id,
        station=row.station,
        type=row.type,
        at=_time(row.at),
        received_at=_time(row.received_at),
        is_critical=bool(row.is_critical),
        tech_info=row.tech_info,
    )


# -------------------------------------------------------------------------------------------------------------------- trail


def audit_values(e: AuditEntry) -> Values:
    return {
        "id": storable(e.id),
        "at": seconds(e.at),
        "actor": storable(e.actor),
        "action": storable(e.action),
        "object": storable(e.object),
        "outcome": e.outcome.value,
        "body": e.body,
    }


def audit_of(row: AnyRow) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=_time(row.at),
        actor=row.actor,
        action=row.action,
        object=row.object,
        outcome=Outcome(row.outcome),
        body=bytes(row.body),
    )


def idempotent_values(a: IdempotentAnswer) -> Values:
    return {
        "caller": storable(a.caller),
        "key": storable(a.key),
        "request_sha256": a.request_sha256,
        "created_at": seconds(a.created_at),
        "status": a.status,
        "body": a.body,
    }


def idempotent_of(row: AnyRow) -> IdempotentAnswer:
    return IdempotentAnswer(
        key=row.key,
        caller=row.caller,
        request_sha256=bytes(row.request_sha256),
        created_at=_time(row.created_at),
        status=row.status,
        body=bytes(row.body),
    )
