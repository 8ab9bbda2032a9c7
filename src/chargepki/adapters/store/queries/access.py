"""Tokens, the audit trail, and answers kept for their idempotency keys."""

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.sql.elements import ColumnElement

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.rows import api_token_of, audit_of, enrolment_token_of, idempotent_of, storable
from chargepki.core.records import ApiToken, AuditEntry, AuditId, EnrolmentToken, IdempotentAnswer, Page
from chargepki.errors import Finding, NotFound

_t, _u, _g = schema.api_token.c, schema.audit_entry.c, schema.idempotency.c

_ENROLMENT_TOKEN = select(schema.enrolment_token).where(schema.enrolment_token.c.token_sha256 == bindparam("token_sha256"))
_API_TOKEN = select(schema.api_token).where(_t.token_sha256 == bindparam("token_sha256"))
_AUDIT_ENTRY = select(schema.audit_entry).where(_u.id == bindparam("id"))
_IDEMPOTENT = select(schema.idempotency).where(_g.caller == bindparam("caller"), _g.key == bindparam("key"))
_LAST_CHARACTER = "\U0010ffff"  # sorts behind every other: the end of a prefix range


def lookup_enrolment_token(connection: Connection, token_sha256: bytes) -> EnrolmentToken | None:
    row = connection.execute(_ENROLMENT_TOKEN, {"token_sha256": token_sha256}).first()
    return enrolment_token_of(row) if row else None


def lookup_api_token(connection: Connection, token_sha256: bytes) -> ApiToken | None:
    row = connection.execute(_API_TOKEN, {"token_sha256": token_sha256}).first()
    return api_token_of(row) if row else None


def list_api_tokens(connection: Connection, cursor: str, limit: int) -> Page[ApiToken]:
    """By id, which is a ULID: oldest first."""
    after = cursors.parse(cursor, "api-tokens", str)
    where = [_t.id > storable(str(after[0]))] if after else []
    rows = connection.execute(select(schema.api_token).where(*where).order_by(_t.id).limit(cursors.page_size(limit) + 1)).all()
    return cursors.page_of(rows, limit, api_token_of, "api-tokens", "id")


def list_audit(connection: Connection, actor: str, action: str, object: str, outcome: str, cursor: str, limit: int) -> Page[AuditEntry]:
    after = cursors.parse(cursor, "audit", int)
    equal = ((_u.actor, actor), (_u.action, action), (_u.outcome, outcome))
    where: list[ColumnElement[bool]] = [column == storable(value) for column, value in equal if value]
    if object:
        where.append(_is_object(storable(object)))
    if after:
        where.append(_u.seq < after[0])
    # The page is chosen from an index alone; only its own rows, with their bodies, are then read.
    chosen = select(_u.seq).where(*where).order_by(_u.seq.desc()).limit(cursors.page_size(limit) + 1)
    rows = connection.execute(select(schema.audit_entry).where(_u.seq.in_(chosen)).order_by(_u.seq.desc())).all()
    return cursors.page_of(rows, limit, audit_of, "audit", "seq")


def _is_object(pattern: str) -> ColumnElement[bool]:
    if not pattern.endswith("*"):
        return _u.object == pattern
    prefix = pattern[:-1]
    return (_u.object >= prefix) & (_u.object < prefix + _LAST_CHARACTER)


def get_audit(connection: Connection, id: AuditId) -> AuditEntry:
    if row := connection.execute(_AUDIT_ENTRY, {"id": storable(id)}).first():
        return audit_of(row)
    raise NotFound(Finding("audit.entry.unknown", f"there is no audit entry {id}", hint="list them: chargepki log list"))


def lookup_idempotent(connection: Connection, caller: str, key: str) -> IdempotentAnswer | None:
    row = connection.execute(_IDEMPOTENT, {"caller": storable(caller), "key": storable(key)}).first()
    return idempotent_of(row) if row else None
