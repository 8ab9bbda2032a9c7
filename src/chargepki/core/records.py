"""The facts the platform keeps, as immutable values. Times are aware UTC datetimes without microseconds unless said.

A certificate never changes; what happens to it is a `CertificateEvent`. Ids are ULIDs with a type prefix (`crt_01J...`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, NewType, TypeVar

from chargepki.core.access.model import Grant, Role, Scope, StandingApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.identifiers.name_spaces import NameSpace
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
PartyId = NewType("PartyId", str)  # a slug people type: "demo-cpo"; "" is the platform itself
PersonId = NewType("PersonId", str)  # per_...
MachineId = NewType("MachineId", str)  # mch_...
GrantId = NewType("GrantId", str)  # grt_...
SessionId = NewType("SessionId", str)  # ses_...
ProposalId = NewType("ProposalId", str)  # prp_...
StandingId = NewType("StandingId", str)  # sta_...

PLATFORM_PARTY = PartyId("")


class AuthorityState(StrEnum):
    ACTIVE = "active"
    RETIRED = "retired"  # signs status only
    OFFLINE = "offline"  # its key is elsewhere: it signs nothing here, its CRLs are carried in as files


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
    party: PartyId = PLATFORM_PARTY


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
    party: PartyId = PLATFORM_PARTY
    standing: StandingId | None = None  # the standing approval that stood in for a second person


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
    party: PartyId = PLATFORM_PARTY


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
    until: datetime | None = None  # of an emergency hold: unless others confirm it, it ends then


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
    party: PartyId = PLATFORM_PARTY


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
    """A bearer token of the API. Only the SHA-256 of the token is kept.

    `grants` are its maker's, narrowed; each ends with the grant whose id it carries. `holder` is who it speaks for
    ("person:per_...", "machine:mch_..."); `parent` the token it was narrowed from, with which it ends.
    """

    id: TokenId
    token_sha256: bytes
    name: str
    grants: tuple[Grant, ...]
    holder: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    parent: TokenId | None = None
    party: PartyId = PLATFORM_PARTY


class PartyRole(StrEnum):
    """What an organisation is in charging (VDE-AR-E 2802-100-1, OCPP)."""

    CPO = "cpo"
    MO = "mo"
    OEM = "oem"
    CPS = "cps"
    CSMS = "csms"
    MANUFACTURER = "manufacturer"
    INSTALLER = "installer"
    HUB = "hub"


class PartyState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"  # its people sign in and see; nothing is issued for it


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation with roles and name spaces: what it may see, request and revoke is bounded by them."""

    id: PartyId
    name: str  # becomes the O of its certificates
    roles: frozenset[PartyRole]
    spaces: frozenset[NameSpace]
    state: PartyState
    created_at: datetime
    version: int = 1


class PersonState(StrEnum):
    INVITED = "invited"
    ACTIVE = "active"
    OFFBOARDED = "offboarded"


@dataclass(frozen=True, slots=True)
class Person:
    """A natural person with one or more ways to sign in. Name and e-mail live in the store alone, never in the log."""

    id: PersonId
    username: str
    party: PartyId
    state: PersonState
    created_at: datetime
    display_name: str = ""
    email: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Account:
    """A local account's secrets and its lock. `totp_sealed` is the TOTP secret under the platform's secret box."""

    person: PersonId
    password_hash: str = ""  # PHC string; "" until the invitation is taken up
    totp_sealed: bytes = b""
    totp_step: int = 0  # the newest time step that was used: a code works once
    failures: int = 0
    locked_until: datetime | None = None
    invitation_sha256: bytes = b""
    invitation_expires_at: datetime | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """A person as an OpenID provider knows them."""

    issuer: str
    subject: str
    person: PersonId
    created_at: datetime


class MachineState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Machine:
    """A backend, a factory line, a monitor: it holds exactly one role, and signs in with a certificate or a token."""

    id: MachineId
    name: str
    party: PartyId
    state: MachineState
    created_at: datetime
    version: int = 1


