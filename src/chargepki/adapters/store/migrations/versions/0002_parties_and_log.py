"""Parties, people, machines and their rights; proposals and votes; keys; and the audit trail as the leaves of a log.

What stood before belongs to the platform (party ""). API tokens of 0001 are revoked: what their scopes allowed cannot be said in the
roles of today, and a token that quietly means something else is worse than one to be made anew. Audit entries are numbered from 0
without a gap, in the order in which they stood.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EMPTY = sa.text("''")
_HAS_PARTY = sa.text("party <> ''")
_ENDS = sa.text("until IS NOT NULL")
_HAS_SUBJECT = sa.text("subject <> ''")
_NOT_ORDINARY = sa.text("outcome <> 'done' AND outcome <> 'intent'")

# An entry may lose what is private in it, and its subject; nothing else of it ever changes.
_FIXED = ("seq", "id", "at", "actor", "action", "object", "outcome", "body", "party")
_ERASABLE = ("private", "subject")
_REFUSAL = "an audit entry is neither changed nor deleted"


def upgrade() -> None:
    for table in ("authority", "certificate", "intent", "station"):
        op.add_column(table, sa.Column("party", _ID, nullable=False, server_default=_EMPTY))
    op.add_column("certificate", sa.Column("standing", _ID))
    op.add_column("certificate_event", sa.Column("until", sa.BigInteger()))
    op.create_index("ix_certificate_event_until", "certificate_event", ["until"], sqlite_where=_ENDS, postgresql_where=_ENDS)
    op.create_index("ix_certificate_party_seq", "certificate", ["party", "seq"], sqlite_where=_HAS_PARTY, postgresql_where=_HAS_PARTY)
    op.create_index("ix_station_party_id", "station", ["party", "id"])
    _renew_api_token()
    _renew_audit_entry()
    _create_holders()
    _create_rights()
    _create_approvals()
    _create_keys()
    _create_profiles()


def _renew_api_token() -> None:
    op.execute("CREATE TABLE api_token_0001 AS SELECT * FROM api_token")
    op.drop_table("api_token")
    op.create_table(
        "api_token",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("grants", sa.Text(), nullable=False),
        sa.Column("holder", _ID, nullable=False),
        sa.Column("created_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("parent", _ID),
        sa.Column("party", _ID, nullable=False, server_default=_EMPTY),
        sa.Column("depth", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_token"),
        sa.UniqueConstraint("token_sha256", name="uq_api_token_token_sha256"),
    )
    moved = sa.text(
        "INSERT INTO api_token (id, token_sha256, name, grants, holder, created_by, created_at, expires_at, revoked_at, depth)"
        " SELECT id, token_sha256, name, '[]', '', created_by, created_at, COALESCE(expires_at, :now), COALESCE(revoked_at, :now), 0"
        " FROM api_token_0001"
    )
    op.execute(moved.bindparams(sa.bindparam("now", int(time.time()), sa.BigInteger)))
    op.drop_table("api_token_0001")
    op.create_index("ix_api_token_holder_id", "api_token", ["holder", "id"])
    op.create_index("ix_api_token_parent", "api_token", ["parent"])
    op.create_index("ix_api_token_party_id", "api_token", ["party", "id"])


def _renew_audit_entry() -> None:
    op.execute("CREATE TABLE audit_entry_0001 AS SELECT * FROM audit_entry")
    op.drop_table("audit_entry")
    op.create_table(
        "audit_entry",
        sa.Column("seq", _SEQ, autoincrement=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", _ID, nullable=False),
        sa.Column("action", _ID, nullable=False),
        sa.Column("object", _ID, nullable=False),
        sa.Column("outcome", _ID, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("party", _ID, nullable=False, server_default=_EMPTY),
        sa.Column("private", sa.LargeBinary(), nullable=False),
        sa.Column("subject", _ID, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_entry"),
        sa.UniqueConstraint("id", name="uq_audit_entry_id"),
    )
    moved = sa.text(
        "INSERT INTO audit_entry (seq, id, at, actor, action, object, outcome, body, private, subject)"
        " SELECT ROW_NUMBER() OVER (ORDER BY seq) - 1, id, at, actor, action, object, outcome, body, :nothing, ''"
        " FROM audit_entry_0001 ORDER BY seq"
    )
    op.execute(moved.bindparams(sa.bindparam("nothing", b"", sa.LargeBinary)))
    op.drop_table("audit_entry_0001")
    op.create_index("ix_audit_entry_action_seq", "audit_entry", ["action", "seq"])
    op.create_index("ix_audit_entry_actor_seq", "audit_entry", ["actor", "seq"])
    op.create_index("ix_audit_entry_object_seq", "audit_entry", ["object", "seq"])
    partial = {
        ("ix_audit_entry_outcome_seq", ("outcome", "seq")): _NOT_ORDINARY,
        ("ix_audit_entry_party_seq", ("party", "seq")): _HAS_PARTY,
        ("ix_audit_entry_subject", ("subject",)): _HAS_SUBJECT,
    }
    for (name, columns), where in partial.items():
        op.create_index(name, "audit_entry", list(columns), sqlite_where=where, postgresql_where=where)
    op.create_table(
        "log_head",
        sa.Column("log", _ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log", name="pk_log_head"),
    )
    op.execute("INSERT INTO log_head (log, size) SELECT 'audit', COUNT(*) FROM audit_entry")
    for statement in _postgresql_triggers() if _is_postgresql() else _sqlite_triggers():
        op.execute(statement)


def _postgresql_triggers() -> list[str]:
    same = " AND ".join(f"NEW.{column} IS NOT DISTINCT FROM OLD.{column}" for column in _FIXED)
    erased = " AND ".join(f"(NEW.{column} = OLD.{column} OR length(NEW.{column}) = 0)" for column in _ERASABLE)
    return [
        "CREATE FUNCTION keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'UPDATE' THEN IF {same} AND {erased} THEN RETURN NEW; END IF; END IF;"
        f" RAISE EXCEPTION '{_REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$",
        "CREATE TRIGGER keep_audit_entry BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION keep_audit_entry()",
        "CREATE TRIGGER keep_audit_entries BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_entry()",
    ]


def _sqlite_triggers() -> list[str]:
    same = " AND ".join(f"NEW.{column} IS OLD.{column}" for column in _FIXED)
    erased = " AND ".join(f"(NEW.{column} IS OLD.{column} OR length(NEW.{column}) = 0)" for column in _ERASABLE)
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    return [
        f"CREATE TRIGGER keep_audit_entry_unchanged BEFORE UPDATE ON audit_entry WHEN NOT ({same} AND {erased}) {refuse}",
        f"CREATE TRIGGER keep_audit_entry BEFORE DELETE ON audit_entry {refuse}",
    ]


def _create_holders() -> None:
    op.create_table(
        "party",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("spaces", sa.Text(), nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_party"),
        sa.UniqueConstraint("name", name="uq_party_name"),
    )
    op.create_table(
        "person",
        sa.Column("id", _ID, nullable=False),
        sa.Column("username", _ID, nullable=False),
        sa.Column("party", _ID, nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("username", name="uq_person_username"),
    )
    op.create_index("ix_person_party_username", "person", ["party", "username"])
    op.create_table(
        "account",
        sa.Column("person", _ID, nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("totp_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("totp_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
        sa.Column("invitation_sha256", sa.LargeBinary()),
        sa.Column("invitation_expires_at", sa.BigInteger()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("person", name="pk_account"),
        sa.UniqueConstraint("invitation_sha256", name="uq_account_invitation_sha256"),
    )
    op.create_table(
        "external_identity",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_external_identity"),
    )
    op.create_table(
        "machine",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("party", _ID, nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_machine"),
        sa.UniqueConstraint("party", "name", name="uq_machine_party_name"),
    )
    op.create_index("ix_machine_party_id", "machine", ["party", "id"])


def _create_rights() -> None:
    op.create_table(
        "grant_record",
        sa.Column("id", _ID, nullable=False),
        sa.Column("holder", _ID, nullable=False),
        sa.Column("role", _ID, nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("created_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("proposal", _ID),
        sa.Column("accepted_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ended_by", _ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_grant_record"),
    )
    for column in ("holder", "role", "state"):
        op.create_index(f"ix_grant_record_{column}_id", "grant_record", [column, "id"])
    op.create_table(
        "session",
        sa.Column("id", _ID, nullable=False),
        sa.Column("token_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("stepped_up_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("client", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
        sa.UniqueConstraint("token_sha256", name="uq_session_token_sha256"),
    )
    op.create_index("ix_session_person_id", "session", ["person", "id"])


def _create_approvals() -> None:
    op.create_table(
        "proposal",
        sa.Column("id", _ID, nullable=False),
        sa.Column("action", _ID, nullable=False),
        sa.Column("object", _ID, nullable=False),
        sa.Column("rule", _ID, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("party", _ID, nullable=False),
        sa.Column("proposer", _ID, nullable=False),
        sa.Column("proposer_person", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_proposal"),
    )
    op.create_index("ix_proposal_state_id", "proposal", ["state", "id"])
    op.create_index("ix_proposal_party_id", "proposal", ["party", "id"])
    op.create_table(
        "vote",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("proposal", _ID, nullable=False),
        sa.Column("person", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("is_for", sa.Boolean(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("assurance", sa.SmallInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_vote"),
        sa.UniqueConstraint("proposal", "digest", "person", name="uq_vote_proposal_digest_person"),
    )
    op.create_index("ix_vote_proposal_seq", "vote", ["proposal", "seq"])
    op.create_table(
        "standing",
        sa.Column("id", _ID, nullable=False),
        sa.Column("party", _ID, nullable=False),
        sa.Column("profiles", sa.Text(), nullable=False),
        sa.Column("names", sa.Text(), nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("per_hour_max", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("created_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("proposal", _ID),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_standing"),
    )
    op.create_index("ix_standing_party_id", "standing", ["party", "id"])
    op.create_table(
        "standing_use",
        sa.Column("standing", _ID, nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("standing", "hour", name="pk_standing_use"),
    )


def _create_keys() -> None:
    op.create_table(
        "key_record",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("ref", _ID, nullable=False),
        sa.Column("spec", _ID, nullable=False),
        sa.Column("spki_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("vault", _ID, nullable=False),
        sa.Column("state", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("attestation", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_key_record"),
        sa.UniqueConstraint("ref", name="uq_key_record_ref"),
    )


def _create_profiles() -> None:
    op.create_table(
        "profile_version",
        sa.Column("seq", _SEQ, autoincrement=True),
        sa.Column("profile", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("narrowing", sa.Text(), nullable=False),
        sa.Column("proposal", _ID),
        sa.Column("created_by", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_profile_version"),
        sa.UniqueConstraint("profile", "number", name="uq_profile_version_profile_number"),
    )


def _is_postgresql() -> bool:
    return bool(op.get_bind().dialect.name == "postgresql")
