"""What the services need from outside, as protocols. Adapters implement them; `app.py` joins the two."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.profiles.narrowing import ProfileVersion
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
    CertificateId,
    CertificateQuery,
    Crl,
    EnrolmentToken,
    ExternalIdentity,
    GrantId,
    GrantRecord,
    IdempotentAnswer,
    Intent,
    IntentId,
    KeyRecord,
    KeyRef,
    KeyState,
    Machine,
    MachineId,
    Page,
    Party,
    PartyId,
    Person,
    PersonId,
    ProfileId,
    Proposal,
    ProposalId,
    ProposalState,
    SecurityEvent,
    Session,
    SessionId,
    StandingId,
    StandingRecord,
    Station,
    StationId,
    TokenId,
    VoteRecord,
)
from chargepki.core.revocation import Revoked

PAGE_SIZE_MAX = 500  # one page fits in memory many times over, at any caller count


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC, whole seconds."""
        ...


class Entropy(Protocol):
    def octets(self, count: int) -> bytes:
        """`count` octets from a cryptographically secure source."""
        ...

    def nonce(self, count: int) -> bytes:
        """The same for what nobody may guess but is no secret to keep, such as a serial number: may be drawn ahead."""
        ...

    def ulid(self, prefix: str) -> str:
        """A fresh sortable id, `prefix_01J...`."""
        ...


# --------------------------------------------------------------------------------------------------------------------- keys


class SigningPurpose(StrEnum):
    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP = "ocsp"
    LOG = "log"
    REQUEST = "request"  # PKCS#10 for an authority's own key, which somebody else will certify


@dataclass(frozen=True, slots=True)
class SigningPlan:
    """Why a certificate may be signed: what a signer process checks before it does. `decision` is canonical JSON."""

    issuer: str
    serial: int
    profile: str
    tbs_sha256: bytes
    decision: bytes
    is_ca: bool = False


@dataclass(frozen=True, slots=True)
class SigningOrder:
    """What a vault is asked to sign and why. `reference` is the intent's id, the CRL's issuer and number, the
    responder's id, or the authority whose key is to be certified.

    `plan` comes with every certificate, and with nothing else.
    """

    key: KeyRef
    algorithm: SignatureAlgorithm
    data: bytes
    purpose: SigningPurpose
    reference: str
    plan: SigningPlan | None = None


@dataclass(frozen=True, slots=True)
class KeyAttestation:
    """What the device says of a key it holds. `statement` is canonical JSON of its facts, or the vendor's own bytes."""

    kind: str
    statement: bytes
    is_hardware: bool


@dataclass(frozen=True, slots=True)
class KeyHandle:
    """A key in a vault, seen from outside. `spki` is its DER SubjectPublicKeyInfo."""

    ref: KeyRef
    spec: KeySpec
    spki: bytes
    label: str
    is_exportable: bool


class KeyVault(Protocol):
    """Holds private keys. Nothing that leaves it is a usable CA key. Raises `VaultUnavailable`, `NotFound`, `Refused`."""

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle: ...

    async def get(self, ref: KeyRef) -> KeyHandle: ...

    async def sign(self, order: SigningOrder) -> bytes: ...

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:
        """PKCS#8, PEM, encrypted with `passphrase` (PBES2). `Refused` unless the key was made exportable."""
        ...

    async def destroy(self, ref: KeyRef) -> None: ...

    async def list(self) -> tuple[KeyHandle, ...]: ...

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        """None where the vault has no device that could say anything."""
        ...


class SecretBox(Protocol):
    """Keeps small secrets (a TOTP secret, a subject's key) unreadable in the store. `context` binds a secret to its place."""

    def seal(self, secret: bytes, context: str) -> bytes: ...

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises `Broken` when it was changed or belongs elsewhere."""
        ...


# ---------------------------------------------------------------------------------------------------------------------- log


@dataclass(frozen=True, slots=True)
class TileFile:
    """One immutable file of the log. `path` is relative to the log's directory: "tile/0/x001/067"."""

    path: str
    data: bytes


