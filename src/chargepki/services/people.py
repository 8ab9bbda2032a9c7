"""People: who is invited, who they belong to, and how they leave. What they may do is in the grants, how they sign in is elsewhere."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.model import Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.party import parse_username
from chargepki.core.records import (
    PLATFORM_PARTY,
    Account,
    Page,
    PartyId,
    Person,
    PersonId,
    PersonState,
)
from chargepki.core.secret_text import new_secret
from chargepki.errors import Conflict, Finding, NotFound, Refused
from chargepki.ports import (
    AddPerson,
    Change,
    EndSessions,
    EndTokens,
    EraseSubject,
    Ports,
    UpdateAccount,
    UpdateGrant,
    UpdatePerson,
)
from chargepki.services.actors import Actors
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.grants import end_record
from chargepki.services.holders import PERSON_PREFIX, find_live_grants, find_person
from chargepki.services.labels import parse_email, parse_label

INVITATION_PREFIX: Final = "cpin"
INVITATION_OCTETS: Final = 32
INVITATION_HOURS: Final = 72  # over a weekend
INVITATION_HOURS_MAX: Final = 14 * 24
LEAVING_ATTEMPTS_MAX: Final = 5  # a grant that changes while somebody leaves is rare; five in a row are a fault
ERASED: Final = "erased"


class People:
    def __init__(self, ports: Ports, audit: AuditTrail, actors: Actors) -> None:
        self._ports, self._audit, self._actors = ports, audit, actors

    async def invite_person(
        self,
        caller: Caller,
        *,
        username: str,
        display_name: str = "",
        email: str = "",
        party: PartyId = PLATFORM_PARTY,
        valid_hours: int = INVITATION_HOURS,
    ) -> tuple[Person, str]:
        """A person and the secret of their invitation, shown this once: with it they choose their password and second factor."""
        id = PersonId(self._ports.entropy.ulid("per"))
        told = {"username": username, "display_name": display_name, "email": email}
        act = caller.act(
            Permission.ACCESS_ACCOUNT_WRITE,
            _object(id),
            resource=Resource(party=party),
            personal=told,
            subject=id,
            party=party,
            do="invite",
        )
        async with self._audit.act(act) as opened:
            if party != PLATFORM_PARTY:
                await self._ports.store.get_party(party)
            person = Person(
                id,
                _parse_own_username(username),
                party,
                PersonState.INVITED,
                self._ports.clock.now(),
                display_name and parse_label(display_name, path="display_name", code="person.display_name"),
                parse_email(email),
            )
            secret, account = self._invitation(Account(id), valid_hours)
            try:
                await self._ports.store.commit(AddPerson(person, account), opened.done(after_sha256=_digest(person)))
            except Conflict:  # what the store says of it names the person, and the refusal goes into the log
                raise Conflict(Finding("person.username.taken", "somebody has this user name", path="username")) from None
            return person, secret

    async def invite_again(self, caller: Caller, id: PersonId, *, valid_hours: int = INVITATION_HOURS) -> tuple[Person, str]:
        """A fresh secret for somebody who has not taken up the first one, which is void, or has forgotten their password.

        Whoever makes it could use it themselves: for somebody who works here it opens the password alone, never the second factor.
        """
        asked, id = id, await self._id_of(id)
        act = caller.act(Permission.ACCESS_ACCOUNT_WRITE, _object(id), resource=None, do="invite again")
        async with self._audit.act(act) as opened:
            person = await self._get_writable(caller, id, asked)
            opened.check(Resource(party=person.party))
            account = await self._ports.store.get_account(person.id)
            _check_invitable(person, account)
            secret, account = self._invitation(account, valid_hours)
            await self._ports.store.commit(UpdateAccount(account), opened.done())
            return person, secret

    async def get_person(self, caller: Caller, id: PersonId) -> Person:
        """By id, or by user name. Who may see nobody learns of nobody."""
        asked, id = id, await self._id_of(id)
        if caller.actor.person == id:
            return await self._load(id)
        self._audit.check_held(caller, Permission.ACCESS_ACCOUNT_READ)
        person = await self._load(id)
        self._audit.check_visible(caller, Permission.ACCESS_ACCOUNT_READ, Resource(party=person.party), _unknown(asked))
        return person

    async def list_people(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[Person]:
        parties = self._audit.parties_of(caller, Permission.ACCESS_ACCOUNT_READ)
        return await self._ports.store.list_people(parties=parties, cursor=cursor, limit=limit)

    async def offboard_person(self, caller: Caller, id: PersonId) -> Person:
        """Ends their sessions, tokens and grants, and their ways in, in one commit."""
        asked, id = id, await self._id_of(id)
        act = caller.act(Permission.ACCESS_ACCOUNT_WRITE, _object(id), resource=None, do="offboard")
        async with self._audit.act(act) as opened:
            for _ in range(LEAVING_ATTEMPTS_MAX):
                old = await self._get_writable(caller, id, asked)
                opened.check(Resource(party=old.party))
                if old.state is PersonState.OFFBOARDED:
                    raise Conflict(Finding("person.offboarded", f"{id} has left already", path="person"))
                now, new, holder = self._ports.clock.now(), replace(old, state=PersonState.OFFBOARDED), _object(id)
                grants = await find_live_grants(self._ports, holder, now)
                changes: tuple[Change, ...] = (
                    UpdatePerson(new),
                    UpdateAccount(_emptied(await self._ports.store.get_account(id))),
                    EndSessions(id, now),
                    EndTokens(holder, now),
                    *(UpdateGrant(end_record(record, caller.actor.id, now)) for record in grants),
                )
                opened.act.detail["grants_ended"] = str(len(grants))
                try:
                    await self._ports.store.commit(*changes, opened.done(before_sha256=_digest(old), after_sha256=_digest(new)))
                except Conflict:
                    continue
                self._actors.forget(holder)
                return replace(new, version=old.version + 1)
            raise Conflict(Finding("person.busy", f"{id} is being changed by others", hint="try again"))

    async def erase_person(self, caller: Caller, id: PersonId) -> Person:
        """Forgets who somebody was, after they have left. The log keeps that somebody acted; nothing says any more who it was."""
        asked, id = id, await self._id_of(id)
        act = caller.act(Permission.ACCESS_ACCOUNT_WRITE, _object(id), resource=None, do="erase")
        async with self._audit.act(act) as opened:
            old = await self._get_writable(caller, id, asked)
            opened.check(Resource(party=old.party))
            if old.state is not PersonState.OFFBOARDED:
                hint = f"chargepki person offboard {id}"
                raise Refused.because("person.state", f"{id} is {old.state}: erasing comes after leaving", path="person", hint=hint)
            new = replace(old, username=f"{ERASED}-{id.removeprefix('per_').lower()}", display_name="", email="")
            await self._ports.store.commit(UpdatePerson(new), EraseSubject(id), opened.done(after_sha256=_digest(new)))
            return replace(new, version=old.version + 1)

    async def _id_of(self, name: PersonId) -> PersonId:
        """The id of who is named by it or by their user name, which the log must not show."""
        try:
            return (await find_person(self._ports, name)).id
        except NotFound:
            return PersonId(name if name.startswith(PERSON_PREFIX) else "unknown")

    async def _load(self, id: PersonId) -> Person:
        try:
            return await find_person(self._ports, id)
        except NotFound:
            raise _unknown(id) from None

    async def _get_writable(self, caller: Caller, id: PersonId, asked: PersonId) -> Person:
        """Somebody else's people do not exist for this caller: who `asked` by a user name does not hear the id either."""
        person = await self._load(id)
        self._audit.check_visible(caller, Permission.ACCESS_ACCOUNT_WRITE, Resource(party=person.party), _unknown(asked))
        return person

    def _invitation(self, account: Account, valid_hours: int) -> tuple[str, Account]:
        if not 1 <= valid_hours <= INVITATION_HOURS_MAX:
            message = f"an invitation is open for 1 to {INVITATION_HOURS_MAX} hours"
            raise Refused.because("person.invitation.hours", message, path="valid_hours")
        secret = new_secret(INVITATION_PREFIX, self._ports.entropy.octets(INVITATION_OCTETS))
        expires = self._ports.clock.now() + timedelta(hours=valid_hours)
        digest = hashlib.sha256(secret.encode()).digest()
        return secret, replace(account, invitation_sha256=digest, invitation_expires_at=expires)


