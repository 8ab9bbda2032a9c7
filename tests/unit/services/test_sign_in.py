"""Local accounts: invitation, password, second factor, lock, sessions, step-up."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from chargepki.core import totp
from chargepki.core.access.model import Assurance, Role
from chargepki.core.records import Person, PersonId, SessionId
from chargepki.errors import Conflict, NeedsStepUp, NotAuthenticated, NotAuthorised, NotFound, Refused, TooMany
from chargepki.services.audit import Caller
from chargepki.services.sessions import IDLE, LIVES, STEPPED_UP, signing_in
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench

PASSWORD = "correct gravel tuesday"
OTHER = "seven purple ladders"
STRANGER = Caller(signing_in(None), "api", "192.0.2.7")


@dataclass
class Anna:
    """A person, and her telephone."""

    bench: Workbench
    person: Person
    invitation: str
    key: bytes = b""

    def code(self) -> str:
        return totp.code_at(self.key, totp.step_of(self.bench.clock.now()))

    async def take_up(self) -> str:
        new = await self.bench.services.sign_in.redeem_invitation(STRANGER, invitation=self.invitation, password=PASSWORD)
        return new.secret

    async def caller(self, secret: str) -> Caller:
        return Caller(await self.bench.services.sessions.authenticate(secret), "api", "192.0.2.7")

    async def enrol(self, secret: str) -> None:
        sign_in, caller = self.bench.services.sign_in, await self.caller(secret)
        offer = await sign_in.offer_totp(caller, secret=secret)
        self.key = _key_of(offer.uri)
        await sign_in.enrol_totp(caller, secret=secret, password=PASSWORD, handle=offer.handle, code=self.code())
        self.bench.clock.advance(timedelta(seconds=30))

    async def sign_in(self, *, password: str = PASSWORD, code: str = "", remote: str = "192.0.2.7") -> str:
        caller = Caller(signing_in(None), "api", remote)
        new = await self.bench.services.sign_in.with_password(caller, username="anna", password=password, code=code)
        return new.secret


def _key_of(uri: str) -> bytes:
    import base64

    [secret] = parse_qs(urlsplit(uri).query)["secret"]
    return base64.b32decode(secret)


@pytest.fixture
async def anna(tmp_path: Path) -> AsyncIterator[Anna]:
    async with open_workbench(tmp_path, has_authorities=False) as bench:
        person, invitation = await bench.services.people.invite_person(ADMIN, username="anna")
        yield Anna(bench, person, invitation)


async def test_an_invitation_makes_an_account_once(anna: Anna) -> None:
    secret = await anna.take_up()
    actor = await anna.bench.services.sessions.authenticate(secret)
    assert (actor.person, actor.assurance) == (anna.person.id, Assurance.TOKEN)
    with pytest.raises(NotAuthenticated, match="unknown, used"):
        await anna.take_up()


async def test_an_invitation_expires(anna: Anna) -> None:
    anna.bench.clock.advance(timedelta(days=30))
    with pytest.raises(NotAuthenticated, match="expired"):
        await anna.take_up()


async def test_a_trivial_password_leaves_the_invitation_as_it_was(anna: Anna) -> None:
    with pytest.raises(Refused, match="trivial"):
        await anna.bench.services.sign_in.redeem_invitation(STRANGER, invitation=anna.invitation, password="password123456")
    assert await anna.take_up()


async def test_password_and_code_make_a_session_that_is_sure_for_a_quarter_of_an_hour(anna: Anna) -> None:
    await anna.enrol(await anna.take_up())
    secret = await anna.sign_in(code=anna.code())
    sessions = anna.bench.services.sessions
    assert (await sessions.authenticate(secret)).assurance is Assurance.MFA
    anna.bench.clock.advance(STEPPED_UP)
    assert (await sessions.authenticate(secret)).assurance is Assurance.TOKEN


async def test_a_password_alone_is_no_surer_than_a_token_until_the_step_up(anna: Anna) -> None:
    await anna.enrol(await anna.take_up())
    secret = await anna.sign_in()
    caller = await anna.caller(secret)
    assert caller.actor.assurance is Assurance.TOKEN
    await anna.bench.services.sign_in.step_up(caller, secret=secret, code=anna.code())
    assert (await anna.caller(secret)).actor.assurance is Assurance.MFA


@pytest.mark.clause("RFC 6238 5.2")
async def test_a_code_works_once(anna: Anna) -> None:
    await anna.enrol(await anna.take_up())
    code = anna.code()
    await anna.sign_in(code=code)
    with pytest.raises(NotAuthenticated, match="wrong"):
        await anna.sign_in(code=code)


async def test_a_code_works_once_even_when_it_comes_many_times_at_once(anna: Anna) -> None:
    await anna.enrol(await anna.take_up())
    code = anna.code()
    results = await asyncio.gather(*(anna.sign_in(code=code) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(result, str) for result in results) == 1
    assert all(isinstance(result, str | NotAuthenticated | Conflict) for result in results)


async def test_a_code_without_a_second_factor_is_wrong(anna: Anna) -> None:
    await anna.take_up()
    with pytest.raises(NotAuthenticated):
        await anna.sign_in(code="123456")


async def test_five_failures_lock_the_account_for_longer_each_time_and_the_lock_is_on_record(anna: Anna) -> None:
    await anna.take_up()
    clock = anna.bench.clock
    for minutes in (15, 30):
        for number in range(5):
            with pytest.raises(NotAuthenticated):
                await anna.sign_in(password="wrong wrong wrong", remote=f"192.0.2.{number + minutes}")
        with pytest.raises(NotAuthenticated):
            await anna.sign_in(remote="198.51.100.1")
        clock.advance(timedelta(minutes=minutes) - timedelta(seconds=1))
        with pytest.raises(NotAuthenticated):
            await anna.sign_in(remote="198.51.100.2")
        clock.advance(timedelta(seconds=1))
    assert await anna.sign_in(remote="198.51.100.3")
    entries = (await anna.bench.services.audit.list(ADMIN, object=f"person:{anna.person.id}")).items
    locks = [entry for entry in entries if b'"event":"account locked"' in entry.body]
    assert [entry.outcome for entry in locks] == ["done", "done"]


async def test_guesses_made_at_once_are_counted_one_by_one(anna: Anna) -> None:
    await anna.take_up()
    guesses = [anna.sign_in(password="wrong wrong wrong", remote=f"192.0.2.{n}") for n in range(12)]
    right = anna.sign_in(remote="198.51.100.9")
    *_, last = await asyncio.gather(*guesses, right, return_exceptions=True)
    assert isinstance(last, NotAuthenticated), "the right password came after the lock"
    account = await anna.bench.ports.store.get_account(anna.person.id)
    assert account.failures == 5
    assert account.locked_until is not None


async def test_an_address_that_fails_often_is_told_to_wait_whoever_it_asks_for(anna: Anna) -> None:
    sign_in = anna.bench.services.sign_in
    for number in range(20):
        with pytest.raises(NotAuthenticated):
            await sign_in.redeem_invitation(STRANGER, invitation=f"cpin_{number}", password=PASSWORD)
    with pytest.raises(TooMany) as refused:
        await anna.take_up()
    assert refused.value.retry_after > 0


async def test_a_changed_password_ends_every_session(anna: Anna) -> None:
    secret, elsewhere = await anna.take_up(), await anna.sign_in()
    caller = await anna.caller(secret)
    await anna.bench.services.sign_in.set_password(caller, secret=secret, password=PASSWORD, new_password=OTHER)
    for ended in (secret, elsewhere):
        with pytest.raises(NotAuthenticated, match="ended"):
            await anna.bench.services.sessions.authenticate(ended)
    with pytest.raises(NotAuthenticated):
        await anna.sign_in()
    assert await anna.sign_in(password=OTHER)


async def test_a_stolen_session_changes_neither_password_nor_second_factor(anna: Anna) -> None:
    await anna.enrol(await anna.take_up())
    secret = await anna.sign_in()
    caller, sign_in = await anna.caller(secret), anna.bench.services.sign_in
    with pytest.raises(NeedsStepUp):
        await sign_in.set_password(caller, secret=secret, password=PASSWORD, new_password=OTHER)
    offer = await sign_in.offer_totp(caller, secret=secret)
    code = totp.code_at(_key_of(offer.uri), totp.step_of(anna.bench.clock.now()))
    with pytest.raises(NeedsStepUp):
        await sign_in.enrol_totp(caller, secret=secret, password=PASSWORD, handle=offer.handle, code=code)
    await sign_in.step_up(caller, secret=secret, code=anna.code())
    with pytest.raises(NotAuthenticated):
        await sign_in.enrol_totp(caller, secret=secret, password="not the password", handle=offer.handle, code=code)


async def test_an_offered_factor_is_bound_to_its_person_and_its_time(anna: Anna) -> None:
    secret = await anna.take_up()
    caller, sign_in = await anna.caller(secret), anna.bench.services.sign_in
    offer = await sign_in.offer_totp(caller, secret=secret)
    for handle in (offer.handle[:-4] + "AAAA", "", "!", "A" * 5000):
        with pytest.raises(Refused, match="offer"):
            await sign_in.enrol_totp(caller, secret=secret, password=PASSWORD, handle=handle, code="123456")
    anna.bench.clock.advance(timedelta(minutes=16))
    code = totp.code_at(_key_of(offer.uri), totp.step_of(anna.bench.clock.now()))
    with pytest.raises(Refused, match="expired"):
        await sign_in.enrol_totp(caller, secret=secret, password=PASSWORD, handle=offer.handle, code=code)


async def test_the_secret_of_the_second_factor_is_not_in_the_store(anna: Anna) -> None:
    await anna.enrol(await anna.take_up())
    account = await anna.bench.ports.store.get_account(anna.person.id)
    assert anna.key not in account.totp_sealed
    assert account.password_hash.startswith("$argon2id$")


async def test_a_session_ends_idle_and_at_its_end(anna: Anna) -> None:
    secret, sessions = await anna.take_up(), anna.bench.services.sessions
    other = await anna.sign_in()
    step, passed = timedelta(minutes=50), timedelta()
    while passed + step < LIVES:
        passed += step
        anna.bench.clock.advance(step)
        await sessions.authenticate(secret)
    with pytest.raises(NotAuthenticated, match="expired"):
        await sessions.authenticate(other)
    anna.bench.clock.advance(LIVES - passed)
    with pytest.raises(NotAuthenticated, match="expired"):
        await sessions.authenticate(secret)
    assert IDLE < LIVES


async def test_sessions_are_listed_and_ended_by_their_person(anna: Anna) -> None:
    secret, other = await anna.take_up(), await anna.sign_in()
    caller, sessions = await anna.caller(secret), anna.bench.services.sessions
    listed = (await sessions.list(caller)).items
    assert len(listed) == 2
    [mine] = [s for s in listed if s.id == (await sessions.get_live(secret)).id]
    await anna.caller(other)  # it is in memory now
    await sessions.end(caller, next(s.id for s in listed if s.id != mine.id))
    with pytest.raises(NotAuthenticated, match="ended"):
        await sessions.authenticate(other)
    assert (await sessions.list(caller)).items == (mine,)


async def test_another_persons_sessions_take_the_permission(anna: Anna) -> None:
    secret, sessions = await anna.take_up(), anna.bench.services.sessions
    session = await sessions.get_live(secret)
    bystander = await anna.bench.person("bert", Role.AUDITOR)
    with pytest.raises(NotAuthorised):
        await sessions.end(bystander, session.id)
    with pytest.raises(NotAuthorised):
        await sessions.end(bystander, SessionId("ses_none"))
    administrator = await anna.bench.person("carla", Role.ADMINISTRATOR)
    assert [s.id for s in (await sessions.list(administrator, anna.person.id)).items] == [session.id]
    await sessions.end_all(administrator, anna.person.id)
    with pytest.raises(NotAuthenticated, match="ended"):
        await sessions.authenticate(secret)
    with pytest.raises(NotFound):
        await sessions.end(administrator, SessionId("ses_none"))


async def test_somebody_who_leaves_is_out_at_once(anna: Anna) -> None:
    secret = await anna.take_up()
    await anna.caller(secret)
    await anna.bench.services.people.offboard_person(ADMIN, anna.person.id)
    with pytest.raises(NotAuthenticated):
        await anna.bench.services.sessions.authenticate(secret)
    with pytest.raises(NotAuthenticated):
        await anna.sign_in()


async def test_the_log_names_nobody(anna: Anna) -> None:
    await anna.take_up()
    with pytest.raises(NotAuthenticated):
        await anna.sign_in(password="wrong wrong wrong")
    with pytest.raises(NotAuthenticated):
        await anna.bench.services.sign_in.with_password(STRANGER, username="nobody-here", password=PASSWORD)
    for entry in (await anna.bench.services.audit.list(ADMIN, limit=100)).items:
        for secret in (b"anna", b"nobody-here", b"192.0.2.7", PASSWORD.encode(), anna.invitation.encode()):
            assert secret not in entry.body, entry.body


async def test_a_token_of_a_person_does_not_touch_their_account(anna: Anna) -> None:
    secret = await anna.take_up()
    actor = await anna.bench.services.sessions.authenticate(secret)
    token = Caller(type(actor)(f"token:mine/{anna.person.id}", actor.kind, actor.grants, actor.person), "api")
    with pytest.raises(NotAuthorised, match="signed in"):
        await anna.bench.services.sign_in.set_password(token, secret=secret, password=PASSWORD, new_password=OTHER)
    with pytest.raises(NotAuthorised):
        await anna.bench.services.sessions.list(token)
    assert PersonId(actor.person) == anna.person.id
