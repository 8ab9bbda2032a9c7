"""Who may come in: parties, people, machines, their rights, sessions and tokens."""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, Table, Text, UniqueConstraint

from chargepki.adapters.store.schema.columns import ID, metadata
from chargepki.adapters.store.schema.columns import party as party_column

NARROWED_MAX: Final = 8  # how often a token is narrowed from another: a platform, a site, a station and room to spare

party = Table(
    "party",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("roles", Text, nullable=False),
    Column("spaces", Text, nullable=False),
    Column("state", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
)

person = Table(
    "person",
    metadata,
    Column("id", ID, primary_key=True),
    Column("username", ID, nullable=False, unique=True),
    Column("party", ID, nullable=False),
    Column("state", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "party", "username"),
)

account = Table(
    "account",
    metadata,
    Column("person", ID, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("totp_sealed", LargeBinary, nullable=False),
    Column("totp_step", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", BigInteger),
    Column("invitation_sha256", LargeBinary, unique=True),
    Column("invitation_expires_at", BigInteger),
    Column("version", Integer, nullable=False),
)

external_identity = Table(
    "external_identity",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("person", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

machine = Table(
    "machine",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("party", ID, nullable=False),
    Column("state", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("party", "name"),
    Index(None, "party", "id"),
)

grant_record = Table(
    "grant_record",
    metadata,
    Column("id", ID, primary_key=True),
    Column("holder", ID, nullable=False),
    Column("role", ID, nullable=False),
    Column("scope", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("state", ID, nullable=False),
    Column("created_by", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("proposal", ID),
    Column("accepted_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("ended_by", ID, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "holder", "id"),
    Index(None, "role", "id"),
    Index(None, "state", "id"),
)

session = Table(
    "session",
    metadata,
    Column("id", ID, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("person", ID, nullable=False),
    Column("method", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("stepped_up_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("client", Text, nullable=False),
    Index(None, "person", "id"),
)

# `depth` counts the tokens that this one was narrowed from, one from another.
api_token = Table(
    "api_token",
    metadata,
    Column("id", ID, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("holder", ID, nullable=False),
    Column("created_by", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("parent", ID),
    party_column(),
    Column("depth", SmallInteger, nullable=False),
    Index(None, "holder", "id"),
    Index(None, "parent"),
    Index(None, "party", "id"),
)
