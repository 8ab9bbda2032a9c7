"""What a profile was narrowed to while the platform ran."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text, UniqueConstraint

from chargepki.adapters.store.schema.columns import ID, metadata, seq

# Unique, the number lets exactly one of two racing changes follow the same version.
profile_version = Table(
    "profile_version",
    metadata,
    seq(),
    Column("profile", ID, nullable=False),
    Column("number", Integer, nullable=False),
    Column("narrowing", Text, nullable=False),
    Column("proposal", ID),
    Column("created_by", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("profile", "number"),
)
