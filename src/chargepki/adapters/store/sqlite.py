"""SQLite: one file, one process. WAL lets readers and the writer pass each other; synchronous=FULL makes a commit durable."""

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from chargepki.adapters.store.backend import POOL_WAIT_SECONDS, STREAMS_MAX, Backend
from chargepki.errors import Broken, StoreUnavailable

READERS: Final = 2  # a point read is shorter than the fight of more threads for the interpreter lock: four read half as much
BUSY_TIMEOUT_MS: Final = 5_000  # a backup tool may hold the file for a moment
CHECKPOINT_PAGES: Final = 4_000  # 16 MB of log between checkpoints: fewer of them at bulk rates

_PRAGMAS: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA fullfsync=ON",  # macOS: fsync alone does not reach the disk
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    "PRAGMA cache_size=-16000",
    "PRAGMA secure_delete=ON",  # an erased person's values and key are overwritten, not only unlinked
    "PRAGMA trusted_schema=OFF",
)
_HINTS: Final = {
    "SQLITE_FULL": "free space on the disk that holds the database",
    "SQLITE_READONLY": "make the database file and its directory writable for the platform's user",
    "SQLITE_CANTOPEN": "make the database file and its directory readable and writable for the platform's user",
    "SQLITE_BUSY": "another program holds the database: stop it",
    "SQLITE_IOERR": "look at the disk that holds the database: it failed to read or write",
    "SQLITE_CORRUPT": "the database file is damaged: restore the last backup",
    "SQLITE_NOTADB": "the file is not a ChargePKI database: check the path",
}


def open_sqlite(url: URL) -> Backend:
    """The backend over the file that `url` names, made (mode 0600) when it is not there. `Broken` when another process has it."""
    if not url.database or url.database == ":memory:":
        raise Broken("the store's URL names no file", hint="use sqlite:///path/to/chargepki.db")
    path = Path(url.database).absolute()
    release = _hold(path)
    writer = _engine(path, pool_size=1, max_overflow=0)
    reader = _engine(path, pool_size=READERS, max_overflow=STREAMS_MAX)
    event.listen(writer, "connect", _prepare)
    event.listen(reader, "connect", _prepare)
    event.listen(reader, "connect", _forbid_writing)
    event.listen(writer, "begin", _begin_immediate)
    return Backend(
        name="SQLite",
        writer=writer,
        reader=reader,
        readers=READERS,
        insert=insert,
        # The file is ours alone, and BEGIN IMMEDIATE holds it.
        lock_for_migration=lambda _: None,
        lock_shared=lambda _: None,
        lock_alone=lambda _: None,
        begin_snapshot=_begin_snapshot,
        is_retryable=lambda _: False,
        hint=_hint,
        release=release,
    )


def _hold(path: Path) -> Callable[[], None]:
    """Makes the file and takes the lock beside it; the answer gives it back."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"cannot open the database {path}: {error.strerror}", hint=_HINTS["SQLITE_CANTOPEN"]) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Broken(
            f"the database {path} is in use: ChargePKI is already running on it",
            hint="stop the other process, or give this one another data directory",
        ) from error
    is_held = True

    def release() -> None:
        nonlocal is_held
        if is_held:
            is_held = False
            os.close(lock)

    return release


def _engine(path: Path, *, pool_size: int, max_overflow: int) -> Engine:
    return create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        # isolation_level None: the driver begins nothing by itself; transactions are ours (BEGIN IMMEDIATE, SAVEPOINT).
        connect_args={"isolation_level": None, "check_same_thread": False, "cached_statements": 256},
        poolclass=QueuePool,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=POOL_WAIT_SECONDS,
    )


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _forbid_writing(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_snapshot(connection: Connection) -> Connection:
    connection.exec_driver_sql("BEGIN")
    return connection


def _hint(error: SQLAlchemyError) -> str:
    cause: Any = error.orig if isinstance(error, DBAPIError) else None
    name: str = getattr(cause, "sqlite_errorname", "")
    found = next((hint for prefix, hint in _HINTS.items() if name.startswith(prefix)), "")
    return found or "look at the disk that holds the database"
