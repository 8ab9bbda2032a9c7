"""People: invited with a secret, gone in one commit, forgotten on request."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.access.model import Role, Scope
from chargepki.core.records import GrantState, PartyId, PartyRole, PersonId, PersonState, Session, SessionId
from chargepki.errors import Conflict, NotAuthenticated, NotAuthorised, NotFound, Refused
from chargepki.ports import AddSession, UpdateAccount, UpdatePerson
from chargepki.services.access import TokenOrder
from chargepki.services.audit import Caller
from chargepki.services.labels import EMAIL_MAX, LABEL_MAX, parse_email, parse_label
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.test_issuance import codes

ACME = Scope(parties=frozenset({"acme"}))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """Without authorities: nothing is issued here."""
    async with open_workbench(tmp_path, has_authorities=False) as opened:
        yield opened


async def party(bench: Workbench, id: str) -> None:
    await bench.services.parties.create_party(ADMIN, id=id, name=id, roles=frozenset({PartyRole.CPO}))


async def bodies(bench: Workbench) -> bytes:
    """Everything the log holds, in clear."""
    return b"\n".join(await bench.ports.store.list_leaves(first=0, limit=500))


async def test_an_invitation_is_shown_once_and_only_its_hash_is_kept(bench: Workbench) -> None:
    person, secret = await bench.services.people.invite_person(
        ADMIN, username="Anna.Berg", display_name="Anna Berg", email="anna@acme.example"
    )
    account = await bench.ports.store.lookup_account_by_invitation(hashlib.sha256(secret.encode()).digest())
    assert secret.startswith("cpin_")
    assert (person.username, person.state) == ("anna.berg", PersonState.INVITED)
    assert account is not None
    assert account.person == person.id
    assert account.invitation_expires_at == bench.clock.now() + timedelta(hours=72)


async def test_nothing_in_the_log_says_who_somebody_is(bench: Workbench) -> None:
    people = bench.services.people
    person, secret = await people.invite_person(ADMIN, username="anna.berg", display_name="Anna Berg", email="anna@acme.example")
    with pytest.raises(Conflict):
        await people.invite_person(ADMIN, username="anna.berg")
    with pytest.raises(Refused):
        await people.invite_person(ADMIN, username="anna berg!")
    with pytest.raises(NotFound):
        await people.offboard_person(ADMIN, PersonId("anna.borg"))
    await people.offboard_person(ADMIN, PersonId("anna.berg"))
    said = await bodies(bench)
    assert person.id.encode() in said
    for name in (b"anna", b"Anna", b"acme.example", secret.encode()):
        assert name not in said


async def test_a_fresh_invitation_voids_the_one_before(bench: Workbench) -> None:
    people, store = bench.services.people, bench.ports.store
    _, first = await people.invite_person(ADMIN, username="anna")
    _, second = await people.invite_again(ADMIN, PersonId("anna"), valid_hours=1)
    assert await store.lookup_account_by_invitation(hashlib.sha256(first.encode()).digest()) is None
    assert await store.lookup_account_by_invitation(hashlib.sha256(second.encode()).digest()) is not None


async def test_an_invitation_never_opens_an_account_without_a_second_factor_that_stays(bench: Workbench) -> None:
    people, store = bench.services.people, bench.ports.store
    person, _ = await people.invite_person(ADMIN, username="anna")
    await store.commit(UpdatePerson(replace(person, state=PersonState.ACTIVE)))
    with pytest.raises(Refused) as refusal:
        await people.invite_again(ADMIN, person.id)
    assert codes(refusal) == {"person.state"}
    await store.commit(UpdateAccount(replace(await store.get_account(person.id), totp_sealed=b"sealed")))
    await people.invite_again(ADMIN, person.id)
    assert (await store.get_account(person.id)).totp_sealed == b"sealed"


@pytest.mark.parametrize("username", ["", "a b", "per_01", "erased-01", "a" * 65, "müller", "a/../b"])
async def test_a_user_name_that_is_none_or_reads_like_an_id_is_refused(bench: Workbench, username: str) -> None:
    with pytest.raises(Refused):
        await bench.services.people.invite_person(ADMIN, username=username)


@pytest.mark.parametrize(
    "email", ["anna", "@acme.example", "anna@", "anna@acme", "a b@acme.example", "ä@acme.example", f"{'a' * 250}@b.example"]
)
async def test_what_is_no_address_is_refused(bench: Workbench, email: str) -> None:
    with pytest.raises(Refused) as refusal:
        await bench.services.people.invite_person(ADMIN, username="anna", email=email)
    assert codes(refusal) == {"person.email"}


async def test_who_leaves_loses_sessions_tokens_and_grants_in_one_commit(bench: Workbench) -> None:
    caller = await bench.person("anna", Role.OPERATOR, Role.WITNESS)
    id, now = PersonId(caller.actor.person), bench.clock.now()
    session = Session(SessionId("ses_1"), b"s" * 32, id, "local", now, now + timedelta(hours=1), now)
    await bench.ports.store.commit(AddSession(session))
    _, secret = await bench.services.access.create_token(caller, TokenOrder("ci", frozenset({"certificate:object:read"})))
    await bench.services.access.authenticate(secret)
    left = await bench.services.people.offboard_person(ADMIN, id)
    grants = (await bench.ports.store.list_grants(holder=f"person:{id}")).items
    assert left.state is PersonState.OFFBOARDED
    assert {grant.state for grant in grants} == {GrantState.ENDED}
    assert (await bench.ports.store.get_session(session.id)).ended_at == now
    with pytest.raises(NotAuthenticated):
        await bench.services.access.authenticate(secret)
    with pytest.raises(NotAuthenticated):
        await bench.services.actors.of_person(id)
    with pytest.raises(Conflict):
        await bench.services.people.offboard_person(ADMIN, id)


async def test_erasing_forgets_the_person_and_keeps_the_log(bench: Workbench) -> None:
    people, store = bench.services.people, bench.ports.store
    person, _ = await people.invite_person(ADMIN, username="anna", display_name="Anna Berg", email="anna@acme.example")
    before = (await store.list_audit(object=f"person:{person.id}")).items
    assert any(b"Anna Berg" in entry.private for entry in before)
    with pytest.raises(Refused) as early:
        await people.erase_person(ADMIN, person.id)
    await people.offboard_person(ADMIN, person.id)
    erased = await people.erase_person(ADMIN, person.id)
    after = (await store.list_audit(object=f"person:{person.id}")).items
    assert codes(early) == {"person.state"}
    assert (erased.display_name, erased.email) == ("", "")
    assert "anna" not in erased.username
    assert await store.get_person(person.id) == erased
    assert {entry.body for entry in before} <= {entry.body for entry in after}
    assert not any(b"Anna" in entry.private or b"anna" in entry.private for entry in after)


async def test_a_party_has_its_own_people_and_sees_no_others(bench: Workbench) -> None:
    await party(bench, "acme")
    await party(bench, "rival")
    own: Caller = await bench.person("pat", Role.PARTY_ADMIN, party="acme", scope=ACME)
    people = bench.services.people
    mine, _ = await people.invite_person(own, username="mine", party=PartyId("acme"))
    theirs, _ = await people.invite_person(ADMIN, username="theirs", party=PartyId("rival"))
    assert [person.username for person in (await people.list_people(own)).items] == ["mine", "pat"]
    assert (await people.get_person(own, PersonId("mine"))).id == mine.id
    for id in (theirs.id, PersonId("theirs"), PersonId("per_nobody"), PersonId("nobody")):
        with pytest.raises(NotFound):
            await people.get_person(own, id)
        with pytest.raises(NotFound):
            await people.offboard_person(own, id)
    for wrong in ("rival", ""):
        with pytest.raises(NotAuthorised):
            await people.invite_person(own, username="x", party=PartyId(wrong))
    assert (await people.get_person(ADMIN, theirs.id)).state is PersonState.INVITED


async def test_everybody_may_see_themselves(bench: Workbench) -> None:
    caller = await bench.person("anna")
    assert (await bench.services.people.get_person(caller, PersonId("anna"))).username == "anna"
    with pytest.raises(NotAuthorised):
        await bench.services.people.list_people(caller)


@given(st.text(max_size=300))
def test_any_text_is_a_label_and_an_address_or_refused(text: str) -> None:
    with suppress(Refused):
        label = parse_label(text, path="name", code="x.y")
        assert 0 < len(label) <= LABEL_MAX
        assert label.isprintable()
        assert parse_label(label, path="name", code="x.y") == label
    with suppress(Refused):
        assert len(parse_email(text)) <= EMAIL_MAX
