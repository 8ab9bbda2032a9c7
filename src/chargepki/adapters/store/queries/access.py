"""Parties, people, machines, their rights, sessions and tokens."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.sql.elements import ColumnElement

from chargepki.adapters.store import cursors, schema
from chargepki.adapters.store.queries.narrowing import equal, is_live, of_parties, page_rows
from chargepki.adapters.store.rows.access import (
    account_of,
    api_token_of,
    grant_of,
    machine_of,
    party_of,
    person_of,
    session_of,
)
from chargepki.adapters.store.rows.inventory import enrolment_token_of
from chargepki.adapters.store.rows.values import storable
from chargepki.core.records import (
    Account,
    ApiToken,
    EnrolmentToken,
    GrantId,
    GrantRecord,
    Machine,
    MachineId,
    Page,
    Party,
    PartyId,
    Person,
    PersonId,
    Session,
    SessionId,
    TokenId,
)
from chargepki.errors import Finding, NotFound

_r, _p, _a, _x = schema.party.c, schema.person.c, schema.account.c, schema.external_identity.c
_m, _g, _s, _t = schema.machine.c, schema.grant_record.c, schema.session.c, schema.api_token.c

_PARTY: Final = select(schema.party).where(_r.id == bindparam("id"))
_PARTY_BY_NAME: Final = select(schema.party).where(_r.name == bindparam("name"))
_PERSON: Final = select(schema.person).where(_p.id == bindparam("id"))
_PERSON_BY_USERNAME: Final = select(schema.person).where(_p.username == bindparam("username"))
_PERSON_BY_IDENTITY: Final = (
    select(schema.person)
    .join(schema.external_identity, _x.person == _p.id)
    .where(_x.issuer == bindparam("issuer"), _x.subject == bindparam("subject"))
)
_ACCOUNT: Final = select(schema.account).where(_a.person == bindparam("person"))
_ACCOUNT_BY_INVITATION: Final = select(schema.account).where(_a.invitation_sha256 == bindparam("sha256"))
_MACHINE: Final = select(schema.machine).where(_m.id == bindparam("id"))
_GRANT: Final = select(schema.grant_record).where(_g.id == bindparam("id"))
_SESSION: Final = select(schema.session).where(_s.id == bindparam("id"))
_SESSION_BY_TOKEN: Final = select(schema.session).where(_s.token_sha256 == bindparam("sha256"))
_API_TOKEN: Final = select(schema.api_token).where(_t.id == bindparam("id"))
_API_TOKEN_BY_SECRET: Final = select(schema.api_token).where(_t.token_sha256 == bindparam("sha256"))
_ENROLMENT_TOKEN: Final = select(schema.enrolment_token).where(schema.enrolment_token.c.token_sha256 == bindparam("sha256"))


def _missing(noun: str, id: str, command: str) -> NotFound:
    return NotFound(Finding(f"{noun}.unknown", f"there is no {noun} {id}", hint=f"list them: chargepki {command} list"))


# ------------------------------------------------------------------------------------------------------------------ parties


def get_party(connection: Connection, id: PartyId) -> Party:
    if row := connection.execute(_PARTY, {"id": storable(id)}).first():
        return party_of(row)
    raise _missing("party", id, "party")


def lookup_party_by_name(connection: Connection, name: str) -> Party | None:
    row = connection.execute(_PARTY_BY_NAME, {"name": storable(name)}).first()
    return party_of(row) if row else None


def list_parties(connection: Connection, parties: frozenset[PartyId] | None, cursor: str, limit: int) -> Page[Party]:
    after = cursors.parse(cursor, "parties", str)
    where = [*of_parties(_r.id, parties), *_behind(_r.id, after)]
    rows = page_rows(connection, select(schema.party), where, _r.id, cursors.page_size(limit))
    return cursors.page_of(rows, limit, party_of, "parties", "id")


# ------------------------------------------------------------------------------------------------------------------- people


def get_person(connection: Connection, id: PersonId) -> Person:
    if row := connection.execute(_PERSON, {"id": storable(id)}).first():
        return person_of(row)
    raise _missing("person", id, "person")


def lookup_person_by_username(connection: Connection, username: str) -> Person | None:
    row = connection.execute(_PERSON_BY_USERNAME, {"username": storable(username)}).first()
    return person_of(row) if row else None


def lookup_person_by_identity(connection: Connection, issuer: str, subject: str) -> Person | None:
    row = connection.execute(_PERSON_BY_IDENTITY, {"issuer": storable(issuer), "subject": storable(subject)}).first()
    return person_of(row) if row else None


def list_people(connection: Connection, parties: frozenset[PartyId] | None, cursor: str, limit: int) -> Page[Person]:
    after = cursors.parse(cursor, "people", str)
    where = [*of_parties(_p.party, parties), *_behind(_p.username, after)]
    rows = page_rows(connection, select(schema.person), where, _p.username, cursors.page_size(limit))
    return cursors.page_of(rows, limit, person_of, "people", "username")


def get_account(connection: Connection, person: PersonId) -> Account:
    if row := connection.execute(_ACCOUNT, {"person": storable(person)}).first():
        return account_of(row)
    raise NotFound(Finding("account.unknown", f"{person} has no account here", hint="list people: chargepki person list"))


def lookup_account_by_invitation(connection: Connection, invitation_sha256: bytes) -> Account | None:
    """None for b"": that is no invitation."""
    row = connection.execute(_ACCOUNT_BY_INVITATION, {"sha256": invitation_sha256}).first()
    return account_of(row) if row else None


# -------------------------------------------------------------------------------------------------------- machines and rights


def get_machine(connection: Connection, id: MachineId) -> Machine:
    if row := connection.execute(_MACHINE, {"id": storable(id)}).first():
        return machine_of(row)
    raise _missing("machine", id, "machine")


def list_machines(connection: Connection, parties: frozenset[PartyId] | None, cursor: str, limit: int) -> Page[Machine]:
    """By id, which is a ULID: oldest first. So are grants, sessions, tokens."""
    after = cursors.parse(cursor, "machines", str)
    where = [*of_parties(_m.party, parties), *_behind(_m.id, after)]
    rows = page_rows(connection, select(schema.machine), where, _m.id, cursors.page_size(limit))
    return cursors.page_of(rows, limit, machine_of, "machines", "id")


def get_grant(connection: Connection, id: GrantId) -> GrantRecord:
    if row := connection.execute(_GRANT, {"id": storable(id)}).first():
        return grant_of(row)
    raise _missing("grant", id, "grant")


def list_grants(
    connection: Connection, holder: str, role: str, state: str, parties: frozenset[PartyId] | None, cursor: str, limit: int
) -> Page[GrantRecord]:
    after = cursors.parse(cursor, "grants", str)
    where = [*equal((_g.holder, holder), (_g.role, role), (_g.state, state)), *_behind(_g.id, after)]
    if parties is not None:
        where.append(_is_held_in(parties))
    rows = page_rows(connection, select(schema.grant_record), where, _g.id, cursors.page_size(limit))
    return cursors.page_of(rows, limit, grant_of, "grants", "id")


def _is_held_in(parties: frozenset[PartyId]) -> ColumnElement[bool]:
    """The holder, "person:per_..." or "machine:mch_...", belongs to one of them."""
    person = select(_p.id).where(_p.id == func.substr(_g.holder, len("person:") + 1), *of_parties(_p.party, parties))
    machine = select(_m.id).where(_m.id == func.substr(_g.holder, len("machine:") + 1), *of_parties(_m.party, parties))
    return person.exists() | machine.exists()


# ------------------------------------------------------------------------------------------------------- sessions and tokens


def lookup_session(connection: Connection, token_sha256: bytes) -> Session | None:
    row = connection.execute(_SESSION_BY_TOKEN, {"sha256": token_sha256}).first()
    return session_of(row) if row else None


def get_session(connection: Connection, id: SessionId) -> Session:
    if row := connection.execute(_SESSION, {"id": storable(id)}).first():
        return session_of(row)
    raise _missing("session", id, "session")


def list_sessions(connection: Connection, person: PersonId | None, at: datetime | None, cursor: str, limit: int) -> Page[Session]:
    after = cursors.parse(cursor, "sessions", str)
    where = [*equal((_s.person, person or "")), *is_live(_s.ended_at, _s.expires_at, at)]
    if after:
        where.append(_s.id < storable(str(after[0])))
    rows = page_rows(connection, select(schema.session), where, _s.id.desc(), cursors.page_size(limit))
    return cursors.page_of(rows, limit, session_of, "sessions", "id")


def lookup_enrolment_token(connection: Connection, token_sha256: bytes) -> EnrolmentToken | None:
    row = connection.execute(_ENROLMENT_TOKEN, {"sha256": token_sha256}).first()
    return enrolment_token_of(row) if row else None


def lookup_api_token(connection: Connection, token_sha256: bytes) -> ApiToken | None:
    row = connection.execute(_API_TOKEN_BY_SECRET, {"sha256": token_sha256}).first()
    return api_token_of(row) if row else None


def get_api_token(connection: Connection, id: TokenId) -> ApiToken:
    if row := connection.execute(_API_TOKEN, {"id": storable(id)}).first():
        return api_token_of(row)
    raise _missing("token", id, "token")


def list_api_tokens(connection: Connection, parties: frozenset[PartyId] | None, holder: str, cursor: str, limit: int) -> Page[ApiToken]:
    after = cursors.parse(cursor, "api-tokens", str)
    where = [*equal((_t.holder, holder)), *of_parties(_t.party, parties), *_behind(_t.id, after)]
    rows = page_rows(connection, select(schema.api_token), where, _t.id, cursors.page_size(limit))
    return cursors.page_of(rows, limit, api_token_of, "api-tokens", "id")


def _behind(column: ColumnElement[str], after: tuple[cursors.Key, ...] | None) -> list[ColumnElement[bool]]:
    return [column > storable(str(after[0]))] if after else []
