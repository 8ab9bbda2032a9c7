"""Local accounts: a password (Argon2id), a one-time code (RFC 6238), and a lock against guessing.

Whoever signs in wrongly hears the same words after the same work: whether the user exists, whether the password or the code was
wrong, whether the account is locked. The trail has the difference.
"""

import asyncio
import base64
import hashlib
import ipaddress
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core import canonical_json, totp
from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import Assurance, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Act
from chargepki.core.identifiers.party import parse_username
from chargepki.core.lockout import clear_failures, is_locked, note_failure
from chargepki.core.password_policy import LENGTH_MAX, find_password_faults, normalize_password
from chargepki.core.rates import RateWindow
from chargepki.core.records import Account, Person, PersonId, PersonState, Session
from chargepki.errors import Broken, Conflict, Finding, NeedsStepUp, NotAuthenticated, Refused, TooMany, refuse_errors
from chargepki.ports import AddSession, Change, EndSessions, Ports, SecretBox, TouchSession, UpdateAccount, UpdatePerson
from chargepki.services.audit import AuditTrail, Caller, OpenAct
from chargepki.services.password_checks import PasswordChecks
from chargepki.services.sessions import NewSession, Sessions, assurance_of, client_of, own_person, signing_in

LOCAL: Final = "local"  # a session's method
ISSUER: Final = "ChargePKI"  # as an authenticator app shows it
INVITATION_CHARS_MAX: Final = 128
HANDLE_CHARS_MAX: Final = 2048
ENROLMENT_LIVES: Final = timedelta(minutes=15)  # time to find the telephone
ATTEMPTS_MAX: Final = 5  # writers of one account at once: its owner, and a guesser or two
# A room full of people behind one address mistypes less often; more is a guesser.
FAILURES_PER_ADDRESS_MAX: Final = 20
FAILURE_SECONDS: Final = 300.0
# A failure of somebody who exists is written down, one of nobody is not: neither is answered sooner than this.
ANSWER_SECONDS_MIN: Final = 0.15
ADDRESSES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A second factor to be confirmed. `secret` and `uri` are shown this once; `handle` comes back with the first code."""

    secret: str
    uri: str
    handle: str


class SignIn:
    def __init__(self, ports: Ports, audit: AuditTrail, sessions: Sessions, box: SecretBox) -> None:
        self._ports, self._audit, self._sessions, self._box = ports, audit, sessions, box
        self._checks = PasswordChecks(ports.entropy)
        self._failures = RateWindow(limit=FAILURES_PER_ADDRESS_MAX, seconds=FAILURE_SECONDS, keys_max=ADDRESSES_MAX)

    async def with_password(self, caller: Caller, *, username: str, password: str, code: str = "", agent: str = "") -> NewSession:
        """A session. With a `code` it is as sure as two factors are, without one no surer than a token."""
        self.check_rate(caller)
        loop = asyncio.get_running_loop()
        earliest = loop.time() + ANSWER_SECONDS_MIN
        try:
            return await self._with_password(caller, username, password, code, agent)
        except NotAuthenticated:
            await asyncio.sleep(max(0.0, earliest - loop.time()))
            raise

    async def redeem_invitation(self, caller: Caller, *, invitation: str, password: str, code: str = "", agent: str = "") -> NewSession:
        """Sets the password of the invited person and signs them in; who has a second factor shows it, so that whoever made the
        invitation cannot read what this person may. All that was signed in before is not any more."""
        self.check_rate(caller)
        account = await self.lookup_invited(invitation)
        person = None if account is None else await self._ports.store.get_person(account.person)
        act = _act(caller, person, "invitation taken up", method=LOCAL)
        async with self._audit.act(act, stranger=network_of(caller.remote)) as opened:
            if account is None or person is None or not may_take_up(person, account):
                raise self.wrong_invitation(caller)
            chosen, now = await self._hash_chosen(password, person), self._ports.clock.now()
            used = replace(account, invitation_sha256=b"", invitation_expires_at=None)
            proved = await self._prove_own_invitation(caller, used, code, now)
            taken = clear_failures(replace(proved, password_hash=chosen))
            stepped_up_at = now if account.totp_sealed else None
            new = self._sessions.plan(person, method=LOCAL, client=client_of(caller, agent), stepped_up_at=stepped_up_at)
            ended = EndSessions(person.id, now)
            await self._ports.store.commit(*activate(person), UpdateAccount(taken), ended, AddSession(new.session), opened.done())
        self._sessions.forget()
        return new

    async def step_up(self, caller: Caller, *, secret: str, code: str) -> Session:
        """A fresh second factor for a session that stands. `Refused` where there is none to ask for."""
        self.check_rate(caller)
        session, person = await self._own(caller, secret)
        async with self._audit.act(_act(caller, person, "stepped up", method=LOCAL)) as opened:
            if not (await self._ports.store.get_account(person.id)).totp_sealed:
                hint = "chargepki account totp sets one up; with an OpenID provider: chargepki login --oidc"
                raise Refused.because("sign_in.totp.missing", "this account has no second factor here", hint=hint)
            stepped = replace(session, stepped_up_at=self._ports.clock.now())
            touch = TouchSession(session.id, self._ports.clock.now(), stepped.stepped_up_at)
            await self._prove(opened, caller, person, None, code, touch)
        self._sessions.forget()
        return stepped

    async def set_password(self, caller: Caller, *, secret: str, password: str, new_password: str, code: str = "") -> None:
        """Changes the caller's own password. Every session of theirs ends, this one too."""
        self.check_rate(caller)
        _, person = await self._own(caller, secret)
        async with self._audit.act(_act(caller, person, "password changed", method=LOCAL)) as opened:
            account = await self._ports.store.get_account(person.id)
            is_right = await self._checks.is_right(normalize_password(password[: LENGTH_MAX + 1]), account.password_hash)
            chosen = await self._hash_chosen(new_password, person) if is_right else ""
            if account.totp_sealed and not code:
                raise _needs_code()
            ended = EndSessions(person.id, self._ports.clock.now())
            await self._prove(opened, caller, person, account.password_hash if is_right else "", code, ended, password_hash=chosen)
        self._sessions.forget()

    async def offer_totp(self, caller: Caller, *, secret: str) -> TotpOffer:
        """A fresh secret for an authenticator app. Nothing is kept before the first code proves that the app has it."""
        _, person = await self._own(caller, secret)
        key, until = self._ports.entropy.octets(totp.SECRET_OCTETS), self._ports.clock.now() + ENROLMENT_LIVES
        plain = canonical_json.encode({"key": key.hex(), "until": int(until.timestamp())})
        handle = base64.urlsafe_b64encode(self._box.seal(plain, f"totp-offer:{person.id}")).decode()
        return TotpOffer(totp.spell_secret(key), totp.spell_uri(key, username=person.username, issuer=ISSUER), handle)

    async def enrol_totp(self, caller: Caller, *, secret: str, password: str, handle: str, code: str) -> None:
        """Takes up the offered second factor. Needs the password; and where there was a factor before, a fresh proof of it."""
        self.check_rate(caller)
        session, person = await self._own(caller, secret)
        async with self._audit.act(_act(caller, person, "second factor set up", method=LOCAL)) as opened:
            account, now = await self._ports.store.get_account(person.id), self._ports.clock.now()
            if account.totp_sealed and assurance_of(session, now) < Assurance.MFA:
                raise _needs_code()
            is_right = await self._checks.is_right(normalize_password(password[: LENGTH_MAX + 1]), account.password_hash)
            key = self._open_offer(person.id, handle, now)
            step = totp.find_step(key, code, now, after=0)
            if step is None:
                raise Refused.because("sign_in.totp.code", "this is not the code of the new secret", hint="is the telephone's clock right?")
            sealed = self._box.seal(key, totp_context(person.id))
            touch = TouchSession(session.id, now, now)
            phc = account.password_hash if is_right else ""
            await self._prove(opened, caller, person, phc, "", touch, totp_sealed=sealed, totp_step=step)
        self._sessions.forget()

    # --------------------------------------------------------------------------------------------------- shared with OpenID

    def check_rate(self, caller: Caller) -> None:
        """`TooMany` for an address that failed too often."""
        if seconds := self._failures.retry_after(network_of(caller.remote), asyncio.get_running_loop().time()):
            finding = Finding("sign_in.too_many", "too many failures from this address", hint=f"wait {seconds} seconds")
            raise TooMany(finding, retry_after=seconds)

    def note_failure(self, caller: Caller) -> None:
        self._failures.note(network_of(caller.remote), asyncio.get_running_loop().time())

    async def lookup_invited(self, invitation: str) -> Account | None:
        """The account that an invitation opens, while it does."""
        if not invitation or len(invitation) > INVITATION_CHARS_MAX:
            return None
        account = await self._ports.store.lookup_account_by_invitation(hashlib.sha256(invitation.encode()).digest())
        if account is None or account.invitation_expires_at is None or account.invitation_expires_at <= self._ports.clock.now():
            return None
        return account

    def wrong_invitation(self, caller: Caller) -> NotAuthenticated:
        self.note_failure(caller)
        hint = "ask your administrator for a new one"
        return NotAuthenticated(Finding("sign_in.invitation", "this invitation is unknown, used, or has expired", hint=hint))

    # -------------------------------------------------------------------------------------------------------------- inside

    async def _with_password(self, caller: Caller, username: str, password: str, code: str, agent: str) -> NewSession:
        person = await self._lookup(username)
        act = _act(caller, person, "signed in", method=LOCAL, username=username)
        async with self._audit.act(act, stranger=network_of(caller.remote)) as opened:
            phc = "" if person is None else (await self._ports.store.get_account(person.id)).password_hash
            is_right = await self._checks.is_right(normalize_password(password[: LENGTH_MAX + 1]), phc)
            if person is None or person.state is not PersonState.ACTIVE:
                raise self._wrong(caller)
            return await self._open_session(opened, caller, person, phc if is_right else "", code, agent)

    async def _prove_own_invitation(self, caller: Caller, used: Account, code: str, now: datetime) -> Account:
        """The account after the code of its second factor, where there is one. A wrong code spends the invitation: else it would be
        a way to guess past the lock."""
        if not used.totp_sealed:
            return used
        if not code:
            hint = "type the code of the authenticator app; who has lost it too is offboarded, and invited under a new user name"
            raise NeedsStepUp(
                Finding("sign_in.invitation.code", "this account has a second factor, and the invitation needs it", hint=hint)
            )
        proved = self._proved(used, None, code, now)
        if proved is None:
            await self._ports.store.commit(UpdateAccount(used))
            raise self.wrong_invitation(caller)
        return proved

    async def _lookup(self, username: str) -> Person | None:
        try:
            return await self._ports.store.lookup_person_by_username(parse_username(username))
        except Refused:
            return None

    async def _own(self, caller: Caller, secret: str) -> tuple[Session, Person]:
        session = await self._sessions.get_live(secret)
        person = await self._ports.store.get_person(own_person(caller))
        if session.person != person.id:
            raise NotAuthenticated(Finding("sign_in.session.other", "this session is another person's", hint="chargepki login"))
        return session, person

    async def _hash_chosen(self, password: str, person: Person) -> str:
        chosen = normalize_password(password[: LENGTH_MAX + 1])
        refuse_errors(find_password_faults(chosen, username=person.username))
        return await self._checks.hash(chosen)

    async def _open_session(self, opened: OpenAct, caller: Caller, person: Person, phc: str, code: str, agent: str) -> NewSession:
        now = self._ports.clock.now()
        new = self._sessions.plan(person, method=LOCAL, client=client_of(caller, agent), stepped_up_at=now if code else None)
        await self._prove(opened, caller, person, phc, code, AddSession(new.session))
        return new

    async def _prove(
        self,
        opened: OpenAct,
        caller: Caller,
        person: Person,
        phc: str | None,
        code: str,
        effect: Change,
        *,
        password_hash: str = "",
        totp_sealed: bytes = b"",
        totp_step: int = 0,
    ) -> None:
        """Commits `effect` when password and code are right, else counts a failure and refuses.

        `phc` is the hash that the password fitted ("": it fitted none; None: no password was asked for); an empty `code` was not given.
        The account is read again after the slow hash, so that guesses made at once are counted one by one.
        """
        for _ in range(ATTEMPTS_MAX):
            account, now = await self._ports.store.get_account(person.id), self._ports.clock.now()
            if is_locked(account, now):
                opened.act.detail["locked_until"] = f"{account.locked_until:%Y-%m-%dT%H:%M:%SZ}"
                raise self._wrong(caller)
            proved = self._proved(account, phc, code, now)
            try:
                if proved is None:
                    await self._count_failure(caller, account, now)
                    raise self._wrong(caller)
                changed = replace(
                    clear_failures(proved),
                    password_hash=password_hash or proved.password_hash,
                    totp_sealed=totp_sealed or proved.totp_sealed,
                    totp_step=totp_step or proved.totp_step,
                )
                changes = (effect,) if changed == account else (UpdateAccount(changed), effect)
                await self._ports.store.commit(*changes, opened.done())
                return
            except Conflict:
                continue
        raise Conflict(Finding("sign_in.busy", "others sign in to this account at the same time", hint="try again"))

    def _proved(self, account: Account, phc: str | None, code: str, now: datetime) -> Account | None:
        if phc is not None and (not phc or phc != account.password_hash):
            return None
        if not code and phc is not None:
            return account
        if not account.totp_sealed:
            return None
        key = self._box.open(account.totp_sealed, totp_context(account.person))
        step = totp.find_step(key, code, now, after=account.totp_step)
        return None if step is None else replace(account, totp_step=step)

    async def _count_failure(self, caller: Caller, account: Account, now: datetime) -> None:
        failed = note_failure(account, now)
        if failed.locked_until == account.locked_until:
            await self._ports.store.commit(UpdateAccount(failed))
            return
        until = f"{failed.locked_until:%Y-%m-%dT%H:%M:%SZ}"
        person = await self._ports.store.get_person(account.person)
        act = replace(caller, actor=SYSTEM).act(
            Permission.ACCESS_SESSION_CREATE,
            f"person:{person.id}",
            resource=Resource(party=person.party),
            subject=person.id,
            event="account locked",
            failures=str(failed.failures),
            until=until,
        )
        async with self._audit.act(act) as opened:
            await self._ports.store.commit(UpdateAccount(failed), opened.done())

    def _open_offer(self, person: PersonId, handle: str, now: datetime) -> bytes:
        try:
            if len(handle) > HANDLE_CHARS_MAX:
                raise ValueError("too long")
            offer = json.loads(self._box.open(base64.urlsafe_b64decode(handle), f"totp-offer:{person}"))
            if offer["until"] > now.timestamp():
                return bytes.fromhex(offer["key"])
        except (Broken, ValueError):
            pass
        raise Refused.because("sign_in.totp.offer", "this offer of a second factor has expired, or is none of ours", hint="start again")

    def _wrong(self, caller: Caller) -> NotAuthenticated:
        self.note_failure(caller)
        hint = "after five failures an account is locked for a while; an administrator's invitation opens it"
        return NotAuthenticated(
            Finding("sign_in.wrong", "the user name, the password or the code is wrong, or the account is locked", hint=hint)
        )


