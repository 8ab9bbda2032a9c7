"""The first schema: authorities, intents, certificates and their events, stations, tokens, CRLs, the audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_HAS_STATION = sa.text("station IS NOT NULL")
_NOT_DONE = sa.text("outcome <> 'done'")


def upgrade() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", _ID, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("token_sha256", name="uq_api_token_token_sha256"),
    )
    op.create_table(
        "audit_entry",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", _ID, nullable=False),
        sa.Column("action", _ID, nullable=False),
        sa.Column("object", _ID, nullable=False),
        sa.Column("outcome", _ID, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_entry"),
        sa.UniqueConstraint("id", name="uq_audit_entry_id"),
    )
    op.create_index("ix_audit_entry_action_seq", "audit_entry", ["action", "seq"])
    op.create_index("ix_audit_entry_actor_seq", "audit_entry", ["actor", "seq"])
    op.create_index("ix_audit_entry_object_seq", "audit_entry", ["object", "seq"])
    op.create_index("ix_audit_entry_outcome_seq", "audit_entry", ["outcome", "seq"], sqlite_where=_NOT_DONE, postgresql_where=_NOT_DONE)
    op.create_table(
        "authority",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("parent", _ID),
        sa.Column("profile", _ID, nullable=False),
        sa.Column("key", _ID, nullable=False),
        sa.Column("key_spec", _ID, nullable=False),
        sa.Column("signature", _ID, nullable=False),
        sa.Column("certificate", _ID, nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_authority"),
        sa.UniqueConstraint("id", name="uq_authority_id"),
    )
    op.create_table(
        "certificate",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("issuer", _ID, nullable=False),
        sa.Column("serial", sa.LargeBinary(), nullable=False),
        sa.Column("profile", _ID, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("spki_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("intent", _ID, nullable=False),
        sa.Column("requested_by", _ID, nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("station", _ID),
        sa.Column("key", _ID),
        sa.PrimaryKeyConstraint("seq", name="pk_certificate"),
        sa.UniqueConstraint("id", name="uq_certificate_id"),
        sa.UniqueConstraint("intent", name="uq_certificate_intent"),
        sa.UniqueConstraint("serial", "issuer", name="uq_certificate_serial_issuer"),
    )
    op.create_index("ix_certificate_issuer_seq", "certificate", ["issuer", "seq"])
    op.create_index("ix_certificate_not_after", "certificate", ["not_after"])
    op.create_index("ix_certificate_profile_seq", "certificate", ["profile", "seq"])
    op.create_index("ix_certificate_spki_sha256_seq", "certificate", ["spki_sha256", "seq"])
    op.create_index(
        "ix_certificate_station_seq", "certificate", ["station", "seq"], sqlite_where=_HAS_STATION, postgresql_where=_HAS_STATION
    )
    op.create_table(
        "certificate_event",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("certificate_seq", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("certificate", _ID, nullable=False),
        sa.Column("issuer", _ID, nullable=False),
        sa.Column("serial", sa.LargeBinary(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("kind", _ID, nullable=False),
        sa.Column("reason", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", _ID, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_certificate_event"),
        sa.UniqueConstraint("certificate_seq", "ordinal", name="uq_certificate_event_certificate_seq_ordinal"),
        sa.UniqueConstraint("id", name="uq_certificate_event_id"),
    )
    op.create_index("ix_certificate_event_issuer_seq", "certificate_event", ["issuer", "seq"])
    op.create_table(
        "crl",
        sa.Column("issuer", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("this_update", sa.BigInteger(), nullable=False),
        sa.Column("next_update", sa.BigInteger(), nullable=False),
        sa.Column("entry_count", sa.Integer(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "number", name="pk_crl"),
    )
    op.create_table(
        "crl_newest",
        sa.Column("issuer", _ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", name="pk_crl_newest"),
    )
    op.create_table(
        "enrolment_token",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("station", _ID, nullable=False),
        sa.Column("profile", _ID, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_enrolment_token"),
        sa.UniqueConstraint("token_sha256", name="uq_enrolment_token_token_sha256"),
    )
    op.create_table(
        "idempotency",
        sa.Column("caller", _ID, nullable=False),
        sa.Column("key", _ID, nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_idempotency"),
    )
    op.create_table(
        "intent",
        sa.Column("id", _ID, nullable=False),
        sa.Column("issuer", _ID, nullable=False),
        sa.Column("serial", sa.LargeBinary(), nullable=False),
        sa.Column("tbs_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("profile", _ID, nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("requested_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("station", _ID),
        sa.Column("outcome", sa.Text()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_intent"),
        sa.UniqueConstraint("serial", "issuer", name="uq_intent_serial_issuer"),
    )
    op.create_table(
        "intent_open",
        sa.Column("intent", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("intent", name="pk_intent_open"),
    )
    op.create_index("ix_intent_open_created_at_intent", "intent_open", ["created_at", "intent"])
    op.create_table(
        "key_claim",
        sa.Column("spki_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("owner", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("spki_sha256", name="pk_key_claim"),
    )
    op.create_table(
        "security_event",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("id", _ID, nullable=False),
        sa.Column("station", _ID, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("is_critical", sa.Boolean(), nullable=False),
        sa.Column("tech_info", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_security_event"),
        sa.UniqueConstraint("id", name="uq_security_event_id"),
    )
    op.create_index("ix_security_event_station_seq", "security_event", ["station", "seq"])
    op.create_table(
        "station",
        sa.Column("id", _ID, nullable=False),
        sa.Column("serial_number", _ID, nullable=False),
        sa.Column("operator", _ID, nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("security_profile", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ocpp_version", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("firmware", sa.Text(), nullable=False),
        sa.Column("csr_tolerant", sa.Boolean(), nullable=False),
        sa.Column("include_root", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("last_seen", sa.BigInteger()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_station"),
        sa.UniqueConstraint("operator", "serial_number", name="uq_station_operator_serial_number"),
    )
    op.create_index("ix_station_operator_id", "station", ["operator", "id"])
    op.create_index("ix_station_state_id", "station", ["state", "id"])