class LogTiles(Protocol):
    """Where the log's tiles lie. Files are immutable, only the checkpoint is replaced. Raises `LogUnavailable`, `LogInconsistent`."""

    async def read_checkpoint(self) -> bytes | None: ...

    async def read(self, path: str) -> bytes:
        """Raises `NotFound`."""
        ...

    async def publish(self, files: Sequence[TileFile], checkpoint: bytes) -> None:
        """Durable in this order: files, then checkpoint. An empty checkpoint leaves the one that stands. "checkpoint.cosigned" among the
        files is replaced, everything else is written once."""
        ...


# -------------------------------------------------------------------------------------------------------------------- store


@dataclass(frozen=True, slots=True)
class AddAuthority:
    """`Conflict` when the id exists."""

    authority: Authority


@dataclass(frozen=True, slots=True)
class SetAuthorityState:
    id: AuthorityId
    state: AuthorityState


@dataclass(frozen=True, slots=True)
class AddIntent:
    """`Conflict` when (issuer, serial) was ever used."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class CloseIntent:
    """Ends an intent that led to no certificate."""

    id: IntentId
    outcome: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AddCertificate:
    """Also closes the certificate's intent. `Conflict` when (issuer, serial) has a certificate, or the intent is not open."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class AddCertificateEvent:
    """`Conflict` when the newest event of the certificate is not `after` (None: no event yet)."""

    event: CertificateEvent
    after: str | None


@dataclass(frozen=True, slots=True)
class ClaimKey:
    """Binds a public key to its first owner for ever. `Conflict` when another owner has it."""

    spki_sha256: bytes
    owner: str  # "station:CS-17", "host:csms.example.org", "authority:operator-sub"
    at: datetime


@dataclass(frozen=True, slots=True)
class AddStation:
    """`Conflict` when the id or the (operator, serial number) exists."""

    station: Station


@dataclass(frozen=True, slots=True)
class UpdateStation:
    """Writes `station` with `version + 1`; `Conflict` when the stored version is not `station.version`."""

    station: Station


@dataclass(frozen=True, slots=True)
class TouchStation:
    """Sets `last_seen`, without a version check."""

    id: StationId
    at: datetime


@dataclass(frozen=True, slots=True)
class AddEnrolmentToken:
    token: EnrolmentToken


@dataclass(frozen=True, slots=True)
class UseEnrolmentToken:
    """`Conflict` when it was used, has expired at `at`, or does not exist."""

    id: TokenId
    at: datetime


@dataclass(frozen=True, slots=True)
class AddApiToken:
    """`Conflict` when its parent is revoked, does not exist, or was narrowed from others eight times over."""

    token: ApiToken


@dataclass(frozen=True, slots=True)
class RevokeApiToken:
    """Also those narrowed from it. `Conflict` when it is revoked already or does not exist."""

    id: TokenId
    at: datetime


@dataclass(frozen=True, slots=True)
class EndTokens:
    """Revokes every token of this holder, and those narrowed from them. Touching none is fine. What the same commit adds stays."""

    holder: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AddParty:
    """`Conflict` when the id or the name exists."""

    party: Party


@dataclass(frozen=True, slots=True)
class UpdateParty:
    """Writes with `version + 1`; `Conflict` when the stored version is not `party.version`. So do all `Update...` below."""

    party: Party


@dataclass(frozen=True, slots=True)
class AddPerson:
    """`Conflict` when the user name exists."""

    person: Person
    account: Account


@dataclass(frozen=True, slots=True)
class UpdatePerson:
    person: Person


@dataclass(frozen=True, slots=True)
class UpdateAccount:
    account: Account


@dataclass(frozen=True, slots=True)
class AddExternalIdentity:
    """`Conflict` when (issuer, subject) is linked already."""

    identity: ExternalIdentity