def may_take_up(person: Person, account: Account) -> bool:
    """Somebody new; or somebody who works here, behind their own second factor: else the invitation would bring another one along."""
    return person.state is PersonState.INVITED or (person.state is PersonState.ACTIVE and bool(account.totp_sealed))


def activate(person: Person) -> tuple[Change, ...]:
    """The change that makes an invited person one of the platform's."""
    return (UpdatePerson(replace(person, state=PersonState.ACTIVE)),) if person.state is PersonState.INVITED else ()


def totp_context(person: PersonId) -> str:
    return f"totp:{person}"


def network_of(remote: str) -> str:
    """Whom a failure counts against: an IPv4 address, or the /64 that one IPv6 subscriber has."""
    host = remote.rpartition(":")[0] if remote.count(":") == 1 else remote
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return remote or "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _act(caller: Caller, person: Person | None, event: str, *, method: str, username: str = "") -> Act:
    """Signing in happens to one's own account: the actor is who they say they are, and may do nothing else."""
    id = None if person is None else person.id
    return replace(caller, actor=signing_in(id)).act(
        Permission.ACCESS_SESSION_CREATE,
        f"person:{id or 'unknown'}",
        resource=Resource(party="" if person is None else person.party),
        personal={"username": username[:64]} if username else {},
        subject=id or "",
        event=event,
        method=method,
    )


def _needs_code() -> NeedsStepUp:
    return NeedsStepUp(Finding("access.assurance.low", "this needs a fresh code of the second factor", hint="chargepki step-up"))
