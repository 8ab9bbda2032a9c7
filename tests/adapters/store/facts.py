"""Records to put into a store: plausible, distinct by their number."""

import hashlib
from datetime import UTC, datetime, timedelta

from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import (
    ApiToken,
    AuditEntry,
    AuditId,
    Authority,
    AuthorityId,
    AuthorityState,
    Certificate,
    CertificateEvent,
    CertificateEventKind,
    CertificateId,
    Crl,
    EnrolmentToken,
    IdempotentAnswer,
    Intent,
    IntentId,
    KeyRef,
    Outcome,
    ProfileId,
    SecurityEvent,
    SecurityProfile,
    Station,
    StationId,
    StationState,
    TokenId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.ports import AddCertificate, AddCertificateEvent, AddIntent, Change

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
SUB = AuthorityId("operator-sub")
OTHER_SUB = AuthorityId("manufacturer-sub")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def authority(id: str = "operator-sub", parent: str | None = "operator-root") -> Authority:
    return Authority(
        id=AuthorityId(id),
        parent=AuthorityId(parent) if parent else None,
        profile=ProfileId("sub/operator"),
        key=KeyRef(f"key-of-{id}"),
        key_spec=KeySpec.P256,
        signature=SignatureAlgorithm.ECDSA_SHA256,
        certificate=CertificateId(f"crt_of_{id}"),
        state=AuthorityState.ACTIVE,
        created_at=NOW,
    )


def intent(number: int, issuer: AuthorityId = SUB, created_at: datetime = NOW) -> Intent:
    return Intent(
        id=IntentId(f"int_{issuer}_{number:06}"),
        issuer=issuer,
        serial=(1 << 158) + number,
        tbs_sha256=digest(f"tbs {number}"),
        profile=ProfileId("ocpp/station"),
        decision='{"via":"inventory"}',
        requested_by="tok_1",
        created_at=created_at,
        station=StationId(f"CS-{number}"),
    )


def certificate(number: int, issuer: AuthorityId = SUB, days: int = 365) -> Certificate:
    begun = intent(number, issuer)
    return Certificate(
        id=CertificateId(f"crt_{issuer}_{number:06}"),
        issuer=issuer,
        serial=begun.serial,
        profile=begun.profile,
        subject=f"O=demo-cpo, CN=SN-{number:04}",
        der=b"\x30\x00\xff" + str(number).encode(),
        spki_sha256=digest(f"key {number}"),
        not_before=NOW - HOUR,
        not_after=NOW + days * DAY,
        intent=begun.id,
        requested_by="tok_1",
        issued_at=NOW,
        station=begun.station,
    )


def issue(*certificates: Certificate) -> tuple[Change, ...]:
    """All that puts the certificates into a store: their intents too."""
    return tuple(
        change
        for each in certificates
        for change in (
            AddIntent(
                Intent(
                    each.intent,
                    each.issuer,
                    each.serial,
                    digest("tbs"),
                    each.profile,
                    "{}",
                    each.requested_by,
                    each.issued_at,
                    each.station,
                )
            ),
            AddCertificate(each),
        )
    )


def event(
    of: Certificate, number: int = 1, kind: CertificateEventKind = CertificateEventKind.REVOKED, at: datetime = NOW
) -> CertificateEvent:
    reason = RevocationReason.KEY_COMPROMISE if kind is CertificateEventKind.REVOKED else RevocationReason.CERTIFICATE_HOLD
    return CertificateEvent(f"evt_{of.id}_{number}", of.id, of.issuer, of.serial, kind, reason, at, "tok_1", "a note")


def revoke(of: Certificate, at: datetime = NOW) -> AddCertificateEvent:
    return AddCertificateEvent(event(of, at=at), None)


def station(id: str = "CS-17", serial_number: str = "", operator: str = "demo-cpo") -> Station:
    return Station(
        id=StationId(id),
        serial_number=serial_number or f"SN-{id}",
        operator=operator,
        state=StationState.REGISTERED,
        security_profile=SecurityProfile.TLS_BASIC,
        created_at=NOW,
        csr_tolerant=True,
        password_hash="$scrypt$1",
    )


def enrolment_token(name: str = "enr_1", expires_at: datetime = NOW + DAY) -> EnrolmentToken:
    return EnrolmentToken(
        TokenId(name), digest(name), StationId("CS-17"), ProfileId("ocpp/station"), expires_at, created_by="tok_1", created_at=NOW
    )


def api_token(name: str = "tok_1") -> ApiToken:
    scopes = frozenset({"certificate:*:*", "inventory:station:read"})
    return ApiToken(
        TokenId(name), digest(name), "the laptop", "operator", scopes, created_by="system", created_at=NOW, expires_at=NOW + DAY
    )


def crl(number: int, issuer: AuthorityId = SUB) -> Crl:
    return Crl(issuer, number, NOW, NOW + DAY, entry_count=number, der=b"\x30crl" + str(number).encode())


def security_event(number: int, station: str = "CS-17") -> SecurityEvent:
    return SecurityEvent(
        f"sev_{number:06}", StationId(station), "InvalidCsmsCertificate", NOW - SECOND, NOW, is_critical=True, tech_info="x509"
    )


def audit(number: int, object: str = "station:CS-17", outcome: Outcome = Outcome.DONE, actor: str = "tok_1") -> AuditEntry:
    return AuditEntry(AuditId(f"aud_{number:06}"), NOW, actor, "inventory:station:write", object, outcome, b'{"v":1}')


def answer(key: str = "k-1", status: int = 0, body: bytes = b"") -> IdempotentAnswer:
    return IdempotentAnswer(key, "tok_1", digest("request"), NOW, status, body)