class GrantState(StrEnum):
    OFFERED = "offered"  # approved, not accepted by the person yet (EN 319 401 REQ-7.2-16)
    ACTIVE = "active"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """The register of access rights (EN 319 401 REQ-7.4.1-08 e). `holder` is "person:per_..." or "machine:mch_..."."""

    id: GrantId
    holder: str
    role: Role
    scope: Scope
    until: datetime
    state: GrantState
    created_by: str
    created_at: datetime
    proposal: ProposalId | None = None
    accepted_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    version: int = 1

    @property
    def grant(self) -> Grant:
        return Grant(self.id, self.role, self.scope, self.until)


@dataclass(frozen=True, slots=True)
class Session:
    """A person signed in. Only the SHA-256 of the bearer secret is kept. `stepped_up_at` is the last proof of a second factor."""

    id: SessionId
    token_sha256: bytes
    person: PersonId
    method: str  # "local", "oidc:https://issuer"
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    stepped_up_at: datetime | None = None
    ended_at: datetime | None = None
    client: str = ""  # user agent and address: personal, in the store alone


class ProposalState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"  # the quorum stands; the effect waits for its cool-down or is under way
    EXECUTED = "executed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"  # approved, and refused when it was carried out: the outcome says why


@dataclass(frozen=True, slots=True)
class Proposal:
    """An act that waits for others. `payload` is canonical JSON, and `digest` its SHA-256: a vote binds exactly these bytes."""

    id: ProposalId
    action: Permission
    object: str
    rule: str  # the quorum rule it waits for
    payload: bytes
    digest: bytes
    party: PartyId
    proposer: str  # actor id
    proposer_person: str
    created_at: datetime
    expires_at: datetime
    state: ProposalState = ProposalState.OPEN
    outcome: str = ""
    revision: int = 1  # an edit makes the next revision, with no votes
    version: int = 1


@dataclass(frozen=True, slots=True)
class VoteRecord:
    proposal: ProposalId
    person: PersonId
    digest: bytes
    is_for: bool
    at: datetime
    assurance: int  # how surely the voter was known then (`access.model.Assurance`)
    note: str = ""


@dataclass(frozen=True, slots=True)
class StandingRecord:
    """A standing approval in the register."""

    approval: StandingApproval
    created_by: str
    created_at: datetime
    proposal: ProposalId | None = None
    ended_at: datetime | None = None


class KeyState(StrEnum):
    PENDING = "pending"  # made, not certified or not released yet: signs nothing
    ACTIVE = "active"
    RETIRED = "retired"  # signs status only
    DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key of the vault, as the register knows it. `attestation` is what the vault's device said of it, b"" where it says nothing."""

    ref: KeyRef
    spec: KeySpec
    spki_sha256: bytes
    label: str
    vault: str  # "file", "pkcs11", "signer", "aws-kms"
    state: KeyState
    created_at: datetime
    changed_at: datetime
    attestation: bytes = b""


class Outcome(StrEnum):
    INTENT = "intent"  # about to be signed: written before the signature
    DONE = "done"
    PENDING = "pending"  # waits for others; nothing happened
    REFUSED = "refused"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act and what became of it. `body` is canonical JSON (RFC 8785), at most 16 KiB, and the leaf of the log, byte for byte.

    The other fields repeat it for search. `private` is what the body carries as commitments only: canonical JSON of the values in
    clear, kept in the store until its `subject` (a person) is erased.
    """

    id: AuditId
    at: datetime
    actor: str
    action: str  # a Permission
    object: str  # "station:CS-17", "certificate:crt_..."
    outcome: Outcome
    body: bytes
    party: PartyId = PLATFORM_PARTY
    private: bytes = b""
    subject: str = ""
    index: int | None = None  # its leaf in the log; known once it is committed


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
    parties: "frozenset[PartyId] | None" = None
