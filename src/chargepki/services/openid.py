"""Signing in through an OpenID provider: the authorization code flow for browsers, the device flow for terminals.

Nothing is made up for people who are new here: an identity is linked by an administrator, or by the invitation that its first
sign-in brings along. What has to be remembered between two requests travels sealed with the caller, so that any node takes it up.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from chargepki.core import canonical_json
from chargepki.core.access.model import Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Act
from chargepki.core.lockout import clear_failures
from chargepki.core.rates import RateWindow
from chargepki.core.records import ExternalIdentity, Person, PersonId, PersonState, Session, SessionId
from chargepki.core.secret_text import new_secret
from chargepki.errors import Broken, Conflict, Finding, NotAuthenticated, NotFound, Refused, TooMany
from chargepki.ports import AddExternalIdentity, AddSession, Change, Ports, SecretBox, TouchSession, UpdateAccount
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.holders import find_person
from chargepki.services.sessions import NewSession, Sessions, client_of, signing_in
from chargepki.services.sign_in import SignIn, activate, network_of

FLOW_LIVES: Final = timedelta(minutes=10)  # time to type a password and a code at the provider
HANDLE_CHARS_MAX: Final = 3500  # a cookie has 4 KiB with its name and its attributes (RFC 6265 6.1)
CODE_CHARS_MAX: Final = 2048
RANDOM_OCTETS: Final = 32  # RFC 7636 4.1: 43 characters
STEP_UP_LEEWAY: Final = timedelta(seconds=60)  # the provider's clock and ours
AUTH_AGE_SECONDS: Final = 12 * 3600  # asked for, so that the provider says when it last saw the person (OpenID Core 3.1.2.1)
STARTS_PER_ADDRESS_MAX: Final = 20  # a minute
STARTS_MAX: Final = 120  # a minute, of everybody: the provider shall not suffer for our strangers
POLL_SECONDS: Final = 2.0
POLLS_MAX: Final = 10_000  # device flows under way, remembered for their pace
_CONTEXT: Final = "openid-flow"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a verified ID token says. `username` is for people to read. `authenticated_at` None: the provider did not say."""

    issuer: str
    subject: str
    username: str
    is_mfa: bool
    authenticated_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """An answer of the device authorization endpoint (RFC 8628 3.2)."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_seconds: int
    interval_seconds: int


class OpenIdProvider(Protocol):
    """One provider. Raises `NotAuthenticated` for what it refuses or what its answers lack, `Broken` when it cannot be reached."""

    @property
    def title(self) -> str: ...
    @property
    def issuer(self) -> str: ...

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str, max_age: int) -> str: ...

    async def redeem_code(self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str) -> Identity:
        """`issuer` is the authorization response's `iss` (RFC 9207), "" where there was none."""
        ...

    async def start_device(self) -> DeviceCode: ...

    async def redeem_device_code(self, device_code: str) -> Identity | None:
        """None: the person has not answered yet."""
        ...


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send the browser, and what it has to bring back."""

    url: str
    handle: str


@dataclass(frozen=True, slots=True)
class DeviceStart:
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_seconds: int
    interval_seconds: int
    handle: str


@dataclass(frozen=True, slots=True)
class Return:
    """What the provider sent the browser back with (RFC 6749 4.1.2, RFC 9207)."""

    state: str
    code: str = ""
    issuer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Flow:
    """A sign-in under way, sealed. Times are seconds since 1970."""

    provider: str
    started: int
    until: int
    state: str = ""
    nonce: str = ""
    verifier: str = ""
    device_code: str = ""
    invitation: str = ""
    session: str = ""  # a step-up: the session it is for


class OpenId:
    """`callback_url` is the one redirect URI of a provider: exactly this is registered there."""

    def __init__(
        self,
        ports: Ports,
        audit: AuditTrail,
        sessions: Sessions,
        local: SignIn,
        box: SecretBox,
        providers: Mapping[str, OpenIdProvider],
        callback_url: Callable[[str], str],
    ) -> None:
        self._ports, self._audit, self._sessions, self._local, self._box = ports, audit, sessions, local, box
        self._providers, self._callback_url = dict(providers), callback_url
        self._by_address = RateWindow(limit=STARTS_PER_ADDRESS_MAX, seconds=60, keys_max=10_000)
        self._all = RateWindow(limit=STARTS_MAX, seconds=60, keys_max=1)
        self._polls = RateWindow(limit=1, seconds=POLL_SECONDS, keys_max=POLLS_MAX)

    def providers(self) -> tuple[tuple[str, str], ...]:
        """Name and title of each, in the order of the configuration."""
        return tuple((name, provider.title) for name, provider in self._providers.items())

    async def depart(self, caller: Caller, provider: str, *, invitation: str = "", session: Session | None = None) -> Departure:
        """The way to the provider. With `session`, for a fresh proof of the second factor (`max_age=0`)."""
        asked = self._get(provider)
        self._check_rate(caller)
        state, nonce, verifier = (self._random() for _ in range(3))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()  # RFC 7636 4.2
        max_age = AUTH_AGE_SECONDS if session is None else 0
        url = await asked.authorization_url(
            redirect_uri=self._callback_url(provider), state=state, nonce=nonce, challenge=challenge, max_age=max_age
        )
        flow = self._flow(
            provider, state=state, nonce=nonce, verifier=verifier, invitation=invitation, session=session.id if session else ""
        )
        return Departure(url, self._seal(flow))

    async def arrive(self, caller: Caller, provider: str, *, handle: str, back: Return, agent: str = "") -> NewSession | Session:
        """A new session; or, after a step-up, the one it was started for. The browser's strict cookie does not come along from the
        provider's page, so what tells the session is the sealed flow, which only the browser that had the cookie was handed."""
        self._local.check_rate(caller)
        asked, flow = self._get(provider), self._open(handle)
        if flow is None or flow.provider != provider or not flow.state or not hmac.compare_digest(flow.state.encode(), back.state.encode()):
            raise self._lost(caller, "this sign-in was not started in this browser, or took too long")
        if back.error or not 0 < len(back.code) <= CODE_CHARS_MAX:
            raise self._lost(caller, "the provider did not sign you in" + (f" ({_word(back.error)})" if back.error else ""))
        redirect_uri = self._callback_url(provider)
        identity = await asked.redeem_code(
            code=back.code, redirect_uri=redirect_uri, verifier=flow.verifier, nonce=flow.nonce, issuer=back.issuer
        )
        if flow.session:
            return await self._step_up(caller, flow, identity)
        return await self._sign_in(caller, flow, identity, agent)

    async def link_identity(self, caller: Caller, id: PersonId, *, issuer: str, subject: str) -> ExternalIdentity:
        """An administrator's word that this person (by id, or by user name) is that subject of a configured provider. `Conflict` when
        the subject is linked already."""
        missing = NotFound(Finding("person.unknown", f"there is no person {id}", hint="chargepki person list"))
        self._audit.check_held(caller, Permission.ACCESS_ACCOUNT_WRITE)
        try:
            person = await find_person(self._ports, id)
        except NotFound:
            raise missing from None
        self._audit.check_visible(caller, Permission.ACCESS_ACCOUNT_WRITE, Resource(party=person.party), missing)
        id = person.id
        act = caller.act(
            Permission.ACCESS_ACCOUNT_WRITE,
            f"person:{id}",
            resource=Resource(party=person.party),
            personal={"identity": subject},
            subject=id,
            do="link identity",
            issuer=issuer,
        )
        async with self._audit.act(act) as opened:
            if issuer not in {provider.issuer for provider in self._providers.values()}:
                known = ", ".join(provider.issuer for provider in self._providers.values()) or "none"
                hint = f"known: {known}; [[sign_in.oidc]] in the configuration names them"
                raise Refused.because("sign_in.issuer", "no OpenID provider of this issuer is configured", path="issuer", hint=hint)
            self._check_linkable(person)
            identity = ExternalIdentity(issuer, subject, id, self._ports.clock.now())
            account = await self._ports.store.get_account(id)
            used = replace(account, invitation_sha256=b"", invitation_expires_at=None)  # this is their way in now, and the only one
            spent = () if used == account else (UpdateAccount(used),)
            try:
                await self._ports.store.commit(AddExternalIdentity(identity), *spent, *activate(person), opened.done())
            except Conflict:
                raise _taken() from None
            return identity

    async def start_device(self, caller: Caller, provider: str, *, invitation: str = "") -> DeviceStart:
        """A code for the person to type at the provider's page (RFC 8628)."""
        asked = self._get(provider)
        self._check_rate(caller)
        code = await asked.start_device()
        lives = min(code.expires_seconds, int(FLOW_LIVES.total_seconds()))
        handle = self._seal(self._flow(provider, device_code=code.device_code, invitation=invitation))
        return DeviceStart(code.user_code, code.verification_uri, code.verification_uri_complete, lives, code.interval_seconds, handle)

    async def finish_device(self, caller: Caller, *, handle: str, agent: str = "") -> NewSession | None:
        """The session; None while the person has not answered."""
        self._local.check_rate(caller)
        flow = self._open(handle)
        if flow is None or not flow.device_code:
            raise self._lost(caller, "this sign-in has expired, or is none of ours")
        pace, now = hashlib.sha256(flow.device_code.encode()).hexdigest(), asyncio.get_running_loop().time()
        if self._polls.retry_after(pace, now):
            return None
        self._polls.note(pace, now)
        identity = await self._get(flow.provider).redeem_device_code(flow.device_code)
        return None if identity is None else await self._sign_in(caller, flow, identity, agent)

    # -------------------------------------------------------------------------------------------------------------- inside

    async def _sign_in(self, caller: Caller, flow: _Flow, identity: Identity, agent: str) -> NewSession:
        person = await self._ports.store.lookup_person_by_identity(identity.issuer, identity.subject)
        account = None if person is not None or not flow.invitation else await self._local.lookup_invited(flow.invitation)
        if account is not None:
            found = await self._ports.store.get_person(account.person)
            person = found if found.state is PersonState.INVITED else None  # for who works here it opens the password alone
        act = _act(caller, person, "identity linked" if account else "signed in", identity)
        async with self._audit.act(act, stranger=network_of(caller.remote)) as opened:
            if person is None or person.state is PersonState.OFFBOARDED:
                self._local.note_failure(caller)
                raise _unknown(identity) if not flow.invitation else self._local.wrong_invitation(caller)
            linked: tuple[Change, ...] = ()
            if account is not None:
                used = clear_failures(replace(account, invitation_sha256=b"", invitation_expires_at=None))
                now = self._ports.clock.now()
                link = AddExternalIdentity(ExternalIdentity(identity.issuer, identity.subject, person.id, now))
                linked = (link, UpdateAccount(used), *activate(person))
            new = self._sessions.plan(
                person, method=f"oidc:{identity.issuer}", client=client_of(caller, agent), stepped_up_at=self._proved_at(identity)
            )
            try:
                await self._ports.store.commit(*linked, AddSession(new.session), opened.done())
            except Conflict:
                raise _taken() from None
            return new

    async def _step_up(self, caller: Caller, flow: _Flow, identity: Identity) -> Session:
        session = await self._sessions.get_live_by_id(SessionId(flow.session))
        person = await self._ports.store.lookup_person_by_identity(identity.issuer, identity.subject)
        async with self._audit.act(_act(caller, person, "stepped up", identity), stranger=network_of(caller.remote)) as opened:
            if person is None or person.id != session.person:
                raise self._lost(caller, "the provider answered for somebody else")
            proved_at, started = self._proved_at(identity), datetime.fromtimestamp(flow.started, tz=self._ports.clock.now().tzinfo)
            if proved_at is None or proved_at < started - STEP_UP_LEEWAY:
                raise self._lost(caller, "the provider did not ask for a second factor again")
            await self._ports.store.commit(TouchSession(session.id, self._ports.clock.now(), proved_at), opened.done())
        self._sessions.forget()
        return replace(session, stepped_up_at=proved_at)

    def _check_linkable(self, person: Person) -> None:
        """Whoever links an identity can sign in with it: to somebody who works here it would be a second self, with a second factor."""
        if person.state is PersonState.OFFBOARDED:
            raise Refused.because("person.state", f"{person.id} has left", path="person")
        if person.state is PersonState.ACTIVE and not self._audit.policy.is_development:
            hint = "link before they take up their invitation; or offboard them, and invite them under a new user name"
            raise Refused.because("person.state", f"{person.id} signs in already: nobody adds a way for them", path="person", hint=hint)

    def _proved_at(self, identity: Identity) -> datetime | None:
        """When the second factor was shown: at the provider, not here. Without a time it counts as old."""
        if not identity.is_mfa or identity.authenticated_at is None:
            return None
        return min(identity.authenticated_at, self._ports.clock.now())

    def _get(self, name: str) -> OpenIdProvider:
        try:
            return self._providers[name]
        except KeyError:
            known = ", ".join(self._providers) or "none: [[sign_in.oidc]] in the configuration names them"
            raise NotFound(Finding("sign_in.provider", "there is no such OpenID provider", hint=f"known: {known}")) from None

    def _check_rate(self, caller: Caller) -> None:
        now, network = asyncio.get_running_loop().time(), network_of(caller.remote)
        if seconds := max(self._by_address.retry_after(network, now), self._all.retry_after("", now)):
            raise TooMany(Finding("sign_in.too_many", "too many sign-ins were started", hint=f"wait {seconds} s"), retry_after=seconds)
        self._by_address.note(network, now)
        self._all.note("", now)

    def _random(self) -> str:
        return new_secret("o", self._ports.entropy.octets(RANDOM_OCTETS))

    def _flow(self, provider: str, **given: str) -> _Flow:
        now = self._ports.clock.now()
        return _Flow(provider, int(now.timestamp()), int((now + FLOW_LIVES).timestamp()), **given)

    def _seal(self, flow: _Flow) -> str:
        handle = base64.urlsafe_b64encode(self._box.seal(canonical_json.encode(asdict(flow)), _CONTEXT)).decode()
        if len(handle) > HANDLE_CHARS_MAX:
            raise Broken("the OpenID provider's device code is longer than any that is known", hint="report this")
        return handle

    def _open(self, handle: str) -> _Flow | None:
        if not 0 < len(handle) <= HANDLE_CHARS_MAX:
            return None
        try:
            flow = _Flow(**json.loads(self._box.open(base64.urlsafe_b64decode(handle), _CONTEXT)))
        except (Broken, ValueError, TypeError):  # changed, or another version's
            return None
        return flow if flow.until > self._ports.clock.now().timestamp() else None

    def _lost(self, caller: Caller, message: str) -> NotAuthenticated:
        self._local.note_failure(caller)
        return NotAuthenticated(Finding("sign_in.openid.refused", message, hint="start again: chargepki login --oidc, or the sign-in page"))


