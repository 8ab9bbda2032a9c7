"""What waits for others: proposals, the votes on them, and the approvals given beforehand."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text, UniqueConstraint

from chargepki.adapters.store.schema.columns import ID, metadata, seq

proposal = Table(
    "proposal",
    metadata,
    Column("id", ID, primary_key=True),
    Column("action", ID, nullable=False),
    Column("object", ID, nullable=False),
    Column("rule", ID, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("party", ID, nullable=False),
    Column("proposer", ID, nullable=False),
    Column("proposer_person", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("state", ID, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "state", "id"),
    Index(None, "party", "id"),
)

# One voice per person and revision: the digest stands for exactly the bytes of one revision.
vote = Table(
    "vote",
    metadata,
    seq(),
    Column("proposal", ID, nullable=False),
    Column("person", ID, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("is_for", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("assurance", SmallInteger, nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("proposal", "digest", "person"),
    Index(None, "proposal", "seq"),
)

standing = Table(
    "standing",
    metadata,
    Column("id", ID, primary_key=True),
    Column("party", ID, nullable=False),
    Column("profiles", Text, nullable=False),
    Column("names", Text, nullable=False),
    Column("keys", Text, nullable=False),
    Column("per_hour_max", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("created_by", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("proposal", ID),
    Column("ended_at", BigInteger),
    Index(None, "party", "id"),
)

# `hour` counts hours since the epoch.
standing_use = Table(
    "standing_use",
    metadata,
    Column("standing", ID, primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("used", BigInteger, nullable=False),
)
