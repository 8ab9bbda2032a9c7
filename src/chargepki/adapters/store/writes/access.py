"""Parties, people, machines, their rights, sessions and tokens."""

from typing import Any, Final

from sqlalchemy import Integer, literal_column, select, update
from sqlalchemy.sql.elements import ClauseElement

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts import access as conflicts
from chargepki.adapters.store.schema.access import NARROWED_MAX
from chargepki.adapters.store.statements import slot
from chargepki.adapters.store.writes.write import ONE, Insert, Write, insert_into, later, unforeseen, update_version, update_where

_TOKEN_COLUMNS: Final = [column.name for column in schema.api_token.c]
_IS_MADE: Final = frozenset({"created_at"})


def _add_token(insert: Insert, _count: int) -> ClauseElement:
    table = schema.api_token
    given = {column.name: slot(column) for column in table.c if column.name != "depth"}
    return insert(table).values({**given, "depth": literal_column("0", Integer)}).inline()  # type: ignore[no-any-return]


def _narrow_token(_: Insert, _count: int) -> ClauseElement:
    """From a token that lives. Its row is held until the commit: whoever revokes it waits, and then finds the new one below it."""
    c, old = schema.api_token.c, schema.api_token.alias("old")
    columns = [(old.c.depth + ONE if name == "depth" else slot(c[name])).label(name) for name in _TOKEN_COLUMNS]
    lives = (old.c.id == slot(c.parent), old.c.revoked_at.is_(None), old.c.depth < literal_column(str(NARROWED_MAX), Integer))
    return schema.api_token.insert().from_select(_TOKEN_COLUMNS, select(*columns).where(*lives).with_for_update(read=True)).inline()


def _revoke_narrowed(seed: Any) -> ClauseElement:
    """All below the tokens of `seed`, which were revoked, and locked, by the statement before."""
    c, child = schema.api_token.c, schema.api_token.alias("child")
    line = select(c.id).where(seed).cte("line", recursive=True)
    line = line.union(select(child.c.id).where(child.c.parent == line.c.id))  # UNION ends even where a damaged row names itself
    return update(schema.api_token).where(c.revoked_at.is_(None), c.id.in_(select(line.c.id))).values(revoked_at=slot(c.revoked_at))


_t = schema.api_token.c

ADD_PARTY: Final = insert_into(schema.party, conflicts.party_exists, locks="id")
UPDATE_PARTY: Final = update_version(schema.party, conflicts.party_changed, fixed=_IS_MADE)
ADD_PERSON: Final = insert_into(schema.person, conflicts.person_exists, locks="username")
UPDATE_PERSON: Final = update_version(schema.person, conflicts.person_changed, fixed=_IS_MADE)
ADD_ACCOUNT: Final = insert_into(schema.account, conflicts.account_exists)
UPDATE_ACCOUNT: Final = update_version(schema.account, conflicts.account_changed)
ADD_IDENTITY: Final = insert_into(schema.external_identity, conflicts.identity_linked)
ADD_MACHINE: Final = insert_into(schema.machine, conflicts.machine_exists)
UPDATE_MACHINE: Final = update_version(schema.machine, conflicts.machine_changed, fixed=_IS_MADE)
ADD_GRANT: Final = insert_into(schema.grant_record, conflicts.grant_exists)
UPDATE_GRANT: Final = update_version(schema.grant_record, conflicts.grant_changed, fixed=frozenset({"created_at", "created_by"}))
ADD_SESSION: Final = insert_into(schema.session, conflicts.session_exists)
TOUCH_SESSION: Final = update_where(
    schema.session,
    unforeseen,
    where=lambda c: [c.id == slot(c.id)],
    values=lambda c: {c.last_seen_at: later(c.last_seen_at), c.stepped_up_at: later(c.stepped_up_at)},
    is_counted=False,
    locks="id",
)
END_SESSION: Final = update_where(
    schema.session,
    conflicts.session_ended,
    where=lambda c: [c.id == slot(c.id), c.ended_at.is_(None)],
    values=lambda c: {c.ended_at: slot(c.ended_at)},
    locks="id",
)
END_SESSIONS: Final = update_where(
    schema.session,
    unforeseen,
    where=lambda c: [c.person == slot(c.person), c.ended_at.is_(None)],
    values=lambda c: {c.ended_at: slot(c.ended_at)},
    is_counted=False,
)
ADD_API_TOKEN: Final = Write(_add_token, conflicts.api_token_exists)
NARROW_API_TOKEN: Final = Write(_narrow_token, conflicts.token_not_narrowed, locks="parent")
REVOKE_API_TOKEN: Final = update_where(
    schema.api_token,
    conflicts.api_token_unrevokable,
    where=lambda c: [c.id == slot(c.id), c.revoked_at.is_(None)],
    values=lambda c: {c.revoked_at: slot(c.revoked_at)},
    locks="id",
)
REVOKE_NARROWED: Final = Write(lambda _insert, _count: _revoke_narrowed(_t.id == slot(_t.id)), unforeseen, is_counted=False)
END_TOKENS: Final = update_where(
    schema.api_token,
    unforeseen,
    where=lambda c: [c.holder == slot(c.holder), c.revoked_at.is_(None)],
    values=lambda c: {c.revoked_at: slot(c.revoked_at)},
    is_counted=False,
)
END_NARROWED: Final = Write(lambda _insert, _count: _revoke_narrowed(_t.holder == slot(_t.holder)), unforeseen, is_counted=False)
