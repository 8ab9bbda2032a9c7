"""Conditions that several lists share."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Select, Text, literal_column
from sqlalchemy.sql.elements import ColumnElement

from chargepki.adapters.store.rows.values import AnyRow, seconds, storable
from chargepki.core.records import PartyId

_EMPTY = literal_column("''", Text)


def of_parties(column: Column[Any], parties: frozenset[PartyId] | None) -> list[ColumnElement[bool]]:
    """None is everybody's; an empty set is nobody's.

    Where the platform's own are not asked for, it says so: then SQLite takes the index that leaves them out.
    """
    if parties is None:
        return []
    is_theirs = column == storable(next(iter(parties))) if len(parties) == 1 else column.in_(sorted(map(storable, parties)))
    return [is_theirs] if "" in parties else [is_theirs, column != _EMPTY]


def equal(*wanted: tuple[Column[Any], str]) -> list[ColumnElement[bool]]:
    """Only where something is asked for."""
    return [column == storable(value) for column, value in wanted if value]


def is_live(ended_at: Column[Any], until: Column[Any], at: datetime | None) -> list[ColumnElement[bool]]:
    """Neither ended nor past its time at that instant."""
    if at is None:
        return []
    return [ended_at.is_(None) | (ended_at > seconds(at)), until > seconds(at)]


def page_rows(
    connection: Connection, statement: Select[Any], where: Iterable[ColumnElement[bool]], order: ColumnElement[Any], size: int
) -> list[AnyRow]:
    """One row more than the page shows: it tells whether there is a next one."""
    return list(connection.execute(statement.where(*where).order_by(order).limit(size + 1)).all())