def _parse_own_username(text: str) -> str:
    """A user name that is not mistaken for an id. The refusal does not repeat it: it goes into the log."""
    try:
        name = parse_username(text)
    except Refused as refusal:
        raise Refused(*(replace(finding, message="this is no user name") for finding in refusal.findings)) from None
    if name.startswith((PERSON_PREFIX, f"{ERASED}-")):
        raise Refused.because("person.username.reserved", "this user name reads like an id", path="username")
    return name


def _check_invitable(person: Person, account: Account) -> None:
    is_new = person.state is PersonState.INVITED
    if is_new or (person.state is PersonState.ACTIVE and account.totp_sealed):
        return
    message = (
        f"{person.id} has left" if person.state is PersonState.OFFBOARDED else f"{person.id} has no second factor of ours to stay behind"
    )
    raise Refused.because("person.state", message, path="person", hint="offboard them, and invite them under a new user name")


def _emptied(account: Account) -> Account:
    """Nobody signs in with it any more."""
    return replace(account, password_hash="", totp_sealed=b"", invitation_sha256=b"", invitation_expires_at=None)


def _object(id: PersonId) -> str:
    return f"person:{id}"


def _unknown(id: PersonId) -> NotFound:
    name = f"person {id}" if id.startswith(PERSON_PREFIX) else "such person"
    return NotFound(Finding("person.unknown", f"there is no {name}", path="person", hint="chargepki person list"))


def _digest(person: Person) -> bytes:
    """Over what is no secret of the person's: a digest of a name can be guessed."""
    value: dict[str, JsonValue] = {"id": person.id, "party": person.party, "state": person.state}
    return hashlib.sha256(canonical_json.encode(value)).digest()
