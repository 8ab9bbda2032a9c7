"""Stations, what they enrol with, and what they report."""

from typing import Final

from sqlalchemy import update
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts import inventory as conflicts
from chargepki.adapters.store.statements import slot
from chargepki.adapters.store.writes.write import ONE, Insert, Write, insert_into, later, update_where

_STATION_FIXED: Final = frozenset({"id", "created_at", "version", "last_seen"})


def _update_station(_: Insert, _count: int) -> ClauseElement:
    table, c = schema.station, schema.station.c
    changed = {column.name: slot(column) for column in c if column.name not in _STATION_FIXED}
    seen = {"last_seen": later(c.last_seen)}
    return update(table).where(c.id == slot(c.id), c.version == slot(c.version)).values({**changed, "version": c.version + ONE, **seen})


ADD_STATION: Final = insert_into(schema.station, conflicts.station_exists, locks="id")
UPDATE_STATION: Final = Write(_update_station, conflicts.station_changed, locks="id")
TOUCH_STATION: Final = update_where(
    schema.station,
    conflicts.station_changed,
    where=lambda c: [c.id == slot(c.id)],
    values=lambda c: {c.last_seen: later(c.last_seen)},
    is_counted=False,
    locks="id",
)
ADD_ENROLMENT_TOKEN: Final = insert_into(schema.enrolment_token, conflicts.enrolment_token_exists)
USE_ENROLMENT_TOKEN: Final = update_where(
    schema.enrolment_token,
    conflicts.enrolment_token_unusable,
    where=lambda c: [c.id == slot(c.id), c.used_at.is_(None), c.expires_at > slot(c.used_at)],
    values=lambda c: {c.used_at: slot(c.used_at)},
    locks="id",
)
ADD_SECURITY_EVENT: Final = insert_into(schema.security_event, conflicts.security_event_exists)
