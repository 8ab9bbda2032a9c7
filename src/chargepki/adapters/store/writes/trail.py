"""The audit trail, which is the log's leaves, and answers kept for their idempotency keys."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Text, delete, literal_column, update
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts import trail as conflicts
from chargepki.adapters.store.driver import Cursor
from chargepki.adapters.store.rows.values import Values
from chargepki.adapters.store.statements import slot
from chargepki.adapters.store.writes.write import Insert, Write, insert_into, unforeseen, update_where

_TAKE: Final = "UPDATE log_head SET size = size + {} WHERE log = 'audit' RETURNING size"


def number_leaves(cursor: Cursor, entries: Sequence[Values]) -> list[Values]:
    """The entries with their places in the log. From here to the end of the transaction nobody else appends."""
    cursor.execute(_TAKE.format(len(entries)))
    (size,) = cursor.fetchone()
    return [{**entry, "seq": index} for index, entry in enumerate(entries, start=size - len(entries))]


def _erase_private(_: Insert, _count: int) -> ClauseElement:
    c = schema.audit_entry.c
    has_subject = c.subject != literal_column("''", Text)
    return update(schema.audit_entry).where(c.subject == slot(c.subject), has_subject).values(private=slot(c.private))


def _drop(table_name: str, *keys: str) -> Write:
    table = schema.metadata.tables[table_name]
    return Write(lambda _i, _n: delete(table).where(*(table.c[key] == slot(table.c[key]) for key in keys)), unforeseen, is_counted=False)


APPEND_AUDIT: Final = insert_into(schema.audit_entry, conflicts.audit_entry_exists)
ERASE_PRIVATE: Final = Write(_erase_private, unforeseen, is_counted=False)
CLAIM_IDEMPOTENCY_KEY: Final = insert_into(schema.idempotency, conflicts.idempotency_key_used, locks="key")
KEEP_IDEMPOTENT_ANSWER: Final = update_where(
    schema.idempotency,
    conflicts.idempotency_key_unknown,
    where=lambda c: [c.caller == slot(c.caller), c.key == slot(c.key)],
    values=lambda c: {c.status: slot(c.status), c.body: slot(c.body)},
)
DROP_IDEMPOTENCY_KEY: Final = _drop("idempotency", "caller", "key")
