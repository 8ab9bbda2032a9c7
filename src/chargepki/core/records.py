"""The facts the platform keeps, as immutable values. Times are aware UTC datetimes without microseconds unless said.

A certificate never changes; what happens to it is a `CertificateEvent`. Ids are ULIDs with a type prefix (`crt_01J...`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NewType, TypeVar

from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.revocation import RevocationReason

T = TypeVar("T")

AuthorityId = NewType("AuthorityId", str)  # a slug people type: "operator-sub"
CertificateId = NewType("CertificateId", str)  # crt_...
IntentId = NewType("IntentId", str)  # int_...
ProfileId = NewType("ProfileId", str)  # "ocpp/station"
StationId = NewType("StationId", str)  # the OCPP identity: "CS-17"
KeyRef = NewType("KeyRef", str)  # names a key inside the vault
TokenId = NewType("TokenId", str)  # tok_... (API), enr_... (enrolment)
AuditId = NewType("AuditId", str)  # aud_...


class AuthorityState(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"  # signs status only


@dataclass(frozen=True, slots=True)
class Authority:
    """A certification authority: a name, a key in the vault, a certificate in the store."""

    id: AuthorityId
    parent: AuthorityId | None  # None: a root
    profile: ProfileId
    key: KeyRef
    key_spec: KeySpec
    signature: SignatureAlgorithm
    certificate: CertificateId
    state: AuthorityState
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Certificate:
    """An issued certificate and what it was issued for. `serial` is positive and below 2**159."""

    id: CertificateId
    issuer: AuthorityId
    serial: int
    profile: ProfileId
    subject: str  # for people: "O=demo-cpo, CN=SN-0017"
    der: bytes
    spki_sha256: bytes
    not_before: datetime
    not_after: datetime
    intent: IntentId
    requested_by: str  # actor id
    issued_at: datetime
    station: StationId | None = None
    key: KeyRef | None = None  # only where the platform made the key


@dataclass(frozen=True, slots=True)
class Intent:
    """Written and durable before the vault signs: this serial, these bytes, for these reasons."""

    id: IntentId
    issuer: AuthorityId
    serial: int
    tbs_sha256: bytes
    profile: ProfileId
    decision: str  # canonical JSON of the decision's inputs
    requested_by: str
    created_at: datetime
    station: StationId | None = None


class CertificateEventKind(StrEnum):
    REVOKED = "revoked"
    HELD = "held"  # certificateHold: may be released
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class CertificateEvent:
    """A change of a certificate's status. The newest event of a certificate is its status; none means good."""

    id: str  # evt_...
    certificate: CertificateId
    issuer: AuthorityId
    serial: int
    kind: CertificateEventKind
    reason: RevocationReason
    at: datetime
    actor: str
    note: str = ""


class StationState(StrEnum):
    REGISTERED = "registered"  # known, not seen yet
    ACTIVE = "active"
    SUSPENDED = "suspended"  # may not connect and gets no certificate
    DECOMMISSIONED = "decommissioned"


class SecurityProfile(StrEnum):
    """OCPP security profiles (OCPP 2.0.1 part 2 A.1.3); profile 1 is not offered."""

    TLS_BASIC = "2"
    MUTUAL_TLS = "3"


@dataclass(frozen=True, slots=True)
class Station:
    """A charging station in the inventory. `version` counts changes; a write names the one it read."""

    id: StationId  # OCPP identity, the path segment it connects with
    serial_number: str  # becomes the CN of its certificate (OCPP A00.FR.511)
    operator: str  # becomes the O of its certificate (OCPP A00.FR.509)
    state: StationState
    security_profile: SecurityProfile  # the lowest it may connect with; goes up by itself, down only by an operator
    created_at: datetime
    ocpp_version: str = ""  # "1.6", "2.0.1", "2.1"; "" until it connects
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    csr_tolerant: bool = False  # accept the known quirks of field devices in its CSRs
    include_root: bool = False  # some stations want the root in the chain
    password_hash: str = ""  # PHC string; "" means Basic is refused
    last_seen: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """A one-time permission to get one certificate. Only the SHA-256 of the token is kept."""

    id: TokenId
    token_sha256: bytes
    station: StationId
    profile: ProfileId
    expires_at: datetime
    created_by: str
    created_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token of the API. Only the SHA-256 of the token is kept."""

    id: TokenId
    token_sha256: bytes
    name: str
    role: str
    scopes: frozenset[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Outcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act and what became of it. `body` is canonical JSON (RFC 8785), at most 16 KiB; the other fields repeat it for search."""

    id: AuditId
    at: datetime
    actor: str
    action: str  # a Permission
    object: str  # "station:CS-17", "certificate:crt_..."
    outcome: Outcome
    body: bytes


@dataclass(frozen=True, slots=True)
class Crl:
    """A signed certificate revocation list. `number` never goes back for one issuer."""

    issuer: AuthorityId
    number: int
    this_update: datetime
    next_update: datetime
    entry_count: int
    der: bytes


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """What a station reported with SecurityEventNotification (OCPP A04), or what the gateway saw of it."""

    id: str  # sev_...
    station: StationId
    type: str
    at: datetime
    received_at: datetime
    is_critical: bool
    tech_info: str = ""


@dataclass(frozen=True, slots=True)
class IdempotentAnswer:
    """A POST's answer, kept for its Idempotency-Key; `status` 0 while the first call is running."""

    key: str
    caller: str
    request_sha256: bytes
    created_at: datetime
    status: int = 0
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next` is an opaque cursor, "" at the end."""

    items: tuple[T, ...]
    next: str = ""


@dataclass(frozen=True, slots=True)
class CertificateQuery:
    """What to list. Empty fields do not narrow."""

    station: StationId | None = None
    issuer: AuthorityId | None = None
    profile: ProfileId | None = None
    state: str = ""  # "valid", "revoked", "expired"
    spki_sha256: bytes = b""
    expires_before: datetime | None = None
    text: str = ""  # a part of the subject, or a whole serial number in hex
