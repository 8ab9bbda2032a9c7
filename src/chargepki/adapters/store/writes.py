"""Each `ports.Change` as statements: what is written, what must hold, and who explains it when it does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, assert_never

from sqlalchemy import Column, Connection, Integer, Table, case, delete, func, literal_column, select, update
from sqlalchemy.sql.elements import ClauseElement

from chargepki import ports
from chargepki.adapters.store import conflicts, rows, schema
from chargepki.adapters.store.backend import Backend
from chargepki.adapters.store.rows import Values, seconds, storable
from chargepki.adapters.store.statements import Compiled, compile_rows, run_each, run_grouped, slot
from chargepki.errors import Conflict

Insert = Callable[[Table], Any]


@dataclass(frozen=True, slots=True, eq=False)
class Write:
    """One kind of statement. `build(insert, count)` makes it for `count` rows, of one row only when not `is_grouped`.

    A counted write must touch one row per set of values: anything else is a failed precondition.
    """

    build: Callable[[Insert, int], ClauseElement]
    explain: Callable[[Connection, Values], Conflict]
    is_grouped: bool = False
    is_counted: bool = True


Operation = tuple[Write, Values]


def _insert(table: Table, explain: Callable[[Connection, Values], Conflict], *, without: frozenset[str] = frozenset()) -> Write:
    columns = [column for column in table.c if column.name != "seq" and column.name not in without]
    return Write(lambda insert, count: _values(insert, table, columns, count), explain, is_grouped=True)


def _values(insert: Insert, table: Table, columns: Sequence[Column[Any]], count: int) -> Any:
    return insert(table).values([{column.name: slot(column, row) for column in columns} for row in range(count)]).inline()


def _claim_key(insert: Insert, count: int) -> ClauseElement:
    """The first owner stays; the same owner may ask again."""
    table = schema.key_claim
    statement = _values(insert, table, list(table.c), count)
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=["spki_sha256"], set_={"owner": table.c.owner}, where=table.c.owner == statement.excluded.owner
    )


def _close_open_intents(_: Insert, count: int) -> ClauseElement:
    table = schema.intent_open
    return delete(table).where(table.c.intent.in_([slot(table.c.intent, row) for row in range(count)]))


def _close_intent(_: Insert, _count: int) -> ClauseElement:
    c = schema.intent.c
    return update(schema.intent).where(c.id == slot(c.id, name="intent")).values(outcome=slot(c.outcome), closed_at=slot(c.closed_at))


def _set_authority_state(_: Insert, _count: int) -> ClauseElement:
    c = schema.authority.c
    return update(schema.authority).where(c.id == slot(c.id)).values(state=slot(c.state))


_ONE: Final = literal_column("1", Integer)
_EVENT_COLUMNS: Final = [column.name for column in schema.certificate_event.c if column.name != "seq"]


def _first_event(_: Insert, _count: int) -> ClauseElement:
    c = schema.certificate.c
    return _event_from(select(*_event_columns(c.seq, _ONE)))


def _next_event(_: Insert, _count: int) -> ClauseElement:
    c, before = schema.certificate.c, schema.certificate_event.alias("before")
    columns = _event_columns(c.seq, before.c.ordinal + _ONE)
    return _event_from(select(*columns).where(before.c.certificate_seq == c.seq, before.c.id == slot(before.c.id, name="after")))


def _event_columns(certificate_seq: Any, ordinal: Any) -> list[Any]:
    """The row of an event, in the table's order: what is new from the values, what is copied from the certificate."""
    c, e = schema.certificate.c, schema.certificate_event.c
    given = {name: slot(e[name]) for name in ("id", "kind", "reason", "at", "actor", "note")}
    copied = {"certificate": c.id, "issuer": c.issuer, "serial": c.serial, "not_after": c.not_after}
    row = {**given, **copied, "certificate_seq": certificate_seq, "ordinal": ordinal}
    return [row[name].label(name) for name in _EVENT_COLUMNS]


def _event_from(row: Any) -> ClauseElement:
    """Writes nothing unless the certificate is the one that the event names."""
    c = schema.certificate.c
    same = (c.id == slot(c.id, name="certificate"), c.issuer == slot(c.issuer), c.serial == slot(c.serial))
    return schema.certificate_event.insert().from_select(_EVENT_COLUMNS, row.where(*same)).inline()


_STATION_FIXED: Final = frozenset({"id", "created_at", "version", "last_seen"})


def _update_station(_: Insert, _count: int) -> ClauseElement:
    table, c = schema.station, schema.station.c
    changed = {column.name: slot(column) for column in c if column.name not in _STATION_FIXED}
    return (
        update(table)
        .where(c.id == slot(c.id), c.version == slot(c.version))
        .values({**changed, "version": c.version + _ONE, "last_seen": _later_last_seen()})
    )


