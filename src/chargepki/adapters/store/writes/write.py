"""What a write is, and how the usual ones are made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Integer, Table, case, func, literal_column, update
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store.conflicts.wording import Explain
from chargepki.adapters.store.rows.values import Values
from chargepki.adapters.store.statements import slot

Insert = Callable[[Table], Any]  # the dialect's own INSERT: it has ON CONFLICT
ONE: Final = literal_column("1", Integer)


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """One kind of statement. `build(insert, count)` makes it for `count` rows, of one row only when not `is_grouped`.

    A counted write must touch one row per set of values: anything else is a failed precondition. `locks`: rows that many callers
    change are taken in the order of this value, so that two processes do not wait for each other.
    """

    build: Callable[[Insert, int], ClauseElement]
    explain: Explain
    is_grouped: bool = False
    is_counted: bool = True
    locks: str = ""


Operation = tuple[Write, Values]


def insert_into(table: Table, explain: Explain, *, without: frozenset[str] = frozenset()) -> Write:
    columns = [column for column in table.c if column.autoincrement is not True and column.name not in without]
    return Write(lambda insert, count: values_of(insert, table, columns, count), explain, is_grouped=True)


def values_of(insert: Insert, table: Table, columns: Sequence[Column[Any]], count: int) -> Any:
    return insert(table).values([{column.name: slot(column, row) for column in columns} for row in range(count)]).inline()


def update_version(table: Table, explain: Explain, *, fixed: frozenset[str] = frozenset()) -> Write:
    """Writes all columns but the `fixed` ones where the stored version is the one that was read, and counts it up."""
    key, c = next(iter(table.primary_key)), table.c
    changed = {column.name: slot(column) for column in c if column.name not in fixed | {key.name, "version"}}
    statement = update(table).where(key == slot(key), c.version == slot(c.version)).values({**changed, "version": c.version + ONE})
    return Write(lambda _insert, _count: statement, explain)


def update_where(
    table: Table, explain: Explain, *, where: Callable[[Any], Any], values: Callable[[Any], Any], is_counted: bool = True
) -> Write:
    """`where` and `values` are made from the table's columns."""
    statement = update(table).where(*where(table.c)).values(values(table.c))
    return Write(lambda _insert, _count: statement, explain, is_counted=is_counted)


def later(column: Column[Any]) -> Any:
    """A time that never goes back: touches and updates of one batch may be written in any order. None leaves it as it is."""
    return case((column >= slot(column), column), else_=func.coalesce(slot(column), column))


def never(_connection: Connection, _values: Values) -> Any:
    """The explanation of a write that has no precondition."""
    raise AssertionError("a write without a precondition failed")
