"""How a conflict is found and said."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Table, select

from chargepki.adapters.store.rows.values import AnyRow, Values
from chargepki.errors import Conflict, Finding

Explain = Callable[[Connection, Values], Conflict]


def conflict(code: str, message: str, hint: str) -> Conflict:
    return Conflict(Finding(code, message, hint=hint))


def find(connection: Connection, table: Table, where: ColumnElement[bool]) -> AnyRow | None:
    return connection.execute(select(table).where(where)).first()


def id_exists(noun: str) -> Explain:
    """For what gets a fresh id and has nothing else that could collide."""

    def explain(_: Connection, values: Values) -> Conflict:
        code = f"store.{noun.replace(' ', '_')}.exists"
        return conflict(code, f"the {noun} {values['id']} exists already", "make a fresh id")

    return explain


def changed(table: Table, noun: str, listing: str, otherwise: Explain | None = None) -> Explain:
    """For writes that name the version they read. `otherwise`: what else may be wrong when the version is right."""
    key = next(iter(table.primary_key))

    def explain(connection: Connection, values: Values) -> Conflict:
        code, id = f"store.{noun.replace(' ', '_')}", values[key.name]
        row = find(connection, table, key == id)
        if row is None:
            return conflict(f"{code}.unknown", f"there is no {noun} {id}", listing)
        if row.version == values["version"] and otherwise is not None:
            return otherwise(connection, values)
        return conflict(f"{code}.changed", f"the {noun} {id} was changed meanwhile", "read it again, then repeat the change")

    return explain


def ended(table: Table, noun: str, listing: str) -> Explain:
    """For what ends once."""
    key = next(iter(table.primary_key))

    def explain(connection: Connection, values: Values) -> Conflict:
        code, id = f"store.{noun.replace(' ', '_')}", values[key.name]
        if find(connection, table, key == id) is None:
            return conflict(f"{code}.unknown", f"there is no {noun} {id}", listing)
        return conflict(f"{code}.ended", f"the {noun} {id} has ended already", "nothing is left to do")

    return explain
