"""Parties, people, machines, their rights and their sessions, on every store."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chargepki.adapters.store import SqlStore
from chargepki.core.access.model import EVERYWHERE, Role, Scope
from chargepki.core.records import (
    ExternalIdentity,
    GrantId,
    GrantState,
    MachineId,
    MachineState,
    PartyId,
    PartyState,
    PersonId,
    PersonState,
    Session,
    SessionId,
)
from chargepki.errors import Broken, Conflict, NotFound
from chargepki.ports import (
    AddExternalIdentity,
    AddGrant,
    AddMachine,
    AddParty,
    AddPerson,
    AddSession,
    Change,
    EndSession,
    EndSessions,
    TouchSession,
    UpdateAccount,
    UpdateGrant,
    UpdateMachine,
    UpdateParty,
    UpdatePerson,
)
from tests.adapters.store.facts import DAY, HOUR, NOW, SECOND, account, add_person, digest, grant, machine, party, person, session
from tests.adapters.store.refusals import conflict


async def test_a_party_is_found_by_id_and_by_name(store: SqlStore) -> None:
    cpo, oem = party("demo-cpo"), replace(party("a-oem"), roles=frozenset(), spaces=frozenset())
    await store.commit(AddParty(cpo), AddParty(oem))
    assert await store.get_party(cpo.id) == cpo
    assert await store.lookup_party_by_name(oem.name) == oem
    assert await store.lookup_party_by_name("nobody") is None
    assert (await store.list_parties()).items == (oem, cpo)
    with pytest.raises(NotFound, match="there is no party nobody"):
        await store.get_party(PartyId("nobody"))


async def test_a_partys_id_and_name_are_given_once(store: SqlStore) -> None:
    await store.commit(AddParty(party("demo-cpo")), AddParty(party("demo-oem")))
    with conflict("store.party.exists"):
        await store.commit(AddParty(replace(party("demo-cpo"), name="another")))
    with conflict("store.party.name.exists"):
        await store.commit(AddParty(replace(party("third"), name=party().name)))
    with conflict("store.party.name.exists"):
        await store.commit(UpdateParty(replace(party("demo-oem"), name=party().name)))


async def test_an_update_follows_the_version_that_was_read(store: SqlStore) -> None:
    await store.commit(AddParty(party()), add_person(), AddMachine(machine()), AddGrant(grant()))
    p = replace(party(), state=PartyState.SUSPENDED, spaces=frozenset())
    q = replace(person(), state=PersonState.ACTIVE, username="ada", display_name="", email="")
    a = replace(account(), password_hash="$argon2id$", totp_step=2**40, failures=3, locked_until=NOW, totp_sealed=b"")
    m = replace(machine(), state=MachineState.SUSPENDED)
    g = replace(grant(), state=GrantState.ENDED, scope=EVERYWHERE, accepted_at=NOW, ended_at=NOW, ended_by="person:per_1")
    changes: tuple[Change, ...] = (UpdateParty(p), UpdatePerson(q), UpdateAccount(a), UpdateMachine(m), UpdateGrant(g))
    for change in changes:
        await store.commit(change)
    assert await store.get_party(p.id) == replace(p, version=2)
    assert await store.get_person(q.id) == replace(q, version=2)
    assert await store.get_account(q.id) == replace(a, version=2)
    assert await store.get_machine(m.id) == replace(m, version=2)
    assert await store.get_grant(g.id) == replace(g, version=2)
    for change, noun in zip(changes, ("party", "person", "account", "machine", "grant"), strict=True):
        with conflict(f"store.{noun}.changed"):
            await store.commit(change)


async def test_an_update_needs_what_it_updates(store: SqlStore) -> None:
    nothing: dict[str, Change] = {
        "party": UpdateParty(party()),
        "person": UpdatePerson(person()),
        "account": UpdateAccount(account()),
        "machine": UpdateMachine(machine()),
        "grant": UpdateGrant(grant()),
    }
    for noun, change in nothing.items():
        with conflict(f"store.{noun}.unknown"):
            await store.commit(change)


async def test_of_two_who_update_at_once_one_wins(store: SqlStore) -> None:
    await store.commit(add_person())
    attempts = [replace(account(), failures=n) for n in range(1, 9)]
    outcomes = await asyncio.gather(*(store.commit(UpdateAccount(each)) for each in attempts), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [Conflict] * 7
    assert (await store.get_account(PersonId("per_1"))).version == 2


async def test_a_person_comes_with_an_account_and_a_user_name_of_their_own(store: SqlStore) -> None:
    await store.commit(add_person("per_1", "ada"))
    assert await store.lookup_person_by_username("ada") == person("per_1", "ada")
    assert await store.get_account(PersonId("per_1")) == account("per_1", digest("per_1"))
    with conflict("store.person.username.exists"):
        await store.commit(add_person("per_2", "ada"))
    with conflict("store.person.exists"):
        await store.commit(add_person("per_1", "bob"))
    with pytest.raises(NotFound, match="per_2 has no account"):
        await store.get_account(PersonId("per_2"))
    await store.commit(add_person("per_2", "bob"))
    with conflict("store.person.username.exists"):
        await store.commit(UpdatePerson(person("per_2", "ada")))
    with pytest.raises(NotFound, match="there is no person per_3"):
        await store.get_person(PersonId("per_3"))
    assert [each.username for each in (await store.list_people()).items] == ["ada", "bob"]


async def test_an_invitation_finds_its_account_until_it_is_taken_up(store: SqlStore) -> None:
    await store.commit(add_person("per_1"), AddPerson(person("per_2"), account("per_2")), AddPerson(person("per_3"), account("per_3")))
    found = await store.lookup_account_by_invitation(digest("per_1"))
    assert found == account("per_1", digest("per_1"))
    assert await store.lookup_account_by_invitation(b"") is None  # those without an invitation cannot be found by none
    await store.commit(UpdateAccount(replace(found, invitation_sha256=b"", invitation_expires_at=None)))
    assert await store.lookup_account_by_invitation(digest("per_1")) is None
    with conflict("store.account.invitation.exists"):
        await store.commit(UpdateAccount(account("per_2", digest("again"))), UpdateAccount(account("per_3", digest("again"))))


async def test_a_providers_account_is_linked_to_one_person(store: SqlStore) -> None:
    await store.commit(add_person("per_1"), add_person("per_2"))
    linked = ExternalIdentity("https://id.example.org", "s-1", PersonId("per_1"), NOW)
    await store.commit(AddExternalIdentity(linked))
    assert await store.lookup_person_by_identity(linked.issuer, "s-1") == person("per_1")
    assert await store.lookup_person_by_identity("https://other.example.org", "s-1") is None
    with conflict("store.identity.linked"):
        await store.commit(AddExternalIdentity(replace(linked, person=PersonId("per_2"))))


async def test_a_machines_name_is_its_partys(store: SqlStore) -> None:
    one = machine("mch_1", "line", "demo-oem")
    await store.commit(AddMachine(one), AddMachine(machine("mch_2", "line", "demo-cpo")))
    with conflict("store.machine.name.exists"):
        await store.commit(AddMachine(machine("mch_3", "line", "demo-oem")))
    with conflict("store.machine.exists"):
        await store.commit(AddMachine(machine("mch_1", "other", "demo-oem")))
    with conflict("store.machine.name.exists"):
        await store.commit(UpdateMachine(machine("mch_2", "line", "demo-oem")))
    assert await store.get_machine(one.id) == one
    with pytest.raises(NotFound, match="there is no machine mch_9"):
        await store.get_machine(MachineId("mch_9"))


@pytest.mark.clause("ETSI EN 319 401 REQ-7.4.1-08")
async def test_the_register_of_rights_is_listed_by_holder_role_and_state(store: SqlStore) -> None:
    a, b = grant("grt_1"), grant("grt_2", "machine:mch_1", Role.CSMS)
    c = replace(grant("grt_3", role=Role.AUDITOR), state=GrantState.ACTIVE, scope=Scope(names=frozenset()), proposal=None)
    await store.commit(AddGrant(c), AddGrant(a), AddGrant(b))
    assert await store.get_grant(c.id) == c
    assert (await store.list_grants()).items == (a, b, c)
    assert (await store.list_grants(holder="person:per_1")).items == (a, c)
    assert (await store.list_grants(role="csms")).items == (b,)
    assert (await store.list_grants(state="active", holder="person:per_1")).items == (c,)
    with conflict("store.grant.exists"):
        await store.commit(AddGrant(a))
    with pytest.raises(NotFound, match="there is no grant grt_9"):
        await store.get_grant(GrantId("grt_9"))


async def test_a_right_that_was_damaged_breaks_and_gives_nothing(store: SqlStore) -> None:
    await store.commit(AddGrant(grant()))
    with store._backend.writer.begin() as connection:
        connection.exec_driver_sql("""UPDATE grant_record SET scope = '{"parties":7}'""")
    with pytest.raises(Broken, match="cannot be read"):
        await store.get_grant(GrantId("grt_1"))


async def test_a_session_is_touched_stepped_up_and_ended_once(store: SqlStore) -> None:
    began = session()
    await store.commit(AddSession(began))
    await store.commit(TouchSession(began.id, NOW + HOUR, NOW + HOUR))
    await store.commit(TouchSession(began.id, NOW + SECOND))
    seen = replace(began, last_seen_at=NOW + HOUR, stepped_up_at=NOW + HOUR)
    assert await store.lookup_session(began.token_sha256) == seen
    assert await store.lookup_session(digest("another")) is None
    outcomes = await asyncio.gather(*(store.commit(EndSession(began.id, NOW + DAY)) for _ in range(2)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes if outcome] == [Conflict]
    with conflict("store.session.ended"):
        await store.commit(EndSession(began.id, NOW))
    with conflict("store.session.unknown"):
        await store.commit(EndSession(SessionId("ses_9"), NOW))
    with conflict("store.session.exists"):
        await store.commit(AddSession(replace(session("ses_2"), token_sha256=began.token_sha256)))
    assert await store.get_session(began.id) == replace(seen, ended_at=NOW + DAY)
    with pytest.raises(NotFound, match="there is no session ses_9"):
        await store.get_session(SessionId("ses_9"))
    await store.commit(TouchSession(SessionId("ses_9"), NOW))


async def test_all_sessions_of_a_person_end_but_for_one_that_begins_with_it(store: SqlStore) -> None:
    others = session("ses_3", "per_2")
    await store.commit(AddSession(session("ses_1")), AddSession(session("ses_2")), AddSession(others))
    await store.commit(EndSession(SessionId("ses_1"), NOW))
    await store.commit(EndSessions(PersonId("per_1"), NOW + HOUR), AddSession(session("ses_4")))

    async def live(at: timedelta) -> list[Session]:
        return list((await store.list_sessions(is_live_at=NOW + at)).items)

    assert await live(HOUR) == [session("ses_4"), others]
    assert [each.id for each in await live(SECOND)] == ["ses_4", "ses_3", "ses_2"]
    assert await live(DAY) == []
    assert [each.id for each in (await store.list_sessions(person=PersonId("per_1"))).items] == ["ses_4", "ses_2", "ses_1"]
    await store.commit(EndSessions(PersonId("per_nobody"), NOW))
