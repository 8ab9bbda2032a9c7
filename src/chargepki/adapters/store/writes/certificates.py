"""Authorities, keys, intents, certificates, their events, and CRLs."""

from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts import certificates as conflicts
from chargepki.adapters.store.statements import slot
from chargepki.adapters.store.writes.write import ONE, Insert, Write, insert_into, update_where, values_of


def _claim_key(insert: Insert, count: int) -> ClauseElement:
    """The first owner stays; the same owner may ask again."""
    table = schema.key_claim
    statement = values_of(insert, table, list(table.c), count)
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=["spki_sha256"], set_={"owner": table.c.owner}, where=table.c.owner == statement.excluded.owner
    )


def _close_open_intents(_: Insert, count: int) -> ClauseElement:
    table = schema.intent_open
    return delete(table).where(table.c.intent.in_([slot(table.c.intent, row) for row in range(count)]))


def _close_intent(_: Insert, _count: int) -> ClauseElement:
    c = schema.intent.c
    return update(schema.intent).where(c.id == slot(c.id, name="intent")).values(outcome=slot(c.outcome), closed_at=slot(c.closed_at))


_EVENT_COLUMNS: Final = [column.name for column in schema.certificate_event.c if column.name != "seq"]


def _first_event(_: Insert, _count: int) -> ClauseElement:
    c = schema.certificate.c
    return _event_from(select(*_event_columns(c.seq, ONE)))


def _next_event(_: Insert, _count: int) -> ClauseElement:
    c, before = schema.certificate.c, schema.certificate_event.alias("before")
    columns = _event_columns(c.seq, before.c.ordinal + ONE)
    return _event_from(select(*columns).where(before.c.certificate_seq == c.seq, before.c.id == slot(before.c.id, name="after")))


def _event_columns(certificate_seq: Any, ordinal: Any) -> list[Any]:
    """The row of an event, in the table's order: what is new from the values, what is copied from the certificate."""
    c, e = schema.certificate.c, schema.certificate_event.c
    given = {name: slot(e[name]) for name in ("id", "kind", "reason", "at", "actor", "note", "until")}
    copied = {"certificate": c.id, "issuer": c.issuer, "serial": c.serial, "not_after": c.not_after}
    row = {**given, **copied, "certificate_seq": certificate_seq, "ordinal": ordinal}
    return [row[name].label(name) for name in _EVENT_COLUMNS]


def _event_from(row: Any) -> ClauseElement:
    """Writes nothing unless the certificate is the one that the event names."""
    c = schema.certificate.c
    same = (c.id == slot(c.id, name="certificate"), c.issuer == slot(c.issuer), c.serial == slot(c.serial))
    return schema.certificate_event.insert().from_select(_EVENT_COLUMNS, row.where(*same)).inline()


def _raise_crl_number(insert: Insert, _count: int) -> ClauseElement:
    table = schema.crl_newest
    statement = values_of(insert, table, list(table.c), 1)
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=["issuer"], set_={"number": statement.excluded.number}, where=table.c.number < statement.excluded.number
    )


ADD_AUTHORITY: Final = insert_into(schema.authority, conflicts.authority_exists)
SET_AUTHORITY_STATE: Final = update_where(
    schema.authority, conflicts.authority_unknown, where=lambda c: [c.id == slot(c.id)], values=lambda c: {c.state: slot(c.state)}
)
ADD_KEY_RECORD: Final = insert_into(schema.key_record, conflicts.key_exists)
SET_KEY_STATE: Final = update_where(
    schema.key_record,
    conflicts.key_state_changed,
    where=lambda c: [c.ref == slot(c.ref), c.state == slot(c.state, name="after")],
    values=lambda c: {c.state: slot(c.state), c.changed_at: slot(c.changed_at)},
    locks="ref",
)
ADD_INTENT: Final = insert_into(schema.intent, conflicts.serial_used, without=frozenset({"outcome", "closed_at"}))
OPEN_INTENT: Final = insert_into(schema.intent_open, conflicts.serial_used)
CLOSE_OPEN_INTENTS: Final = Write(_close_open_intents, conflicts.intent_not_open, is_grouped=True)
CLOSE_INTENT: Final = Write(_close_intent, conflicts.intent_not_open)
ADD_CERTIFICATE: Final = insert_into(schema.certificate, conflicts.certificate_exists)
CLAIM_KEY: Final = Write(_claim_key, conflicts.key_claimed, is_grouped=True, locks="spki_sha256")
FIRST_EVENT: Final = Write(_first_event, conflicts.certificate_changed)
NEXT_EVENT: Final = Write(_next_event, conflicts.certificate_changed)
RAISE_CRL_NUMBER: Final = Write(_raise_crl_number, conflicts.crl_number_passed, locks="issuer")
ADD_CRL: Final = insert_into(schema.crl, conflicts.crl_number_passed)
