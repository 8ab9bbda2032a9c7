"""Stations and what they enrol with."""

from sqlalchemy import Connection

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts.wording import Explain, changed, conflict, find, id_exists
from chargepki.adapters.store.rows.values import Values
from chargepki.errors import Conflict


def station_exists(connection: Connection, values: Values) -> Conflict:
    c = schema.station.c
    if find(connection, schema.station, c.id == values["id"]):
        return conflict("store.station.exists", f"there is a station {values['id']} already", "choose another id, or change that station")
    return _serial_number_taken(connection, values)


def enrolment_token_exists(_: Connection, values: Values) -> Conflict:
    return conflict("store.token.exists", f"there is a token {values['id']}, or one with the same secret, already", "make a fresh token")


def enrolment_token_unusable(connection: Connection, values: Values) -> Conflict:
    row = find(connection, schema.enrolment_token, schema.enrolment_token.c.id == values["id"])
    if not row:
        return conflict("store.token.unknown", f"there is no enrolment token {values['id']}", "check the token's id")
    if row.used_at is not None:
        return conflict(
            "store.token.used", f"the enrolment token {values['id']} was used already", f"make a new one for station {row.station}"
        )
    return conflict("store.token.expired", f"the enrolment token {values['id']} has expired", f"make a new one for station {row.station}")


def _serial_number_taken(_: Connection, values: Values) -> Conflict:
    return conflict(
        "store.station.serial_number.exists",
        f"{values['operator']} has a station with the serial number {values['serial_number']} already",
        "check the serial number on the station's plate",
    )


station_changed: Explain = changed(schema.station, "station", "list them: chargepki station list", _serial_number_taken)
security_event_exists: Explain = id_exists("security event")