@dataclass(frozen=True, slots=True)
class AddMachine:
    """`Conflict` when the party has a machine of this name."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class UpdateMachine:
    machine: Machine


@dataclass(frozen=True, slots=True)
class AddGrant:
    record: GrantRecord


@dataclass(frozen=True, slots=True)
class UpdateGrant:
    record: GrantRecord


@dataclass(frozen=True, slots=True)
class AddSession:
    session: Session


@dataclass(frozen=True, slots=True)
class TouchSession:
    """Sets `last_seen_at` and, where given, `stepped_up_at`; no check."""

    id: SessionId
    at: datetime
    stepped_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EndSession:
    """`Conflict` when it has ended already or does not exist."""

    id: SessionId
    at: datetime


@dataclass(frozen=True, slots=True)
class EndSessions:
    """Ends every session of a person. Touching none is fine. What the same commit adds stays."""

    person: PersonId
    at: datetime


@dataclass(frozen=True, slots=True)
class AddProposal:
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class UpdateProposal:
    proposal: Proposal


@dataclass(frozen=True, slots=True)
class AddVote:
    """`Conflict` when the proposal is not open, its digest is another, or this person has voted on it.

    Counts the proposal's version up: an update by somebody who had not seen the vote conflicts.
    """

    vote: VoteRecord


@dataclass(frozen=True, slots=True)
class AddStanding:
    record: StandingRecord


@dataclass(frozen=True, slots=True)
class EndStanding:
    """`Conflict` when it has ended already or does not exist."""

    id: StandingId
    at: datetime


@dataclass(frozen=True, slots=True)
class UseStanding:
    """Counts one certificate in the hour of `at`; `Conflict` when the hour has `per_hour_max` already, or the approval has ended."""

    id: StandingId
    at: datetime
    per_hour_max: int


@dataclass(frozen=True, slots=True)
class AddKeyRecord:
    record: KeyRecord


@dataclass(frozen=True, slots=True)
class SetKeyState:
    """`Conflict` when the state is not `after`."""

    ref: KeyRef
    state: KeyState
    after: KeyState
    at: datetime


@dataclass(frozen=True, slots=True)
class AddProfileVersion:
    """`Conflict` when the profile has a version of this number."""

    version: ProfileVersion


@dataclass(frozen=True, slots=True)
class EraseSubject:
    """Forgets everything private that entries hold about a person, salts included: the commitments in the log open no more."""

    subject: str


@dataclass(frozen=True, slots=True)
class AddCrl:
    """`Conflict` when the issuer has a CRL with this number or a higher one."""

    crl: Crl


@dataclass(frozen=True, slots=True)
class AddSecurityEvent:
    event: SecurityEvent


@dataclass(frozen=True, slots=True)
class AppendAudit:
    entry: AuditEntry


@dataclass(frozen=True, slots=True)
class ClaimIdempotencyKey:
    """`Conflict` when the caller has used the key already."""

    answer: IdempotentAnswer


@dataclass(frozen=True, slots=True)
class KeepIdempotentAnswer:
    answer: IdempotentAnswer


@dataclass(frozen=True, slots=True)
class DropIdempotencyKey:
    """Frees a key whose call failed without an effect."""

    caller: str
    key: str


Change = (
    AddAuthority
    | SetAuthorityState
    | AddIntent
    | CloseIntent
    | AddCertificate
    | AddCertificateEvent
    | ClaimKey
    | AddStation
    | UpdateStation
    | TouchStation
    | AddEnrolmentToken
    | UseEnrolmentToken
    | AddApiToken
    | RevokeApiToken
    | EndTokens
    | AddParty
    | UpdateParty
    | AddPerson
    | UpdatePerson
    | UpdateAccount
    | AddExternalIdentity
    | AddMachine
    | UpdateMachine
    | AddGrant
    | UpdateGrant
    | AddSession
    | TouchSession
    | EndSession
    | EndSessions
    | AddProposal
    | UpdateProposal
    | AddVote
    | AddStanding
    | EndStanding
    | UseStanding
    | AddKeyRecord
    | SetKeyState
    | AddProfileVersion
    | EraseSubject
    | AddCrl
    | AddSecurityEvent
    | AppendAudit
    | ClaimIdempotencyKey
    | KeepIdempotentAnswer
    | DropIdempotencyKey
)


class Store(Protocol):
    """The platform's memory. `get_*` raises `NotFound`; `lookup_*` answers None; lists are paged by cursor.

    Every method raises `StoreUnavailable` when the database cannot be reached or cannot write.
    """

    async def commit(self, *changes: Change) -> None:
        """All of them or none, durable on return. Concurrent callers share transactions; one caller's `Conflict` (raised here
        when a precondition named at the change does not hold) never undoes another's changes."""
        ...

    async def get_authority(self, id: AuthorityId) -> Authority: ...
    async def list_authorities(self) -> tuple[Authority, ...]:
        """All of them, oldest first: there are tens, not thousands."""
        ...

    async def get_certificate(self, id: CertificateId) -> Certificate: ...
    async def lookup_certificate_by_serial(self, issuer: AuthorityId, serial: int) -> Certificate | None: ...
    async def lookup_certificate_by_intent(self, intent: IntentId) -> Certificate | None: ...
    async def list_certificates(self, query: CertificateQuery, *, now: datetime, cursor: str = "", limit: int = 50) -> Page[Certificate]:
        """Newest first. Here and in every list: `parties` None is everybody's, else only what belongs to one of them."""
        ...

    async def list_certificate_events(self, id: CertificateId) -> tuple[CertificateEvent, ...]:
        """Oldest first; the last one is the status."""
        ...

    async def lookup_status(self, issuer: AuthorityId, serial: int) -> tuple[bool, CertificateEvent | None]:
        """Whether the issuer issued this serial number, and the newest event of that certificate."""
        ...

    async def latest_events(self, ids: Sequence[CertificateId]) -> dict[CertificateId, CertificateEvent]:
        """The newest event of each certificate that has one."""
        ...

    async def list_due_holds(self, *, before: datetime, limit: int = 50) -> tuple[CertificateEvent, ...]:
        """Emergency holds that nobody confirmed and whose `until` is not after `before`; the longest due first."""
        ...

    def stream_revoked(self, issuer: AuthorityId, *, not_after_from: datetime) -> AsyncIterator[Revoked]:
        """All serials whose newest event is revoked or held and whose certificate ends at or after `not_after_from`, in the
        order of their events."""
        ...

    async def lookup_latest_crl(self, issuer: AuthorityId) -> Crl | None: ...

    async def list_open_intents(
        self, *, before: datetime, parties: frozenset[PartyId] | None = None, cursor: str = "", limit: int = 50
    ) -> Page[Intent]:
        """Intents older than `before` that led to no certificate and are not closed, oldest first."""
        ...

    async def get_station(self, id: StationId) -> Station: ...
    async def lookup_station_by_serial_number(self, operator: str, serial_number: str) -> Station | None: ...
    async def list_stations(
        self,
        *,
        text: str = "",
        operator: str = "",
        state: str = "",
        parties: frozenset[PartyId] | None = None,
        cursor: str = "",
        limit: int = 50,
    ) -> Page[Station]:
        """By id, ascending; `text` is a part of the id or of the serial number."""
        ...

    async def lookup_key_owner(self, spki_sha256: bytes) -> str | None: ...
    async def lookup_enrolment_token(self, token_sha256: bytes) -> EnrolmentToken | None: ...
    async def lookup_api_token(self, token_sha256: bytes) -> ApiToken | None: ...
    async def get_api_token(self, id: TokenId) -> ApiToken: ...
    async def list_api_tokens(
        self, *, parties: frozenset[PartyId] | None = None, holder: str = "", cursor: str = "", limit: int = 50
    ) -> Page[ApiToken]:
        """Oldest first."""
        ...

    async def list_security_events(
        self, station: StationId | None, *, parties: frozenset[PartyId] | None = None, cursor: str = "", limit: int = 50
    ) -> Page[SecurityEvent]:
        """Newest first."""
        ...

    async def list_audit(
        self,
        *,
        actor: str = "",
        action: str = "",
        object: str = "",
        outcome: str = "",
        parties: frozenset[PartyId] | None = None,
        cursor: str = "",
        limit: int = 50,
    ) -> Page[AuditEntry]:
        """Newest first; `object` may end in `*` to match a prefix."""
        ...

    async def get_audit(self, id: AuditId) -> AuditEntry: ...

    async def count_leaves(self) -> int:
        """How many audit entries there are: the size of the log."""
        ...

    async def list_leaves(self, *, first: int, limit: int) -> tuple[bytes, ...]:
        """The bodies of the entries from index `first` on, in log order, without a gap."""
        ...

    async def get_party(self, id: PartyId) -> Party: ...
    async def lookup_party_by_name(self, name: str) -> Party | None: ...
    async def list_parties(self, *, parties: frozenset[PartyId] | None = None, cursor: str = "", limit: int = 50) -> Page[Party]:
        """By id, ascending."""
        ...

    async def get_person(self, id: PersonId) -> Person: ...
    async def lookup_person_by_username(self, username: str) -> Person | None: ...
    async def lookup_person_by_identity(self, issuer: str, subject: str) -> Person | None: ...
    async def list_people(self, *, parties: frozenset[PartyId] | None = None, cursor: str = "", limit: int = 50) -> Page[Person]:
        """By user name, ascending."""
        ...

    async def get_account(self, person: PersonId) -> Account: ...
    async def lookup_account_by_invitation(self, invitation_sha256: bytes) -> Account | None: ...
    async def get_machine(self, id: MachineId) -> Machine: ...
    async def list_machines(self, *, parties: frozenset[PartyId] | None = None, cursor: str = "", limit: int = 50) -> Page[Machine]:
        """Oldest first."""
        ...

    async def get_grant(self, id: GrantId) -> GrantRecord: ...
    async def list_grants(
        self,
        *,
        holder: str = "",
        role: str = "",
        state: str = "",
        parties: frozenset[PartyId] | None = None,
        cursor: str = "",
        limit: int = 50,
    ) -> Page[GrantRecord]:
        """Oldest first. `parties` looks at the holder's party."""
        ...

    async def lookup_session(self, token_sha256: bytes) -> Session | None: ...
    async def get_session(self, id: SessionId) -> Session: ...
    async def list_sessions(
        self, *, person: PersonId | None = None, is_live_at: datetime | None = None, cursor: str = "", limit: int = 50
    ) -> Page[Session]:
        """Newest first."""
        ...

    async def get_proposal(self, id: ProposalId) -> Proposal: ...
    async def list_proposals(
        self, *, state: ProposalState | None = None, parties: frozenset[PartyId] | None = None, cursor: str = "", limit: int = 50
    ) -> Page[Proposal]:
        """Newest first."""
        ...

    async def list_votes(self, proposal: ProposalId) -> tuple[VoteRecord, ...]:
        """Oldest first, those on earlier revisions too."""
        ...

    async def list_standing(
        self, *, party: PartyId | None = None, is_live_at: datetime | None = None, cursor: str = "", limit: int = 50
    ) -> Page[StandingRecord]:
        """Oldest first; with `is_live_at`, `approval.used` is the count of that instant's hour."""
        ...

    async def list_profile_versions(
        self, *, profile: ProfileId | None = None, is_newest: bool = False, cursor: str = "", limit: int = 50
    ) -> Page[ProfileVersion]:
        """Newest first; with `is_newest` only the one in force of each profile."""
        ...

    async def get_key_record(self, ref: KeyRef) -> KeyRecord: ...
    async def list_key_records(self, *, cursor: str = "", limit: int = 50) -> Page[KeyRecord]:
        """Oldest first."""
        ...

    async def lookup_idempotent(self, caller: str, key: str) -> IdempotentAnswer | None: ...
    async def ping(self) -> None:
        """Returns when the database answers."""
        ...


# ------------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class CertificateStatusChanged:
    event: CertificateEvent
    station: StationId | None


@dataclass(frozen=True, slots=True)
class StationChanged:
    station: Station


Event = CertificateIssued | CertificateStatusChanged | StationChanged


class Notifier(Protocol):
    """Tells the rest of the process what was committed. Called after the commit, never before."""

    def publish(self, event: Event) -> None: ...

    def subscribe(self, listener: Callable[[Event], None]) -> None:
        """`listener` returns at once; it schedules what takes longer."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """All that services are handed from outside, in one value."""

    store: Store
    vault: KeyVault
    clock: Clock
    entropy: Entropy
    notifier: Notifier
    tiles: LogTiles
    secrets: SecretBox
