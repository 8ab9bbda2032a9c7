"""Stations, the owners of public keys, and what stations reported."""

from sqlalchemy import Connection, bindparam, or_, select

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.queries.narrowing import equal, of_parties
from chargepki.adapters.store.rows.inventory import security_event_of, station_of
from chargepki.adapters.store.rows.values import storable
from chargepki.core.records import Page, PartyId, SecurityEvent, Station, StationId
from chargepki.errors import Finding, NotFound

_s, _v = schema.station.c, schema.security_event.c

_STATION = select(schema.station).where(_s.id == bindparam("id"))
_STATION_BY_SERIAL_NUMBER = select(schema.station).where(
    _s.operator == bindparam("operator"), _s.serial_number == bindparam("serial_number")
)
_KEY_OWNER = select(schema.key_claim.c.owner).where(schema.key_claim.c.spki_sha256 == bindparam("spki_sha256"))


def get_station(connection: Connection, id: StationId) -> Station:
    if row := connection.execute(_STATION, {"id": storable(id)}).first():
        return station_of(row)
    raise NotFound(Finding("station.unknown", f"there is no station {id}", hint="list them: chargepki station list"))


def lookup_station_by_serial_number(connection: Connection, operator: str, serial_number: str) -> Station | None:
    values = {"operator": storable(operator), "serial_number": storable(serial_number)}
    row = connection.execute(_STATION_BY_SERIAL_NUMBER, values).first()
    return station_of(row) if row else None


def list_stations(
    connection: Connection, text: str, operator: str, state: str, parties: frozenset[PartyId] | None, cursor: str, limit: int
) -> Page[Station]:
    after = cursors.parse(cursor, "stations", str)
    statement = select(schema.station).where(*equal((_s.operator, operator), (_s.state, state)), *of_parties(_s.party, parties))
    if text:
        part = storable(text)
        statement = statement.where(or_(_s.id.icontains(part, autoescape=True), _s.serial_number.icontains(part, autoescape=True)))
    if after:
        statement = statement.where(_s.id > after[0])
    rows = connection.execute(statement.order_by(_s.id).limit(cursors.page_size(limit) + 1)).all()
    return cursors.page_of(rows, limit, station_of, "stations", "id")


def lookup_key_owner(connection: Connection, spki_sha256: bytes) -> str | None:
    owner: str | None = connection.execute(_KEY_OWNER, {"spki_sha256": spki_sha256}).scalar()
    return owner


def list_security_events(
    connection: Connection, station: StationId | None, parties: frozenset[PartyId] | None, cursor: str, limit: int
) -> Page[SecurityEvent]:
    """An event is its station's party's."""
    after = cursors.parse(cursor, "security-events", int)
    statement = select(schema.security_event)
    if station is not None:
        statement = statement.where(_v.station == storable(station))
    if parties is not None:
        theirs = select(_s.id).where(_s.id == _v.station, *of_parties(_s.party, parties))
        statement = statement.where(theirs.exists())
    if after:
        statement = statement.where(_v.seq < after[0])
    rows = connection.execute(statement.order_by(_v.seq.desc()).limit(cursors.page_size(limit) + 1)).all()
    return cursors.page_of(rows, limit, security_event_of, "security-events", "seq")
