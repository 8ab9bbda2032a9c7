"""The audit trail and idempotency keys."""

from sqlalchemy import Connection

from chargepki.adapters.store.conflicts.wording import conflict
from chargepki.adapters.store.rows.values import Values
from chargepki.errors import Conflict


def audit_entry_exists(_: Connection, values: Values) -> Conflict:
    return conflict("store.audit.exists", f"the audit entry {values['id']} exists already", "make a fresh id")


def idempotency_key_used(_: Connection, values: Values) -> Conflict:
    return conflict(
        "store.idempotency.used",
        f"{values['caller']} has used the idempotency key {values['key']} before",
        "read the answer that was kept for it, or take a fresh key",
    )


def idempotency_key_unknown(_: Connection, values: Values) -> Conflict:
    return conflict("store.idempotency.unknown", f"the idempotency key {values['key']} was not claimed", "claim it before the work begins")
