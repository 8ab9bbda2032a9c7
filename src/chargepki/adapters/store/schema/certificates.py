"""Authorities, keys, intents, certificates, their events, and CRLs."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from chargepki.adapters.store.schema.columns import ID, metadata, partial, party, seq

authority = Table(
    "authority",
    metadata,
    seq(),
    Column("id", ID, nullable=False, unique=True),
    Column("parent", ID),
    Column("profile", ID, nullable=False),
    Column("key", ID, nullable=False),
    Column("key_spec", ID, nullable=False),
    Column("signature", ID, nullable=False),
    Column("certificate", ID, nullable=False),
    Column("state", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    party(),
)

key_record = Table(
    "key_record",
    metadata,
    seq(),
    Column("ref", ID, nullable=False, unique=True),
    Column("spec", ID, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False),
    Column("label", Text, nullable=False),
    Column("vault", ID, nullable=False),
    Column("state", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("attestation", LargeBinary, nullable=False),
)

intent = Table(
    "intent",
    metadata,
    Column("id", ID, primary_key=True),
    Column("issuer", ID, nullable=False),
    Column("serial", LargeBinary, nullable=False),
    Column("tbs_sha256", LargeBinary, nullable=False),
    Column("profile", ID, nullable=False),
    Column("decision", Text, nullable=False),
    Column("requested_by", ID, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("station", ID),
    Column("outcome", Text),  # only of an intent that was closed without a certificate
    Column("closed_at", BigInteger),
    party(),
    UniqueConstraint("serial", "issuer"),
)

# The intents that wait for their certificate: a small table at any length of history, so that reporting them stays quick.
intent_open = Table(
    "intent_open",
    metadata,
    Column("intent", ID, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "created_at", "intent"),
)

certificate = Table(
    "certificate",
    metadata,
    seq(),
    Column("id", ID, nullable=False, unique=True),
    Column("issuer", ID, nullable=False),
    Column("serial", LargeBinary, nullable=False),
    Column("profile", ID, nullable=False),
    Column("subject", Text, nullable=False),
    Column("der", LargeBinary, nullable=False),
    Column("spki_sha256", LargeBinary, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("intent", ID, nullable=False, unique=True),
    Column("requested_by", ID, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("station", ID),
    Column("key", ID),
    party(),
    Column("standing", ID),
    UniqueConstraint("serial", "issuer"),  # serial first: it also serves a search by serial number alone
    Index(None, "issuer", "seq"),
    Index(None, "profile", "seq"),
    Index(None, "spki_sha256", "seq"),
    Index(None, "not_after"),
    partial("ix_certificate_station_seq", "station", "seq", where="station IS NOT NULL"),
    partial("ix_certificate_party_seq", "party", "seq", where="party <> ''"),
)

# `ordinal` counts the events of one certificate from 1; unique, it lets exactly one of two racing writers follow the same event.
# issuer, serial and not_after are copies of the certificate's, for the walk that makes a CRL.
certificate_event = Table(
    "certificate_event",
    metadata,
    seq(),
    Column("id", ID, nullable=False, unique=True),
    Column("certificate_seq", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("certificate", ID, nullable=False),
    Column("issuer", ID, nullable=False),
    Column("serial", LargeBinary, nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("kind", ID, nullable=False),
    Column("reason", ID, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", ID, nullable=False),
    Column("note", Text, nullable=False),
    Column("until", BigInteger),  # of an emergency hold
    UniqueConstraint("certificate_seq", "ordinal"),
    Index(None, "issuer", "seq"),
    partial("ix_certificate_event_until", "until", where="until IS NOT NULL"),
)

key_claim = Table(
    "key_claim",
    metadata,
    Column("spki_sha256", LargeBinary, primary_key=True),
    Column("owner", ID, nullable=False),
    Column("at", BigInteger, nullable=False),
)

crl = Table(
    "crl",
    metadata,
    Column("issuer", ID, primary_key=True),
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
    Column("issuer", ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
)
