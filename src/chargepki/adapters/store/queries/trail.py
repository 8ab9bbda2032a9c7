"""The audit trail, the log's leaves, and answers kept for their idempotency keys."""

from typing import Final

from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.sql.elements import ColumnElement

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.queries.narrowing import equal, of_parties
from chargepki.adapters.store.rows.trail import audit_of, idempotent_of
from chargepki.adapters.store.rows.values import storable
from chargepki.adapters.store.schema.trail import NOT_ORDINARY
from chargepki.core.records import AuditEntry, AuditId, IdempotentAnswer, Outcome, Page, PartyId
from chargepki.errors import Finding, NotFound

_u, _g = schema.audit_entry.c, schema.idempotency.c

_ENTRY: Final = select(schema.audit_entry).where(_u.id == bindparam("id"))
_SIZE: Final = select(schema.log_head.c.size)
_LEAVES: Final = select(_u.body).where(_u.seq >= bindparam("first"), _u.seq < bindparam("end")).order_by(_u.seq)
_IDEMPOTENT: Final = select(schema.idempotency).where(_g.caller == bindparam("caller"), _g.key == bindparam("key"))
_ORDINARY: Final = frozenset({Outcome.DONE.value, Outcome.INTENT.value})
_LAST_CHARACTER: Final = "\U0010ffff"  # sorts behind every other: the end of a prefix range


def list_audit(
    connection: Connection,
    actor: str,
    action: str,
    object: str,
    outcome: str,
    parties: frozenset[PartyId] | None,
    cursor: str,
    limit: int,
) -> Page[AuditEntry]:
    after = cursors.parse(cursor, "audit", int)
    where = [*equal((_u.actor, actor), (_u.action, action), (_u.outcome, outcome)), *of_parties(_u.party, parties)]
    if outcome and outcome not in _ORDINARY:
        where.append(text(NOT_ORDINARY))  # type: ignore[arg-type]
    if object:
        where.append(_is_object(storable(object)))
    if after:
        where.append(_u.seq < after[0])
    # The page is chosen from an index alone; only its own rows, with their bodies, are then read.
    chosen = select(_u.seq).where(*where).order_by(_u.seq.desc()).limit(cursors.page_size(limit) + 1)
    rows = connection.execute(select(schema.audit_entry).where(_u.seq.in_(chosen)).order_by(_u.seq.desc())).all()
    return cursors.page_of(rows, limit, audit_of, "audit", "seq")


def _is_object(pattern: str) -> ColumnElement[bool]:
    if not pattern.endswith("*"):
        return _u.object == pattern
    prefix = pattern[:-1]
    return (_u.object >= prefix) & (_u.object < prefix + _LAST_CHARACTER)


def get_audit(connection: Connection, id: AuditId) -> AuditEntry:
    if row := connection.execute(_ENTRY, {"id": storable(id)}).first():
        return audit_of(row)
    raise NotFound(Finding("audit.entry.unknown", f"there is no audit entry {id}", hint="list them: chargepki log list"))


def count_leaves(connection: Connection) -> int:
    size: int = connection.execute(_SIZE).scalar_one()
    return size


def list_leaves(connection: Connection, first: int, limit: int) -> tuple[bytes, ...]:
    return tuple(bytes(row.body) for row in connection.execute(_LEAVES, {"first": first, "end": first + max(0, limit)}))


def lookup_idempotent(connection: Connection, caller: str, key: str) -> IdempotentAnswer | None:
    row = connection.execute(_IDEMPOTENT, {"caller": storable(caller), "key": storable(key)}).first()
    return idempotent_of(row) if row else None
