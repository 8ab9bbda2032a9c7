"""PostgreSQL through psycopg 3: several nodes over one database."""

from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from chargepki.adapters.store.backend import POOL_WAIT_SECONDS, STREAMS_MAX, Backend

READERS: Final = 4  # they mostly wait for the network
CONNECT_TIMEOUT_SECONDS: Final = 5
STATEMENT_TIMEOUT_MS: Final = 30_000
LOCK_TIMEOUT_MS: Final = 10_000
MIGRATION_TIMEOUT_MS: Final = 600_000  # building an index over millions of rows
MIGRATION_LOCK: Final = 0x63_70_6B_69  # "cpki": the advisory lock that one migrating node holds
WRITERS_LOCK: Final = MIGRATION_LOCK + 1  # shared by those who write together, held by one who writes alone

# A commit is durable whatever the server's default says.
_SESSION: Final = f"-c synchronous_commit=on -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
_HINTS: Final = {
    "53100": "free space on the database server's disk",
    "53300": "raise max_connections of the server, or stop other clients",
    "25006": "the server is read-only (a standby?): point the URL at the primary",
    "28": "check the user and the password in the store's URL",
    "3D000": "create the database that the store's URL names",
    "42501": "grant the platform's user the right to create and write tables",
    "57014": "the server is slow or another client holds locks: look at pg_stat_activity",
    "55P03": "another client holds locks: look at pg_stat_activity",
}
_RETRYABLE: Final = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected


def open_postgres(url: URL) -> Backend:
    """The backend over the database that `url` names. Connects on first use."""
    return Backend(
        name="PostgreSQL",
        # A connection that died while idle is replaced before a transaction begins on it.
        writer=_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True),
        # A read is one statement, without BEGIN and ROLLBACK around it one round trip, and may be repeated: nothing asks first.
        reader=_engine(url, pool_size=READERS, max_overflow=STREAMS_MAX, isolation_level="AUTOCOMMIT"),
        readers=READERS,
        insert=insert,
        lock_for_migration=_lock_for_migration,
        lock_shared=lambda connection: _lock(connection, "pg_advisory_xact_lock_shared", WRITERS_LOCK),
        lock_alone=lambda connection: _lock(connection, "pg_advisory_xact_lock", WRITERS_LOCK),
        begin_snapshot=lambda connection: connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
        is_retryable=lambda error: _sqlstate(error) in _RETRYABLE,
        hint=_hint,
        release=lambda: None,
    )


def _engine(url: URL, *, pool_size: int, max_overflow: int, **options: Any) -> Engine:
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "chargepki", "options": _SESSION}
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in arguments.items() if name not in url.query},
        paramstyle="format",
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=POOL_WAIT_SECONDS,
        **options,
    )


def _lock_for_migration(connection: Connection) -> None:
    """Until the transaction ends. A node that comes second waits here while the first one migrates."""
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {MIGRATION_TIMEOUT_MS}")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {MIGRATION_TIMEOUT_MS}")
    _lock(connection, "pg_advisory_xact_lock", MIGRATION_LOCK)


def _lock(connection: Connection, function: str, number: int) -> None:
    connection.exec_driver_sql(f"SELECT {function}({number})").close()


def _sqlstate(error: SQLAlchemyError) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError) else None
    return getattr(cause, "sqlstate", None) or ""


def _hint(error: SQLAlchemyError) -> str:
    state = _sqlstate(error)
    found = next((hint for prefix, hint in _HINTS.items() if state.startswith(prefix)), "")
    return found or "check that the PostgreSQL server runs and that the store's URL reaches it"
