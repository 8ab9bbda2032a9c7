"""Parties, people, machines, their rights, sessions and tokens."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

from chargepki.adapters.store.rows.values import (
    AnyRow,
    Values,
    json_text,
    seconds,
    seconds_or_none,
    storable,
    text_or_none,
    texts,
    texts_of,
    time_of,
    time_or_none,
)
from chargepki.core.access.encode import decode_grant, decode_scope, encode_grant, encode_scope
from chargepki.core.access.model import Grant, Role, Scope
from chargepki.core.identifiers.name_spaces import NameSpace, parse_name_space
from chargepki.core.records import (
    Account,
    ApiToken,
    ExternalIdentity,
    GrantRecord,
    GrantState,
    Machine,
    MachineState,
    Party,
    PartyRole,
    PartyState,
    Person,
    PersonState,
    Session,
)
from chargepki.errors import Broken, Refused

KNOWN_MAX: Final = 4_096  # decoded grants and scopes: every API call reads its token's

T = TypeVar("T")


def party_values(p: Party) -> Values:
    return {
        "id": storable(p.id),
        "name": storable(p.name),
        "roles": texts(p.roles),
        "spaces": texts(p.spaces),
        "state": p.state.value,
        "created_at": seconds(p.created_at),
        "version": p.version,
    }


def party_of(row: AnyRow) -> Party:
    return Party(
        id=row.id,
        name=row.name,
        roles=frozenset(map(PartyRole, texts_of(row.roles))),
        spaces=spaces_of(row.spaces),
        state=PartyState(row.state),
        created_at=time_of(row.created_at),
        version=row.version,
    )


def person_values(p: Person) -> Values:
    return {
        "id": storable(p.id),
        "username": storable(p.username),
        "party": storable(p.party),
        "state": p.state.value,
        "created_at": seconds(p.created_at),
        "display_name": storable(p.display_name),
        "email": storable(p.email),
        "version": p.version,
    }


def person_of(row: AnyRow) -> Person:
    return Person(
        id=row.id,
        username=row.username,
        party=row.party,
        state=PersonState(row.state),
        created_at=time_of(row.created_at),
        display_name=row.display_name,
        email=row.email,
        version=row.version,
    )


def account_values(a: Account) -> Values:
    return {
        "person": storable(a.person),
        "password_hash": storable(a.password_hash),
        "totp_sealed": a.totp_sealed,
        "totp_step": a.totp_step,
        "failures": a.failures,
        "locked_until": seconds_or_none(a.locked_until),
        "invitation_sha256": a.invitation_sha256 or None,  # unique where there is one
        "invitation_expires_at": seconds_or_none(a.invitation_expires_at),
        "version": a.version,
    }


def account_of(row: AnyRow) -> Account:
    return Account(
        person=row.person,
        password_hash=row.password_hash,
        totp_sealed=bytes(row.totp_sealed),
        totp_step=row.totp_step,
        failures=row.failures,
        locked_until=time_or_none(row.locked_until),
        invitation_sha256=bytes(row.invitation_sha256 or b""),
        invitation_expires_at=time_or_none(row.invitation_expires_at),
        version=row.version,
    )


def identity_values(i: ExternalIdentity) -> Values:
    return {
        "issuer": storable(i.issuer),
        "subject": storable(i.subject),
        "person": storable(i.person),
        "created_at": seconds(i.created_at),
    }


def machine_values(m: Machine) -> Values:
    return {
        "id": storable(m.id),
        "name": storable(m.name),
        "party": storable(m.party),
        "state": m.state.value,
        "created_at": seconds(m.created_at),
        "version": m.version,
    }


def machine_of(row: AnyRow) -> Machine:
    return Machine(
        id=row.id,
        name=row.name,
        party=row.party,
        state=MachineState(row.state),
        created_at=time_of(row.created_at),
        version=row.version,
    )


def grant_values(g: GrantRecord) -> Values:
    return {
        "id": storable(g.id),
        "holder": storable(g.holder),
        "role": g.role.value,
        "scope": json_text(encode_scope(g.scope)),
        "until": seconds(g.until),
        "state": g.state.value,
        "created_by": storable(g.created_by),
        "created_at": seconds(g.created_at),
        "proposal": text_or_none(g.proposal),
        "accepted_at": seconds_or_none(g.accepted_at),
        "ended_at": seconds_or_none(g.ended_at),
        "ended_by": storable(g.ended_by),
        "version": g.version,
    }


def grant_of(row: AnyRow) -> GrantRecord:
    return GrantRecord(
        id=row.id,
        holder=row.holder,
        role=Role(row.role),
        scope=_scope_of(row.scope),
        until=time_of(row.until),
        state=GrantState(row.state),
        created_by=row.created_by,
        created_at=time_of(row.created_at),
        proposal=row.proposal,
        accepted_at=time_or_none(row.accepted_at),
        ended_at=time_or_none(row.ended_at),
        ended_by=row.ended_by,
        version=row.version,
    )


def session_values(s: Session) -> Values:
    return {
        "id": storable(s.id),
        "token_sha256": s.token_sha256,
        "person": storable(s.person),
        "method": storable(s.method),
        "created_at": seconds(s.created_at),
        "expires_at": seconds(s.expires_at),
        "last_seen_at": seconds(s.last_seen_at),
        "stepped_up_at": seconds_or_none(s.stepped_up_at),
        "ended_at": seconds_or_none(s.ended_at),
        "client": storable(s.client),
    }


def session_of(row: AnyRow) -> Session:
    return Session(
        id=row.id,
        token_sha256=bytes(row.token_sha256),
        person=row.person,
        method=row.method,
        created_at=time_of(row.created_at),
        expires_at=time_of(row.expires_at),
        last_seen_at=time_of(row.last_seen_at),
        stepped_up_at=time_or_none(row.stepped_up_at),
        ended_at=time_or_none(row.ended_at),
        client=row.client,
    )


def api_token_values(t: ApiToken) -> Values:
    return {
        "id": storable(t.id),
        "token_sha256": t.token_sha256,
        "name": storable(t.name),
        "grants": json_text([encode_grant(grant) for grant in t.grants]),
        "holder": storable(t.holder),
        "created_by": storable(t.created_by),
        "created_at": seconds(t.created_at),
        "expires_at": seconds(t.expires_at),
        "revoked_at": seconds_or_none(t.revoked_at),
        "parent": text_or_none(t.parent),
        "party": storable(t.party),
    }


def api_token_of(row: AnyRow) -> ApiToken:
    return ApiToken(
        id=row.id,
        token_sha256=bytes(row.token_sha256),
        name=row.name,
        grants=_grants_of(row.grants),
        holder=row.holder,
        created_by=row.created_by,
        created_at=time_of(row.created_at),
        expires_at=time_of(row.expires_at),
        revoked_at=time_or_none(row.revoked_at),
        parent=row.parent,
        party=row.party,
    )


@lru_cache(KNOWN_MAX)
def spaces_of(column: str) -> frozenset[NameSpace]:
    return _decoded(lambda: frozenset(map(parse_name_space, texts_of(column))))


@lru_cache(KNOWN_MAX)
def _grants_of(column: str) -> tuple[Grant, ...]:
    return _decoded(lambda: tuple(map(decode_grant, json.loads(column))))


@lru_cache(KNOWN_MAX)
def _scope_of(column: str) -> Scope:
    return _decoded(lambda: decode_scope(json.loads(column)))


def _decoded(decode: Callable[[], T]) -> T:
    """What we wrote ourselves and cannot read is a damaged database, not a caller's mistake."""
    try:
        return decode()
    except (Refused, ValueError) as error:
        raise Broken(f"a right in the database cannot be read: {error}", hint="restore the last backup") from error
