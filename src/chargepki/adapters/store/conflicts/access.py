"""Parties, people, machines, their rights, sessions and tokens."""

from sqlalchemy import Connection

from chargepki.adapters.store import schema
from chargepki.adapters.store.conflicts.wording import Explain, changed, conflict, ended, find, id_exists
from chargepki.adapters.store.rows.values import Values
from chargepki.adapters.store.schema.access import NARROWED_MAX
from chargepki.errors import Conflict


def party_exists(connection: Connection, values: Values) -> Conflict:
    if find(connection, schema.party, schema.party.c.id == values["id"]):
        return conflict("store.party.exists", f"there is a party {values['id']} already", "choose another id, or change that party")
    return party_name_taken(connection, values)


def party_name_taken(_: Connection, values: Values) -> Conflict:
    return conflict("store.party.name.exists", f"there is a party called {values['name']} already", "names are given once: choose another")


def person_exists(connection: Connection, values: Values) -> Conflict:
    if find(connection, schema.person, schema.person.c.id == values["id"]):
        return conflict("store.person.exists", f"the person {values['id']} exists already", "make a fresh id")
    return username_taken(connection, values)


def username_taken(_: Connection, values: Values) -> Conflict:
    return conflict("store.person.username.exists", f"the user name {values['username']} is taken", "choose another user name")


def account_exists(connection: Connection, values: Values) -> Conflict:
    if find(connection, schema.account, schema.account.c.person == values["person"]):
        return conflict("store.account.exists", f"{values['person']} has an account already", "change that account")
    return invitation_taken(connection, values)


def invitation_taken(_: Connection, values: Values) -> Conflict:
    return conflict("store.account.invitation.exists", f"the invitation of {values['person']} was given out before", "make a fresh one")


def identity_linked(_: Connection, values: Values) -> Conflict:
    return conflict("store.identity.linked", f"this account of {values['issuer']} is linked to a person already", "unlink it there first")


def machine_exists(connection: Connection, values: Values) -> Conflict:
    if find(connection, schema.machine, schema.machine.c.id == values["id"]):
        return conflict("store.machine.exists", f"the machine {values['id']} exists already", "make a fresh id")
    return machine_name_taken(connection, values)


def machine_name_taken(_: Connection, values: Values) -> Conflict:
    owner = values["party"] or "the platform"
    return conflict("store.machine.name.exists", f"{owner} has a machine called {values['name']} already", "choose another name")


def session_exists(_: Connection, values: Values) -> Conflict:
    message = f"there is a session {values['id']}, or one with the same secret, already"
    return conflict("store.session.exists", message, "make a fresh one")


def api_token_exists(_: Connection, values: Values) -> Conflict:
    return conflict("store.token.exists", f"there is a token {values['id']}, or one with the same secret, already", "make a fresh token")


def token_not_narrowed(connection: Connection, values: Values) -> Conflict:
    """The token to be narrowed is not there any more, or stands at the end of a chain of them."""
    row = find(connection, schema.api_token, schema.api_token.c.id == values["parent"])
    if row is None:
        return conflict("store.token.unknown", f"there is no token {values['parent']}", "list them: chargepki token list")
    if row.revoked_at is not None:
        return conflict("store.token.revoked", f"the token {row.id} was revoked: none can be narrowed from it", "use another token")
    if row.depth < NARROWED_MAX:
        return api_token_exists(connection, values)
    message = f"the token {row.id} was narrowed {row.depth} times, and no token is narrowed more often"
    return conflict("store.token.depth", message, "narrow one of those that it came from")


def api_token_unrevokable(connection: Connection, values: Values) -> Conflict:
    if find(connection, schema.api_token, schema.api_token.c.id == values["id"]):
        return conflict("store.token.revoked", f"the token {values['id']} was revoked already", "nothing is left to do")
    return conflict("store.token.unknown", f"there is no token {values['id']}", "list them: chargepki token list")


party_changed: Explain = changed(schema.party, "party", "list them: chargepki party list", party_name_taken)
person_changed: Explain = changed(schema.person, "person", "list them: chargepki person list", username_taken)
account_changed: Explain = changed(schema.account, "account", "only people who sign in here have one", invitation_taken)
machine_changed: Explain = changed(schema.machine, "machine", "list them: chargepki machine list", machine_name_taken)
grant_exists: Explain = id_exists("grant")
grant_changed: Explain = changed(schema.grant_record, "grant", "list them: chargepki grant list")
session_ended: Explain = ended(schema.session, "session", "list them: chargepki session list")
