"""Statements compiled once and then run as text: SQLAlchemy builds them, the hot paths do not pay for building."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import BindParameter, Column, Dialect, bindparam
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store.driver import Cursor
from chargepki.adapters.store.rows.values import Value, Values

# How many rows one statement carries. Each statement gives the interpreter lock away and must win it back from a busy event
# loop; 37 rows in 4 statements (16, 16, 4, 1) wait 4 times, not 37.
GROUPS: Final = (64, 16, 4, 1)


def slot(column: Column[Any], row: int = 0, name: str = "") -> BindParameter[Any]:
    """The place in a statement for the value called `name` (the column's name) of row number `row`."""
    return bindparam(f"{name or column.name}__{row}", type_=column.type)


@dataclass(frozen=True, slots=True)
class Compiled:
    """`text` takes the values called `names`, in that order, once per row."""

    text: str
    names: tuple[str, ...]

    def flat(self, rows: Sequence[Values]) -> tuple[Value, ...]:
        if len(self.names) == 1:
            name = self.names[0]
            return tuple(row[name] for row in rows)
        return tuple(chain.from_iterable(map(itemgetter(*self.names), rows)))

    def one(self, row: Mapping[str, Value]) -> tuple[Value, ...]:
        return tuple(row[name] for name in self.names)


def compile_rows(build: Callable[[int], ClauseElement], count: int, dialect: Dialect) -> Compiled:
    """The statement for `count` rows. Its places come row by row, each row's in the order of the first."""
    compiled = build(count).compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    assert compiled.positiontup is not None  # both engines number their places: qmark, format
    places = [name.rpartition("__") for name in compiled.positiontup]
    names = tuple(name for name, _, row in places if row == "0")
    assert [(name, int(row)) for name, _, row in places] == [(name, row) for row in range(count) for name in names]
    return Compiled(compiled.string, names)


def run_grouped(cursor: Cursor, compiled_for: Callable[[int], Compiled], rows: Sequence[Values]) -> int:
    """Runs one statement per group of rows; the number of rows that were written."""
    written = start = 0
    for size in GROUPS:
        while len(rows) - start >= size:
            statement = compiled_for(size)
            cursor.execute(statement.text, statement.flat(rows[start : start + size]))
            written += cursor.rowcount
            start += size
    return written


def run_each(cursor: Cursor, statement: Compiled, rows: Sequence[Values]) -> int:
    """Runs the statement once per row, in one call; the number of rows that were written."""
    cursor.executemany(statement.text, [statement.one(row) for row in rows])
    return cursor.rowcount
