"""People's sessions: a bearer secret, twelve hours at most, one hour idle, listed and ended by whoever may."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.model import Actor, ActorKind, Assurance, Grant, Resource, Role
from chargepki.core.access.permissions import Permission
from chargepki.core.records import Page, Person, PersonId, Session, SessionId
from chargepki.core.secret_text import new_secret
from chargepki.errors import Broken, Finding, NotAuthenticated, NotAuthorised, NotFound
from chargepki.ports import EndSession, EndSessions, Ports, TouchSession
from chargepki.services.actors import Actors
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.scoping import missing

PREFIX: Final = "cpss"
SECRET_OCTETS: Final = 32
LIVES: Final = timedelta(hours=12)  # a working day (NIST SP 800-63B-4 2.2.3)
IDLE: Final = timedelta(hours=1)
STEPPED_UP: Final = timedelta(minutes=15)  # how long a second factor counts as fresh
TOUCHED_EVERY: Final = timedelta(minutes=1)  # a write per minute of use, not per request
KNOWN_MAX: Final = 1_000  # sessions held in memory
CLIENT_CHARS_MAX: Final = 200  # of a user agent and an address
_UNKNOWN: Final = "person:unknown"


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was opened, and its secret, which is shown this once."""

    session: Session
    person: Person
    secret: str


class Sessions:
    def __init__(self, ports: Ports, audit: AuditTrail, actors: Actors) -> None:
        self._ports, self._audit, self._actors = ports, audit, actors
        self._known: dict[bytes, tuple[Session, datetime]] = {}

    async def authenticate(self, secret: str) -> Actor:
        """Who a session's secret speaks for. What was ended here has ended at once, what another node ended within a second."""
        session = await self.get_live(secret)
        return await self._actors.of_person(session.person, assurance=assurance_of(session, self._ports.clock.now()))

    async def get_live(self, secret: str) -> Session:
        """The session of this secret; `NotAuthenticated` when it is unknown or has ended."""
        digest, now = digest_of(secret), self._ports.clock.now()
        session = await self._find(digest, now)
        if session is None:
            raise _not_signed_in("unknown", "this session is unknown")
        _check_lives(session, now)
        if now - session.last_seen_at >= TOUCHED_EVERY:
            session = await self._touch(digest, session, now)
        return session

    async def get_live_by_id(self, id: SessionId) -> Session:
        """For whoever has proved otherwise that the session is theirs."""
        session = await self._ports.store.get_session(id)
        _check_lives(session, self._ports.clock.now())
        return session

    def plan(self, person: Person, *, method: str, client: str, stepped_up_at: datetime | None) -> NewSession:
        """A session to be added together with whatever proves it."""
        secret, now = new_secret(PREFIX, self._ports.entropy.octets(SECRET_OCTETS)), self._ports.clock.now()
        session = Session(
            SessionId(self._ports.entropy.ulid("ses")),
            digest_of(secret),
            person.id,
            method,
            now,
            now + LIVES,
            now,
            stepped_up_at,
            client=client[:CLIENT_CHARS_MAX],
        )
        return NewSession(session, person, secret)

    async def list(self, caller: Caller, person: PersonId | None = None, *, cursor: str = "", limit: int = 50) -> Page[Session]:
        """The live sessions of a person, one's own unless said; newest first. `NotFound` for people whom the caller may not see."""
        asked = person or own_person(caller)
        if caller.actor.id != f"person:{asked}":
            self._audit.check_held(caller, Permission.ACCESS_SESSION_READ)
            found = await self._ports.store.get_person(asked)
            unseen = missing("person", asked, "person")
            self._audit.check_visible(caller, Permission.ACCESS_SESSION_READ, Resource(party=found.party), unseen)
        return await self._ports.store.list_sessions(person=asked, is_live_at=self._ports.clock.now(), cursor=cursor, limit=limit)

    async def end(self, caller: Caller, id: SessionId) -> None:
        """Ends a session: one's own, or another's with `access:session:revoke`. It ends at once."""
        session = await self._lookup(id)
        if session is not None and caller.actor.id == f"person:{session.person}":
            act, action = replace(caller, actor=signing_in(session.person)), Permission.ACCESS_SESSION_CREATE
        else:
            act, action = caller, Permission.ACCESS_SESSION_REVOKE
            self._audit.check_held(caller, action)  # who may end nobody's learns nothing of this one
        unseen = missing("session", id, "session")
        if session is None:
            raise unseen
        person = await self._ports.store.get_person(session.person)
        if act is caller:
            self._audit.check_visible(caller, Permission.ACCESS_SESSION_REVOKE, Resource(party=person.party), unseen)
        entry = act.act(action, f"session:{id}", resource=Resource(party=person.party), subject=person.id, event="ended")
        async with self._audit.act(entry) as opened:
            await self._ports.store.commit(EndSession(id, self._ports.clock.now()), opened.done())
        self._known.clear()

    async def end_all(self, caller: Caller, id: PersonId) -> None:
        """Ends every session of another person (`access:session:revoke`): the first thing to do about a stolen computer."""
        self._audit.check_held(caller, Permission.ACCESS_SESSION_REVOKE)
        person = await self._ports.store.get_person(id)
        unseen = missing("person", id, "person")
        self._audit.check_visible(caller, Permission.ACCESS_SESSION_REVOKE, Resource(party=person.party), unseen)
        resource = Resource(party=person.party)
        entry = caller.act(Permission.ACCESS_SESSION_REVOKE, f"person:{id}", resource=resource, subject=id, event="all sessions ended")
        async with self._audit.act(entry) as opened:
            await self._ports.store.commit(EndSessions(id, self._ports.clock.now()), opened.done())
        self._known.clear()

    def forget(self) -> None:
        """After a change of somebody's sessions by another use case."""
        self._known.clear()

    async def _lookup(self, id: SessionId) -> Session | None:
        try:
            return await self._ports.store.get_session(id)
        except NotFound:
            return None

    async def _find(self, digest: bytes, now: datetime) -> Session | None:
        """Read once per session and second, like a token."""
        known, read_at = self._known.get(digest, (None, None))
        if known is not None and read_at == now:
            return known
        session = await self._ports.store.lookup_session(digest)
        if session is not None:
            self._keep(digest, session, now)
        return session

    async def _touch(self, digest: bytes, session: Session, now: datetime) -> Session:
        with suppress(Broken):  # a store that cannot write: the session falls idle sooner, and reading goes on
            await self._ports.store.commit(TouchSession(session.id, now))
        touched = replace(session, last_seen_at=now)
        self._keep(digest, touched, now)
        return touched

    def _keep(self, digest: bytes, session: Session, now: datetime) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[digest] = (session, now)


