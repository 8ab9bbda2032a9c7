"""The driver's own cursor for the group writer: SQLAlchemy's way to a row costs more than the row, and a certificate writes eight.

Errors leave as SQLAlchemy's, so that nobody above sees a difference.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from chargepki.adapters.store.rows.values import Value

_WHAT: Final = "a write of the group"  # stands in errors where SQLAlchemy would repeat the statement


class Cursor(Protocol):
    """As much of PEP 249 as writing takes."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, statement: str, values: Sequence[Value] = (), /) -> object: ...
    def executemany(self, statement: str, rows: Sequence[Sequence[Value]], /) -> object: ...
    def fetchone(self) -> Any: ...


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Cursor]:
    """A cursor inside the transaction that `connection` has begun. Raises `DBAPIError` of the right kind."""
    pooled, dialect = connection.connection, connection.dialect
    driver = dialect.loaded_dbapi
    cursor = pooled.cursor()
    try:
        yield cursor
    except driver.Error as error:
        is_gone = dialect.is_disconnect(error, pooled, cursor)
        if is_gone:
            connection.invalidate(error)
        raise DBAPIError.instance(
            _WHAT, None, error, driver.Error, hide_parameters=True, connection_invalidated=is_gone, dialect=dialect
        ) from error
    finally:
        cursor.close()
