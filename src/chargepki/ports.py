"""What the services need from outside, as protocols. Adapters implement them; `app.py` joins the two."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

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
    CertificateId,
    CertificateQuery,
    Crl,
    EnrolmentToken,
    IdempotentAnswer,
    Intent,
    IntentId,
    KeyRef,
    Page,
    SecurityEvent,
    Station,
    StationId,
    TokenId,
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

    def ulid(self, prefix: str) -> str:
        """A fresh sortable id, `prefix_01J...`."""
        ...


# --------------------------------------------------------------------------------------------------------------------- keys


class SigningPurpose(StrEnum):
    CERTIFICATE = "certificate"
    CRL = "crl"
    OCSP = "ocsp"


@dataclass(frozen=True, slots=True)
class SigningOrder:
    """What a vault is asked to sign and why. `reference` is the intent's id, the CRL's issuer and number, or the responder's id."""

    key: KeyRef
    algorithm: SignatureAlgorithm
    data: bytes
    purpose: SigningPurpose
    reference: str


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
    token: ApiToken


@dataclass(frozen=True, slots=True)
class RevokeApiToken:
    """`Conflict` when it is revoked already or does not exist."""

    id: TokenId
    at: datetime


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
        """Newest first."""
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

    def stream_revoked(self, issuer: AuthorityId, *, not_after_from: datetime) -> AsyncIterator[Revoked]:
        """All serials whose newest event is revoked or held and whose certificate ends at or after `not_after_from`, in the
        order of their events."""
        ...

    async def lookup_latest_crl(self, issuer: AuthorityId) -> Crl | None: ...

    async def list_open_intents(self, *, before: datetime, cursor: str = "", limit: int = 50) -> Page[Intent]:
        """Intents older than `before` that led to no certificate and are not closed, oldest first."""
        ...

    async def get_station(self, id: StationId) -> Station: ...
    async def lookup_station_by_serial_number(self, operator: str, serial_number: str) -> Station | None: ...
    async def list_stations(
        self, *, text: str = "", operator: str = "", state: str = "", cursor: str = "", limit: int = 50
    ) -> Page[Station]:
        """By id, ascending; `text` is a part of the id or of the serial number."""
        ...

    async def lookup_key_owner(self, spki_sha256: bytes) -> str | None: ...
    async def lookup_enrolment_token(self, token_sha256: bytes) -> EnrolmentToken | None: ...
    async def lookup_api_token(self, token_sha256: bytes) -> ApiToken | None: ...
    async def list_api_tokens(self, *, cursor: str = "", limit: int = 50) -> Page[ApiToken]:
        """Oldest first."""
        ...

    async def list_security_events(self, station: StationId | None, *, cursor: str = "", limit: int = 50) -> Page[SecurityEvent]:
        """Newest first."""
        ...

    async def list_audit(
        self, *, actor: str = "", action: str = "", object: str = "", outcome: str = "", cursor: str = "", limit: int = 50
    ) -> Page[AuditEntry]:
        """Newest first; `object` may end in `*` to match a prefix."""
        ...

    async def get_audit(self, id: AuditId) -> AuditEntry: ...
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
