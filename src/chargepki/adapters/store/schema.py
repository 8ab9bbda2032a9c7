"""The tables, one per record of `core/records.py`.

Times are integer seconds since the epoch (UTC), serial numbers 20 octets big-endian, hashes raw octets. Unique constraints carry
the preconditions of `ports.Change`, so that they hold between processes too. There are no foreign keys: an authority and its own
certificate name each other and are written together. `seq` counts rows in the order they were written; lists walk it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

# PostgreSQL orders "C" text by octet, as SQLite does: cursors and prefix ranges mean the same on both.
_ID = Text().with_variant(Text(collation="C"), "postgresql")
_SEQ = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts INTEGER PRIMARY KEY only

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _seq() -> Column[int]:
    return Column("seq", _SEQ, primary_key=True, autoincrement=True)


authority = Table(
    "authority",
    metadata,
    _seq(),
    Column("id", _ID, nullable=False, unique=True),
    Column("parent", _ID),
    Column("profile", _ID, nullable=False),
    Column("key", _ID, nullable=False),
    Column("key_spec", _ID, nullable=False),
    Column("signature", _ID, nullable=False),
    Column("certificate", _ID, nullable=False),
    Column("state", _ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

intent = Table(
    "intent",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("issuer", _ID, nullable=False),
    Column("serial", LargeBinary, nullable=False),
    Column("tbs_sha256", LargeBinary, nullable=False),
    Column("profile", _ID, nullable=False),
    Column("decision", Text, nullable=False),
    Column("requested_by", _ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("station", _ID),
    Column("outcome", Text),  # only of an intent that was closed without a certificate
    Column("closed_at", BigInteger),
    UniqueConstraint("serial", "issuer"),
)

# The intents that wait for their certificate: a small table at any length of history, so that reporting them stays quick.
intent_open = Table(
    "intent_open",
    metadata,
    Column("intent", _ID, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "created_at", "intent"),
)

certificate = Table(
    "certificate",
    metadata,
    _seq(),
    Column("id", _ID, nullable=False, unique=True),
    Column("issuer", _ID, nullable=False),
    Column("serial", LargeBinary, nullable=False),
    Column("profile", _ID, nullable=False),
    Column("subject", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("intent", _ID, nullable=False, unique=True),
    Column("requested_by", _ID, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("station", _ID),
    Column("key", _ID),
    UniqueConstraint("serial", "issuer"),  # serial first: it also serves a search by serial number alone
    Index(None, "issuer", "seq"),
    Index(None, "profile", "seq"),
    Index(None, "spki_sha256", "seq"),
    Index(None, "not_after"),
    Index(
        "ix_certificate_station_seq",
        "station",
        "seq",
        sqlite_where=text("station IS NOT NULL"),
        postgresql_where=text("station IS NOT NULL"),
    ),
)

# `ordinal` counts the events of one certificate from 1; unique, it lets exactly one of two racing writers follow the same event.
# issuer, serial and not_after are copies of the certificate's, for the walk that makes a CRL.
certificate_event = Table(
    "certificate_event",
    metadata,
    _seq(),
    Column("id", _ID, nullable=False, unique=True),
    Column("certificate_seq", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("certificate", _ID, nullable=False),
    Column("issuer", _ID, nullable=False),
    Column("serial", LargeBinary, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("kind", _ID, nullable=False),
    Column("reason", _ID, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", _ID, nullable=False),
    Column("note", Text, nullable=False),
    UniqueConstraint("certificate_seq", "ordinal"),
    Index(None, "issuer", "seq"),
)

key_claim = Table(
    "key_claim",
    metadata,
    Column("spki_sha256", LargeBinary, primary_key=True),
    Column("owner", _ID, nullable=False),
    Column("at", BigInteger, nullable=False),
)

station = Table(
    "station",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("serial_number", _ID, nullable=False),
    Column("operator", _ID, nullable=False),
    Column("state", _ID, nullable=False),
    Column("security_profile", _ID, nullable=False),
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
    UniqueConstraint("operator", "serial_number"),
    Index(None, "operator", "id"),
    Index(None, "state", "id"),
)

enrolment_token = Table(
    "enrolment_token",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("station", _ID, nullable=False),
    Column("profile", _ID, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_by", _ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", _ID, nullable=False),
    Column("scopes", Text, nullable=False),  # sorted, one space between two
    Column("created_by", _ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
)

crl = Table(
    "crl",
    metadata,
    Column("issuer", _ID, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("this_update", BigInteger, nullable=False),
    Column("next_update", BigInteger, nullable=False),
    Column("entry_count", Integer, nullable=False),
    Column("der", LargeBinary, nullable=False),
)

# One row per issuer: the lock that keeps two processes from publishing CRL numbers out of order.
crl_newest = Table(
    "crl_newest",
    metadata,
    Column("issuer", _ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
)

security_event = Table(
    "security_event",
    metadata,
    _seq(),
    Column("id", _ID, nullable=False, unique=True),
    Column("station", _ID, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("is_critical", Boolean, nullable=False),
    Column("tech_info", Text, nullable=False),
    Index(None, "station", "seq"),
)

audit_entry = Table(
    "audit_entry",
    metadata,
    _seq(),
    Column("id", _ID, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", _ID, nullable=False),
    Column("action", _ID, nullable=False),
    Column("object", _ID, nullable=False),
    Column("outcome", _ID, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "actor", "seq"),
    Index(None, "action", "seq"),
    Index(None, "object", "seq"),
    Index(
        "ix_audit_entry_outcome_seq", "outcome", "seq", sqlite_where=text("outcome <> 'done'"), postgresql_where=text("outcome <> 'done'")
    ),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", _ID, primary_key=True),
    Column("key", _ID, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