def _touch_station(_: Insert, _count: int) -> ClauseElement:
    c = schema.station.c
    return update(schema.station).where(c.id == slot(c.id)).values(last_seen=_later_last_seen())


def _later_last_seen() -> Any:
    """Never goes back: touches and updates of one batch may be written in any order."""
    c = schema.station.c
    return case((c.last_seen >= slot(c.last_seen), c.last_seen), else_=func.coalesce(slot(c.last_seen), c.last_seen))


def _use_enrolment_token(_: Insert, _count: int) -> ClauseElement:
    table, c = schema.enrolment_token, schema.enrolment_token.c
    return update(table).where(c.id == slot(c.id), c.used_at.is_(None), c.expires_at > slot(c.used_at)).values(used_at=slot(c.used_at))


def _revoke_api_token(_: Insert, _count: int) -> ClauseElement:
    c = schema.api_token.c
    return update(schema.api_token).where(c.id == slot(c.id), c.revoked_at.is_(None)).values(revoked_at=slot(c.revoked_at))


def _raise_crl_number(insert: Insert, _count: int) -> ClauseElement:
    table = schema.crl_newest
    statement = _values(insert, table, list(table.c), 1)
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=["issuer"], set_={"number": statement.excluded.number}, where=table.c.number < statement.excluded.number
    )


def _keep_answer(_: Insert, _count: int) -> ClauseElement:
    table, c = schema.idempotency, schema.idempotency.c
    return update(table).where(c.caller == slot(c.caller), c.key == slot(c.key)).values(status=slot(c.status), body=slot(c.body))


def _drop_key(_: Insert, _count: int) -> ClauseElement:
    table, c = schema.idempotency, schema.idempotency.c
    return delete(table).where(c.caller == slot(c.caller), c.key == slot(c.key))


ADD_AUTHORITY: Final = _insert(schema.authority, conflicts.authority_exists)
ADD_INTENT: Final = _insert(schema.intent, conflicts.serial_used, without=frozenset({"outcome", "closed_at"}))
OPEN_INTENT: Final = _insert(schema.intent_open, conflicts.serial_used)
ADD_CERTIFICATE: Final = _insert(schema.certificate, conflicts.certificate_exists)
ADD_STATION: Final = _insert(schema.station, conflicts.station_exists)
ADD_ENROLMENT_TOKEN: Final = _insert(schema.enrolment_token, conflicts.token_exists)
ADD_API_TOKEN: Final = _insert(schema.api_token, conflicts.token_exists)
CLAIM_IDEMPOTENCY_KEY: Final = _insert(schema.idempotency, conflicts.idempotency_key_used)
CLAIM_KEY: Final = Write(_claim_key, conflicts.key_claimed, is_grouped=True)
CLOSE_OPEN_INTENTS: Final = Write(_close_open_intents, conflicts.intent_not_open, is_grouped=True)
CLOSE_INTENT: Final = Write(_close_intent, conflicts.intent_not_open)
SET_AUTHORITY_STATE: Final = Write(_set_authority_state, conflicts.authority_unknown)
FIRST_EVENT: Final = Write(_first_event, conflicts.certificate_changed)
NEXT_EVENT: Final = Write(_next_event, conflicts.certificate_changed)
UPDATE_STATION: Final = Write(_update_station, conflicts.station_changed)
TOUCH_STATION: Final = Write(_touch_station, conflicts.station_changed, is_counted=False)
USE_ENROLMENT_TOKEN: Final = Write(_use_enrolment_token, conflicts.enrolment_token_unusable)
REVOKE_API_TOKEN: Final = Write(_revoke_api_token, conflicts.api_token_unrevokable)
RAISE_CRL_NUMBER: Final = Write(_raise_crl_number, conflicts.crl_number_passed)
ADD_CRL: Final = _insert(schema.crl, conflicts.crl_number_passed)
ADD_SECURITY_EVENT: Final = _insert(schema.security_event, conflicts.security_event_exists)
APPEND_AUDIT: Final = _insert(schema.audit_entry, conflicts.audit_entry_exists)
KEEP_IDEMPOTENT_ANSWER: Final = Write(_keep_answer, conflicts.idempotency_key_unknown)
DROP_IDEMPOTENCY_KEY: Final = Write(_drop_key, conflicts.idempotency_key_unknown, is_counted=False)

