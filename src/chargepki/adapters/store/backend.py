"""What differs between the two databases, as one value. `sqlite.py` and `postgres.py` each make one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, InternalError, OperationalError, SQLAlchemyError

from chargepki.errors import Broken, StoreUnavailable

STREAMS_MAX: Final = 8  # open `stream_revoked` walks, one connection each
POOL_WAIT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Backend:
    """A database ready for use. `writer` has one connection in transactions, `reader` connections commit by themselves."""

    name: str
    writer: Engine
    reader: Engine
    readers: int  # threads that read, each with a connection of `reader`
    insert: Callable[[Table], Any]  # the dialect's own INSERT: it has ON CONFLICT
    lock_for_migration: Callable[[Connection], None]
    lock_shared: Callable[[Connection], None]  # until the transaction ends: others may write too, nobody writes alone
    lock_alone: Callable[[Connection], None]  # nobody else writes
    begin_snapshot: Callable[[Connection], Connection]  # a transaction that sees one state until the connection is closed
    is_retryable: Callable[[DBAPIError], bool]  # a deadlock between nodes: the same transaction may pass next time
    hint: Callable[[SQLAlchemyError], str]  # what the operator can do
    release: Callable[[], None]

    def fresh_reader(self) -> Connection:
        """A reader's connection that has just answered: one that died while idle is replaced."""
        connection = self.reader.connect()
        try:
            connection.exec_driver_sql("SELECT 1").close()
            connection.rollback()
        except DBAPIError as error:
            connection.close()
            if not error.connection_invalidated:
                raise
            connection = self.reader.connect()
        return connection

    def close(self) -> None:
        self.writer.dispose()
        self.reader.dispose()
        self.release()

    def failure(self, error: SQLAlchemyError) -> Broken:
        """The error as the platform speaks of it: an outage, or a statement of ours that the database does not understand."""
        if is_outage(error):
            return StoreUnavailable(f"the {self.name} database failed: {_cause(error)}", hint=self.hint(error))
        return Broken(
            f"the {self.name} database refused a statement: {_cause(error)}", hint="this is a defect of ChargePKI: please report it"
        )


def is_outage(error: SQLAlchemyError) -> bool:
    """True when the database, not the statement, is at fault."""
    if not isinstance(error, DBAPIError):
        return True  # the pool's own: no connection within `POOL_WAIT_SECONDS`
    return (
        error.connection_invalidated
        or isinstance(error, OperationalError | InterfaceError | InternalError)
        or type(error) is DatabaseError  # SQLite: a damaged file
    )


def _cause(error: SQLAlchemyError) -> str:
    """The driver's words, without the statement and its values."""
    words = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return words.strip().splitlines()[0] if words.strip() else type(error).__name__
