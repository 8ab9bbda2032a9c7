"""The audit trail, which is the log's leaves, and what is kept beside it."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table

from chargepki.adapters.store.schema.columns import ID, SEQ, metadata, partial, party

NOT_ORDINARY: Final = "outcome <> 'done' AND outcome <> 'intent'"  # what people search for: the few that were refused or broke

# `seq` is the entry's leaf in the log: from 0, without a gap, in the order of the commits. Triggers (migration 0002) let nobody
# delete an entry or change it, except that `private` and `subject` may become empty.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("seq", SEQ, primary_key=True, autoincrement=False),
    Column("id", ID, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", ID, nullable=False),
    Column("action", ID, nullable=False),
    Column("object", ID, nullable=False),
    Column("outcome", ID, nullable=False),
    Column("body", LargeBinary, nullable=False),
    party(),
    Column("private", LargeBinary, nullable=False),
    Column("subject", ID, nullable=False),
    Index(None, "actor", "seq"),
    Index(None, "action", "seq"),
    Index(None, "object", "seq"),
    partial("ix_audit_entry_outcome_seq", "outcome", "seq", where=NOT_ORDINARY),
    partial("ix_audit_entry_party_seq", "party", "seq", where="party <> ''"),
    partial("ix_audit_entry_subject", "subject", where="subject <> ''"),
)

# One row: how many leaves there are. Whoever appends changes it first, so that two processes append one after the other and the
# order of the leaves is the order of the commits.
log_head = Table(
    "log_head",
    metadata,
    Column("log", ID, primary_key=True),
    Column("size", BigInteger, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", ID, primary_key=True),
    Column("key", ID, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
