"""Stations, what they enrol with, and what they report."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from chargepki.adapters.store.schema.columns import ID, metadata, party, seq

station = Table(
    "station",
    metadata,
    Column("id", ID, primary_key=True),
    Column("serial_number", ID, nullable=False),
    Column("operator", ID, nullable=False),
    Column("state", ID, nullable=False),
    Column("security_profile", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ocpp_version", Text, nullable=False),
    Column("vendor", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("firmware", Text, nullable=False),
    Column("csr_tolerant", Boolean, nullable=False),
    Column("include_root", Boolean, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("last_seen", BigInteger),
    Column("version", Integer, nullable=False),
    party(),
    UniqueConstraint("operator", "serial_number"),
    Index(None, "operator", "id"),
    Index(None, "state", "id"),
    Index(None, "party", "id"),
)

enrolment_token = Table(
    "enrolment_token",
    metadata,
    Column("id", ID, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("station", ID, nullable=False),
    Column("profile", ID, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_by", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

security_event = Table(
    "security_event",
    metadata,
    seq(),
    Column("id", ID, nullable=False, unique=True),
    Column("station", ID, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("is_critical", Boolean, nullable=False),
    Column("tech_info", Text, nullable=False),
    Index(None, "station", "seq"),
)