def _act(caller: Caller, person: Person | None, event: str, identity: Identity) -> Act:
    id = None if person is None else PersonId(person.id)
    return replace(caller, actor=signing_in(id)).act(
        Permission.ACCESS_SESSION_CREATE,
        f"person:{id or 'unknown'}",
        resource=Resource(party="" if person is None else person.party),
        personal={"identity": identity.subject, "username": identity.username},
        subject=id or "",
        event=event,
        method=f"oidc:{identity.issuer}",
    )


def _taken() -> Conflict:
    """In our words: what the store says of it names the subject, and the refusal goes into the log."""
    return Conflict(
        Finding("sign_in.identity.taken", "this identity was linked already, or the person was changed meanwhile", hint="look again")
    )


def _unknown(identity: Identity) -> NotAuthenticated:
    hint = (
        f"ask your administrator to link subject {identity.subject!r} ({identity.username}) of {identity.issuer} to you: chargepki account "
        "link; or bring your invitation: chargepki login --oidc --invitation"
    )
    return NotAuthenticated(Finding("sign_in.identity.unknown", "the provider knows you, this platform does not yet", hint=hint))


def _word(text: str) -> str:
    """An error code of RFC 6749 4.1.2.1, and nothing else that somebody put there."""
    return text if len(text) <= 64 and all(c.isascii() and (c.isalnum() or c in "_-") for c in text) else "unreadable"
