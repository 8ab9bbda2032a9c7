"""Authorities, keys, intents, certificates, their events, and CRLs."""

from chargepki.adapters.store.rows.values import (
    AnyRow,
    Values,
    seconds,
    seconds_or_none,
    serial_octets,
    storable,
    text_or_none,
    time_of,
    time_or_none,
)
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import (
    Authority,
    AuthorityState,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    Crl,
    Intent,
    KeyRecord,
    KeyState,
)
from chargepki.core.revocation import RevocationReason, Revoked


def authority_values(a: Authority) -> Values:
    return {
        "id": storable(a.id),
        "parent": text_or_none(a.parent),
        "profile": storable(a.profile),
        "key": storable(a.key),
        "key_spec": a.key_spec.value,
        "signature": a.signature.value,
        "certificate": storable(a.certificate),
        "state": a.state.value,
        "created_at": seconds(a.created_at),
        "party": storable(a.party),
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
        created_at=time_of(row.created_at),
        party=row.party,
    )


def key_values(k: KeyRecord) -> Values:
    return {
        "ref": storable(k.ref),
        "spec": k.spec.value,
        "spki_sha256": k.spki_sha256,
        "label": storable(k.label),
        "vault": storable(k.vault),
        "state": k.state.value,
        "created_at": seconds(k.created_at),
        "changed_at": seconds(k.changed_at),
        "attestation": k.attestation,
    }


def key_of(row: AnyRow) -> KeyRecord:
    return KeyRecord(
        ref=row.ref,
        spec=KeySpec(row.spec),
        spki_sha256=bytes(row.spki_sha256),
        label=row.label,
        vault=row.vault,
        state=KeyState(row.state),
        created_at=time_of(row.created_at),
        changed_at=time_of(row.changed_at),
        attestation=bytes(row.attestation),
    )


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
        "station": text_or_none(i.station),
        "party": storable(i.party),
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
        created_at=time_of(row.created_at),
        station=row.station,
        party=row.party,
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
        "station": text_or_none(c.station),
        "key": text_or_none(c.key),
        "party": storable(c.party),
        "standing": text_or_none(c.standing),
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
        not_before=time_of(row.not_before),
        not_after=time_of(row.not_after),
        intent=row.intent,
        requested_by=row.requested_by,
        issued_at=time_of(row.issued_at),
        station=row.station,
        key=row.key,
        party=row.party,
        standing=row.standing,
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
        "until": seconds_or_none(e.until),
    }


def event_of(row: AnyRow) -> CertificateEvent:
    return CertificateEvent(
        id=row.id,
        certificate=row.certificate,
        issuer=row.issuer,
        serial=int.from_bytes(row.serial, "big"),
        kind=CertificateEventKind(row.kind),
        reason=RevocationReason(row.reason),
        at=time_of(row.at),
        actor=row.actor,
        note=row.note,
        until=time_or_none(row.until),
    )


def revoked_of(row: AnyRow) -> Revoked:
    return Revoked(int.from_bytes(row.serial, "big"), time_of(row.at), RevocationReason(row.reason))


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
        this_update=time_of(row.this_update),
        next_update=time_of(row.next_update),
        entry_count=row.entry_count,
        der=bytes(row.der),
    )