# Within one transaction all rows of a kind are written together, kind after kind: what is made, then what changes, then what goes.
# The order is the same in every process, so that two of them rarely wait for each other.
ORDER: Final[tuple[Write, ...]] = (
    CLAIM_IDEMPOTENCY_KEY,
    ADD_AUTHORITY,
    SET_AUTHORITY_STATE,
    ADD_STATION,
    UPDATE_STATION,
    TOUCH_STATION,
    ADD_ENROLMENT_TOKEN,
    USE_ENROLMENT_TOKEN,
    ADD_API_TOKEN,
    REVOKE_API_TOKEN,
    CLAIM_KEY,
    ADD_INTENT,
    OPEN_INTENT,
    ADD_CERTIFICATE,
    CLOSE_OPEN_INTENTS,
    CLOSE_INTENT,
    FIRST_EVENT,
    NEXT_EVENT,
    RAISE_CRL_NUMBER,
    ADD_CRL,
    ADD_SECURITY_EVENT,
    APPEND_AUDIT,
    KEEP_IDEMPOTENT_ANSWER,
    DROP_IDEMPOTENCY_KEY,
)


def operations_of(change: ports.Change) -> tuple[Operation, ...]:  # noqa: C901 - one case per change, nothing else
    """The statements of one change, with their values."""
    match change:
        case ports.AddCertificate(certificate):
            values = rows.certificate_values(certificate)
            return (ADD_CERTIFICATE, values), (CLOSE_OPEN_INTENTS, values)
        case ports.AddIntent(intent):
            values = rows.intent_values(intent)
            return (ADD_INTENT, values), (OPEN_INTENT, {**values, "intent": values["id"]})
        case ports.AppendAudit(entry):
            return ((APPEND_AUDIT, rows.audit_values(entry)),)
        case ports.ClaimKey(spki_sha256, owner, at):
            return ((CLAIM_KEY, {"spki_sha256": spki_sha256, "owner": storable(owner), "at": seconds(at)}),)
        case ports.CloseIntent(id, outcome, at):
            values = {"intent": storable(id), "outcome": storable(outcome), "closed_at": seconds(at)}
            return (CLOSE_OPEN_INTENTS, values), (CLOSE_INTENT, values)
        case ports.AddAuthority(authority):
            return ((ADD_AUTHORITY, rows.authority_values(authority)),)
        case ports.SetAuthorityState(id, state):
            return ((SET_AUTHORITY_STATE, {"id": storable(id), "state": state.value}),)
        case ports.AddCertificateEvent(event, after):
            values = rows.event_values(event)
            return ((FIRST_EVENT, values) if after is None else (NEXT_EVENT, {**values, "after": storable(after)}),)
        case ports.AddStation(station):
            return ((ADD_STATION, rows.station_values(station)),)
        case ports.UpdateStation(station):
            return ((UPDATE_STATION, rows.station_values(station)),)
        case ports.TouchStation(id, at):
            return ((TOUCH_STATION, {"id": storable(id), "last_seen": seconds(at)}),)
        case ports.AddEnrolmentToken(enrolment):
            return ((ADD_ENROLMENT_TOKEN, rows.enrolment_token_values(enrolment)),)
        case ports.UseEnrolmentToken(id, at):
            return ((USE_ENROLMENT_TOKEN, {"id": storable(id), "used_at": seconds(at)}),)
        case ports.AddApiToken(api_token):
            return ((ADD_API_TOKEN, rows.api_token_values(api_token)),)
        case ports.RevokeApiToken(id, at):
            return ((REVOKE_API_TOKEN, {"id": storable(id), "revoked_at": seconds(at)}),)
        case ports.AddCrl(crl):
            values = rows.crl_values(crl)
            return (RAISE_CRL_NUMBER, values), (ADD_CRL, values)
        case ports.AddSecurityEvent(security_event):
            return ((ADD_SECURITY_EVENT, rows.security_event_values(security_event)),)
        case ports.ClaimIdempotencyKey(answer):
            return ((CLAIM_IDEMPOTENCY_KEY, rows.idempotent_values(answer)),)
        case ports.KeepIdempotentAnswer(answer):
            return ((KEEP_IDEMPOTENT_ANSWER, rows.idempotent_values(answer)),)
        case ports.DropIdempotencyKey(caller, key):
            return ((DROP_IDEMPOTENCY_KEY, {"caller": storable(caller), "key": storable(key)}),)
        case _:
            assert_never(change)


class WriteSet:
    """The writes for one database, each compiled when it is first needed. Used by one thread."""

    def __init__(self, backend: Backend) -> None:
        self._insert = backend.insert
        self._dialect = backend.writer.dialect
        self._compiled: dict[tuple[Write, int], Compiled] = {}

    def run(self, connection: Connection, write: Write, values: Sequence[Values]) -> bool:
        """Writes one row per set of values; False when a counted write touched fewer."""
        written = (
            run_grouped(connection, partial(self._get, write), values)
            if write.is_grouped
            else run_each(connection, self._get(write, 1), values)
        )
        return not write.is_counted or written == len(values)

    def _get(self, write: Write, count: int) -> Compiled:
        compiled = self._compiled.get((write, count))
        if compiled is None:
            compiled = self._compiled[write, count] = compile_rows(partial(write.build, self._insert), count, self._dialect)
        return compiled
