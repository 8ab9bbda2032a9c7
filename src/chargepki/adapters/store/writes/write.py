"""What a write is, and how the usual ones are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, Table, case, func, literal_column, update
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store.conflicts.wording import Explain, conflict
from chargepki.adapters.store.rows.values import Values
from chargepki.adapters.store.statements import slot
from chargepki.errors import Conflict

Insert = Callable[[Table], Any]  # the dialect's own INSERT: it has ON CONFLICT
ONE: Final = literal_column("1", Integer)


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """One kind of statement. `build(insert, count)` makes it for `count` rows, of one row only when not `is_grouped`.

    A counted write must touch one row per set of values: anything else is a failed precondition. `locks`: rows that
    several callers may want are taken in the order of this value, so that two processes do not wait for each other in a circle.
    """

    build: Callable[[Insert, int], ClauseElement]
    explain: Explain
    is_grouped: bool = False
    is_counted: bool = True
    locks: str = ""


Operation = tuple[Write, Values]


def insert_into(table: Table, explain: Explain, *, without: frozenset[str] = frozenset(), locks: str = "") -> Write:
    columns = [column for column in table.c if column.autoincrement is not True and column.name not in without]
    return Write(lambda insert, count: values_of(insert, table, columns, count), explain, is_grouped=True, locks=locks)


def values_of(insert: Insert, table: Table, columns: Sequence[Column[Any]], count: int) -> Any:
    return insert(table).values([{column.name: slot(column, row) for column in columns} for row in range(count)]).inline()


def update_version(table: Table, explain: Explain, *, fixed: frozenset[str] = frozenset()) -> Write:
    """Writes all columns but the `fixed` ones where the stored version is the one that was read, and counts it up."""
    key, c = next(iter(table.primary_key)), table.c
    changed = {column.name: slot(column) for column in c if column.name not in fixed | {key.name, "version"}}
    statement = update(table).where(key == slot(key), c.version == slot(c.version)).values({**changed, "version": c.version + ONE})
    return Write(lambda _insert, _count: statement, explain, locks=key.name)


def update_where(
    table: Table,
    explain: Explain,
    *,
    where: Callable[[Any], Any],
    values: Callable[[Any], Any],
    is_counted: bool = True,
    locks: str = "",
) -> Write:
    """`where` and `values` are made from the table's columns; rows are taken in the order of the value called `locks`."""
    statement = update(table).where(*where(table.c)).values(values(table.c))
    return Write(lambda _insert, _count: statement, explain, is_counted=is_counted, locks=locks)


def later(column: Column[Any]) -> Any:
    """A time that never goes back: touches and updates of one batch may be written in any order. None leaves it as it is."""
    return case((column >= slot(column), column), else_=func.coalesce(slot(column), column))


def unforeseen(_connection: Connection, _values: Values) -> Conflict:
    """For a write that has no precondition of its own."""
    return conflict("store.change.refused", "the database refused the change", "read what stands, then try again")