def digest_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def assurance_of(session: Session, now: datetime) -> Assurance:
    """MFA while the proof of the second factor is fresh; a password, or a stale proof, is no more than a bearer secret."""
    is_fresh = session.stepped_up_at is not None and now - session.stepped_up_at < STEPPED_UP
    return Assurance.MFA if is_fresh else Assurance.TOKEN


def signing_in(person: PersonId | None) -> Actor:
    """Somebody who is about to prove who they are, or looks after their own account: nothing else is allowed to them."""
    grant = Grant("sign-in", Role.SELF, narrowed_to=frozenset({Permission.ACCESS_SESSION_CREATE.value}))
    return Actor(f"person:{person}" if person else _UNKNOWN, ActorKind.PERSON, (grant,), person or "")


def own_person(caller: Caller) -> PersonId:
    """The person whose session this is. A token is no session: it never touches its holder's account."""
    actor = caller.actor
    if not actor.person or actor.id != f"person:{actor.person}":
        raise NotAuthorised(Finding("sign_in.session.needed", "this is for people who are signed in", hint="chargepki login"))
    return PersonId(actor.person)


def client_of(caller: Caller, agent: str) -> str:
    """What a session remembers of where it was opened."""
    shown = "".join(c for c in agent if c.isprintable())
    return f"{caller.remote} {shown}".strip()[:CLIENT_CHARS_MAX]


def _check_lives(session: Session, now: datetime) -> None:
    if session.ended_at is not None:
        raise _not_signed_in("ended", "this session was ended")
    if now >= session.expires_at or now - session.last_seen_at >= IDLE:
        raise _not_signed_in("expired", "this session has expired")


def _not_signed_in(slug: str, message: str) -> NotAuthenticated:
    return NotAuthenticated(Finding(f"sign_in.session.{slug}", message, hint="chargepki login"))
