"""`ports.Store` over SQLite or PostgreSQL: writes go to one group writer, reads to a few threads."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from chargepki.adapters.store.backend import Backend
from chargepki.adapters.store.migrate import migrate
from chargepki.adapters.store.postgres import open_postgres
from chargepki.adapters.store.queries import access, approvals, certificates, inventory, profiles, trail
from chargepki.adapters.store.sqlite import open_sqlite
from chargepki.adapters.store.writer import GroupWriter
from chargepki.adapters.store.writes import operations_of
from chargepki.core.profiles.narrowing import ProfileVersion
from chargepki.core.records import (
    Account,
    ApiToken,
    AuditEntry,
    AuditId,
    Authority,
    AuthorityId,
    Certificate,
    CertificateEvent,
    CertificateId,
    CertificateQuery,
    Crl,
    EnrolmentToken,
    GrantId,
    GrantRecord,
    IdempotentAnswer,
    Intent,
    IntentId,
    KeyRecord,
    KeyRef,
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
    StandingRecord,
    Station,
    StationId,
    TokenId,
    VoteRecord,
)
from chargepki.core.revocation import Revoked
from chargepki.errors import Broken, StoreUnavailable
from chargepki.ports import Change

P = ParamSpec("P")
R = TypeVar("R")
Parties = frozenset[PartyId] | None  # None is everybody's


def open_store(url: str) -> "SqlStore":
    """The store that `url` names, with its schema brought up to date. Blocks; `await store.close()` ends it.

    `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user@host/database`. Raises `StoreUnavailable` when the
    database cannot be opened, `Broken` for another kind of URL, a database that another process holds or one newer than this code.
    """
    backend = _open_backend(_parse_url(url))
    try:
        migrate(backend)
    except BaseException:
        backend.close()
        raise
    return SqlStore(backend)


def _parse_url(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise Broken("the store's URL cannot be read", hint="sqlite:///path/to/file or postgresql://user@host/database") from error


def _open_backend(url: URL) -> Backend:
    match url.get_backend_name():
        case "sqlite":
            return open_sqlite(url)
        case "postgresql" | "postgres":
            return open_postgres(url)
        case other:
            raise Broken(f"there is no store for {other}: URLs", hint="sqlite:///path/to/file or postgresql://user@host/database")


class SqlStore:
    """See `ports.Store` for the contract of every method."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._writer = GroupWriter(backend)
        self._readers = ThreadPoolExecutor(backend.readers, thread_name_prefix="chargepki-store-reader")
        self._is_closed = False

    async def close(self) -> None:
        """Writes what waits, ends the threads and gives the database back. May be called twice."""
        self._is_closed = True
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._writer.close()
        self._readers.shutdown()
        self._backend.close()

    async def commit(self, *changes: Change) -> None:
        operations = [operation for change in changes for operation in operations_of(change)]
        if operations:
            await self._writer.submit(operations)

    async def _read(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._in_thread(partial(self._query, query, *args, **kwargs))

    async def _in_thread(self, work: Callable[[], R]) -> R:
        if self._is_closed:
            raise StoreUnavailable("the store is closed", hint="the platform is shutting down")
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def _query(self, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            try:
                with self._backend.reader.connect() as connection:
                    return query(connection, *args, **kwargs)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            # It died while idle; the pool has dropped its contemporaries too.
            with self._backend.reader.connect() as connection:
                return query(connection, *args, **kwargs)
        except SQLAlchemyError as error:
            raise self._backend.failure(error) from error

    async def get_authority(self, id: AuthorityId) -> Authority:
        return await self._read(certificates.get_authority, id)

    async def list_authorities(self) -> tuple[Authority, ...]:
        return await self._read(certificates.list_authorities)

    async def get_certificate(self, id: CertificateId) -> Certificate:
        return await self._read(certificates.get_certificate, id)

    async def lookup_certificate_by_serial(self, issuer: AuthorityId, serial: int) -> Certificate | None:
        return await self._read(certificates.lookup_certificate_by_serial, issuer, serial)

    async def lookup_certificate_by_intent(self, intent: IntentId) -> Certificate | None:
        return await self._read(certificates.lookup_certificate_by_intent, intent)

    async def list_certificates(self, query: CertificateQuery, *, now: datetime, cursor: str = "", limit: int = 50) -> Page[Certificate]:
        return await self._read(certificates.list_certificates, query, now, cursor, limit)

    async def list_certificate_events(self, id: CertificateId) -> tuple[CertificateEvent, ...]:
        return await self._read(certificates.list_certificate_events, id)

    async def lookup_status(self, issuer: AuthorityId, serial: int) -> tuple[bool, CertificateEvent | None]:
        return await self._read(certificates.lookup_status, issuer, serial)

    async def latest_events(self, ids: Sequence[CertificateId]) -> dict[CertificateId, CertificateEvent]:
        return await self._read(certificates.latest_events, ids) if ids else {}

    async def list_due_holds(self, *, before: datetime, limit: int = 50) -> tuple[CertificateEvent, ...]:
        return await self._read(certificates.list_due_holds, before, limit)

    async def stream_revoked(self, issuer: AuthorityId, *, not_after_from: datetime) -> AsyncIterator[Revoked]:
        walk = certificates.RevokedWalk(self._backend, issuer, not_after_from)
        try:
            while chunk := await self._in_thread(walk.next_chunk):
                for revoked in chunk:
                    yield revoked
        except SQLAlchemyError as error:
            raise self._backend.failure(error) from error
        finally:
            await asyncio.to_thread(walk.close)

    async def lookup_latest_crl(self, issuer: AuthorityId) -> Crl | None:
        return await self._read(certificates.lookup_latest_crl, issuer)

    async def list_open_intents(self, *, before: datetime, parties: Parties = None, cursor: str = "", limit: int = 50) -> Page[Intent]:
        return await self._read(certificates.list_open_intents, before, parties, cursor, limit)

    async def get_key_record(self, ref: KeyRef) -> KeyRecord:
        return await self._read(certificates.get_key_record, ref)

    async def list_key_records(self, *, cursor: str = "", limit: int = 50) -> Page[KeyRecord]:
        return await self._read(certificates.list_key_records, cursor, limit)

    async def list_profile_versions(
        self, *, profile: ProfileId | None = None, is_newest: bool = False, cursor: str = "", limit: int = 50
    ) -> Page[ProfileVersion]:
        return await self._read(profiles.list_profile_versions, profile, is_newest, cursor, limit)

    async def get_station(self, id: StationId) -> Station:
        return await self._read(inventory.get_station, id)

    async def lookup_station_by_serial_number(self, operator: str, serial_number: str) -> Station | None:
        return await self._read(inventory.lookup_station_by_serial_number, operator, serial_number)

    async def list_stations(
        self, *, text: str = "", operator: str = "", state: str = "", parties: Parties = None, cursor: str = "", limit: int = 50
    ) -> Page[Station]:
        return await self._read(inventory.list_stations, text, operator, state, parties, cursor, limit)

    async def lookup_key_owner(self, spki_sha256: bytes) -> str | None:
        return await self._read(inventory.lookup_key_owner, spki_sha256)

    async def list_security_events(
        self, station: StationId | None, *, parties: Parties = None, cursor: str = "", limit: int = 50
    ) -> Page[SecurityEvent]:
        return await self._read(inventory.list_security_events, station, parties, cursor, limit)

    async def lookup_enrolment_token(self, token_sha256: bytes) -> EnrolmentToken | None:
        return await self._read(access.lookup_enrolment_token, token_sha256)

    async def lookup_api_token(self, token_sha256: bytes) -> ApiToken | None:
        return await self._read(access.lookup_api_token, token_sha256)

    async def get_api_token(self, id: TokenId) -> ApiToken:
        return await self._read(access.get_api_token, id)

    async def list_api_tokens(self, *, parties: Parties = None, holder: str = "", cursor: str = "", limit: int = 50) -> Page[ApiToken]:
        return await self._read(access.list_api_tokens, parties, holder, cursor, limit)

    async def get_party(self, id: PartyId) -> Party:
        return await self._read(access.get_party, id)

    async def lookup_party_by_name(self, name: str) -> Party | None:
        return await self._read(access.lookup_party_by_name, name)

    async def list_parties(self, *, parties: Parties = None, cursor: str = "", limit: int = 50) -> Page[Party]:
        return await self._read(access.list_parties, parties, cursor, limit)

    async def get_person(self, id: PersonId) -> Person:
        return await self._read(access.get_person, id)

    async def lookup_person_by_username(self, username: str) -> Person | None:
        return await self._read(access.lookup_person_by_username, username)

    async def lookup_person_by_identity(self, issuer: str, subject: str) -> Person | None:
        return await self._read(access.lookup_person_by_identity, issuer, subject)

    async def list_people(self, *, parties: Parties = None, cursor: str = "", limit: int = 50) -> Page[Person]:
        return await self._read(access.list_people, parties, cursor, limit)

    async def get_account(self, person: PersonId) -> Account:
        return await self._read(access.get_account, person)

    async def lookup_account_by_invitation(self, invitation_sha256: bytes) -> Account | None:
        return await self._read(access.lookup_account_by_invitation, invitation_sha256)

    async def get_machine(self, id: MachineId) -> Machine:
        return await self._read(access.get_machine, id)

    async def list_machines(self, *, parties: Parties = None, cursor: str = "", limit: int = 50) -> Page[Machine]:
        return await self._read(access.list_machines, parties, cursor, limit)

    async def get_grant(self, id: GrantId) -> GrantRecord:
        return await self._read(access.get_grant, id)

    async def list_grants(
        self, *, holder: str = "", role: str = "", state: str = "", parties: Parties = None, cursor: str = "", limit: int = 50
    ) -> Page[GrantRecord]:
        return await self._read(access.list_grants, holder, role, state, parties, cursor, limit)

    async def lookup_session(self, token_sha256: bytes) -> Session | None:
        return await self._read(access.lookup_session, token_sha256)

    async def get_session(self, id: SessionId) -> Session:
        return await self._read(access.get_session, id)

    async def list_sessions(
        self, *, person: PersonId | None = None, is_live_at: datetime | None = None, cursor: str = "", limit: int = 50
    ) -> Page[Session]:
        return await self._read(access.list_sessions, person, is_live_at, cursor, limit)

    async def get_proposal(self, id: ProposalId) -> Proposal:
        return await self._read(approvals.get_proposal, id)

    async def list_proposals(
        self, *, state: ProposalState | None = None, parties: Parties = None, cursor: str = "", limit: int = 50
    ) -> Page[Proposal]:
        return await self._read(approvals.list_proposals, state, parties, cursor, limit)

    async def list_votes(self, proposal: ProposalId) -> tuple[VoteRecord, ...]:
        return await self._read(approvals.list_votes, proposal)

    async def list_standing(
        self, *, party: PartyId | None = None, is_live_at: datetime | None = None, cursor: str = "", limit: int = 50
    ) -> Page[StandingRecord]:
        return await self._read(approvals.list_standing, party, is_live_at, cursor, limit)

    async def list_audit(
        self,
        *,
        actor: str = "",
        action: str = "",
        object: str = "",
        outcome: str = "",
        parties: Parties = None,
        cursor: str = "",
        limit: int = 50,
    ) -> Page[AuditEntry]:
        return await self._read(trail.list_audit, actor, action, object, outcome, parties, cursor, limit)

    async def get_audit(self, id: AuditId) -> AuditEntry:
        return await self._read(trail.get_audit, id)

    async def count_leaves(self) -> int:
        return await self._read(trail.count_leaves)

    async def list_leaves(self, *, first: int, limit: int) -> tuple[bytes, ...]:
        return await self._read(trail.list_leaves, first, limit)

    async def lookup_idempotent(self, caller: str, key: str) -> IdempotentAnswer | None:
        return await self._read(trail.lookup_idempotent, caller, key)

    async def ping(self) -> None:
        self._writer.check_running()
        await self._read(_ping)


def _ping(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
