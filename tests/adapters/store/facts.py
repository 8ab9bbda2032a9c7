"""Records to put into a store: plausible, distinct by their number."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from chargepki.core.access.model import Grant, Role, Scope, StandingApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace
from chargepki.core.records import (
    Account,
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
    GrantId,
    GrantRecord,
    GrantState,
    IdempotentAnswer,
    Intent,
    IntentId,
    KeyRecord,
    KeyRef,
    KeyState,
    Machine,
    MachineId,
    MachineState,
    Outcome,
    Party,
    PartyId,
    PartyRole,
    PartyState,
    Person,
    PersonId,
    PersonState,
    ProfileId,
    Proposal,
    ProposalId,
    SecurityEvent,
    SecurityProfile,
    Session,
    SessionId,
    StandingRecord,
    Station,
    StationId,
    StationState,
    TokenId,
    VoteRecord,
)
from chargepki.core.revocation import RevocationReason
from chargepki.ports import AddCertificate, AddCertificateEvent, AddIntent, AddPerson, Change

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


def api_token(name: str = "tok_1", holder: str = "person:per_1", parent: str | None = None, party: str = "") -> ApiToken:
    scope = Scope(parties=frozenset({"demo-cpo"}), names=frozenset({NameSpace(NameKind.DNS, "example.org")}))
    grants = (Grant("grt_1", Role.CSMS, scope, NOW + DAY, frozenset({"certificate:*:*"})), Grant("grt_2", Role.MONITOR))
    return ApiToken(
        TokenId(name),
        digest(name),
        "the laptop",
        grants,
        holder,
        created_by="system",
        created_at=NOW,
        expires_at=NOW + DAY,
        parent=None if parent is None else TokenId(parent),
        party=PartyId(party),
    )


def party(id: str = "demo-cpo") -> Party:
    spaces = frozenset({NameSpace(NameKind.EVSE_OPERATOR, "DE*ABC"), NameSpace(NameKind.DNS, "*")})
    return Party(PartyId(id), f"The {id}", frozenset({PartyRole.CPO, PartyRole.CSMS}), spaces, PartyState.ACTIVE, NOW)


def person(id: str = "per_1", username: str = "", party: str = "") -> Person:
    username = username or f"user-of-{id}"
    return Person(PersonId(id), username, PartyId(party), PersonState.INVITED, NOW, "Ada L.", "ada@example.org")


def account(id: str = "per_1", invitation: bytes = b"") -> Account:
    return Account(PersonId(id), totp_sealed=b"\x00sealed", invitation_sha256=invitation, invitation_expires_at=NOW + DAY)


def add_person(id: str = "per_1", username: str = "", party: str = "") -> AddPerson:
    return AddPerson(person(id, username, party), account(id, digest(id)))


def machine(id: str = "mch_1", name: str = "", party: str = "") -> Machine:
    return Machine(MachineId(id), name or f"backend of {id}", PartyId(party), MachineState.ACTIVE, NOW)


def grant(id: str = "grt_1", holder: str = "person:per_1", role: Role = Role.OPERATOR) -> GrantRecord:
    scope = Scope(parties=frozenset({"demo-cpo", ""}), profiles=frozenset(), names=frozenset({NameSpace(NameKind.WMI, "WDB")}))
    return GrantRecord(
        GrantId(id),
        holder,
        role,
        scope,
        NOW + DAY,
        GrantState.OFFERED,
        created_by="person:per_9",
        created_at=NOW,
        proposal=ProposalId("prp_1"),
    )


def session(id: str = "ses_1", person: str = "per_1") -> Session:
    return Session(SessionId(id), digest(id), PersonId(person), "local", NOW, NOW + DAY, NOW, client="curl from 192.0.2.1")


def proposal(id: str = "prp_1", payload: bytes = b'{"v":1}', party: str = "") -> Proposal:
    return Proposal(
        ProposalId(id),
        Permission.CA_AUTHORITY_CREATE,
        "authority:operator-sub",
        "sub-ca",
        payload,
        hashlib.sha256(payload).digest(),
        PartyId(party),
        "person:per_1",
        "per_1",
        NOW,
        NOW + DAY,
    )


def vote(on: Proposal, person: str = "per_2", *, is_for: bool = True) -> VoteRecord:
    return VoteRecord(on.id, PersonId(person), on.digest, is_for, NOW, assurance=2, note="seen")


def standing(id: str = "sta_1", party: str = "demo-cpo", per_hour_max: int = 10) -> StandingRecord:
    names = frozenset({NameSpace(NameKind.STATION_SERIAL, "SN-2026")})
    approval = StandingApproval(id, party, frozenset({"ocpp/"}), names, frozenset({"ecdsa-p256"}), per_hour_max, NOW + 30 * DAY)
    return StandingRecord(approval, "person:per_1", NOW, ProposalId("prp_1"))


def key_record(ref: str = "key-1") -> KeyRecord:
    return KeyRecord(KeyRef(ref), KeySpec.P256, digest(ref), "the root", "pkcs11", KeyState.PENDING, NOW, NOW, b"\x00attested")


def crl(number: int, issuer: AuthorityId = SUB) -> Crl:
    return Crl(issuer, number, NOW, NOW + DAY, entry_count=number, der=b"\x30crl" + str(number).encode())


def security_event(number: int, station: str = "CS-17") -> SecurityEvent:
    return SecurityEvent(
        f"sev_{number:06}", StationId(station), "InvalidCsmsCertificate", NOW - SECOND, NOW, is_critical=True, tech_info="x509"
    )


def audit(number: int, object: str = "station:CS-17", outcome: Outcome = Outcome.DONE, actor: str = "tok_1") -> AuditEntry:
    """What is appended; `at_leaf` says what is read."""
    body = b'{"v":1,"number":' + str(number).encode() + b"}"
    return AuditEntry(AuditId(f"aud_{number:06}"), NOW, actor, "inventory:station:write", object, outcome, body)


def at_leaf(entry: AuditEntry, index: int) -> AuditEntry:
    return replace(entry, index=index)


def answer(key: str = "k-1", status: int = 0, body: bytes = b"") -> IdempotentAnswer:
    return IdempotentAnswer(key, "tok_1", digest("request"), NOW, status, body)
