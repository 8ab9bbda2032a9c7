"""Grants: offered, accepted, ended, reviewed; and what is never granted."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import EVERYWHERE, NO_BALLOT, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import GrantId, GrantState, PartyId, PartyRole, PersonId, ProposalState, Session, SessionId
from chargepki.errors import Broken, Conflict, NeedsVotes, NotAuthenticated, NotAuthorised, NotFound, Refused
from chargepki.ports import AddSession
from chargepki.services.access import TokenOrder
from chargepki.services.audit import Caller
from chargepki.services.grants import DAYS_MAX, HELD_MAX
from chargepki.services.holders import HeldGrant
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.test_issuance import codes
from tests.unit.services.test_parties import agree

ACME = Scope(parties=frozenset({"acme"}))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """Without authorities: nothing is issued here."""
    async with open_workbench(tmp_path, has_authorities=False) as opened:
        yield opened


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with open_workbench(tmp_path, policy=PRODUCTION, has_authorities=False) as opened:
        yield opened


async def offer(
    bench: Workbench, to: Caller, role: Role, *, by: Caller = ADMIN, scope: Scope = EVERYWHERE, until: datetime | None = None
) -> HeldGrant:
    return await bench.services.grants.propose_grant(by, holder=to.actor.id, role=role, scope=scope, until=until)


async def today(bench: Workbench, caller: Caller) -> set[Role]:
    actor = await bench.services.actors.of_person(PersonId(caller.actor.person))
    return {grant.role for grant in actor.grants} - {Role.SELF}


async def register(bench: Workbench, *ids: str) -> None:
    for id in ids:
        await bench.services.parties.create_party(ADMIN, id=id, name=id, roles=frozenset({PartyRole.CPO}))


@pytest.mark.clause("EN 319 401 REQ-7.2-16")
async def test_a_role_is_in_force_when_its_person_has_accepted_it(bench: Workbench) -> None:
    anna, bert = await bench.person("anna"), await bench.person("bert")
    offered = await offer(bench, anna, Role.OPERATOR)
    assert offered.record.state is GrantState.OFFERED
    assert await today(bench, anna) == set()
    with pytest.raises(NotFound):
        await bench.services.grants.accept_grant(bert, offered.record.id)
    accepted = await bench.services.grants.accept_grant(anna, offered.record.id)
    assert accepted.record.accepted_at == bench.clock.now()
    assert await today(bench, anna) == {Role.OPERATOR}
    with pytest.raises(Conflict):
        await bench.services.grants.accept_grant(anna, offered.record.id)


async def test_nobody_accepts_for_another_with_a_token(bench: Workbench) -> None:
    anna = await bench.person("anna", Role.OPERATOR)
    offered = await offer(bench, anna, Role.WITNESS)
    _, secret = await bench.services.access.create_token(anna, TokenOrder("ci", frozenset({"certificate:object:read"})))
    token = bench.caller(await bench.services.access.authenticate(secret))
    with pytest.raises(NotFound):
        await bench.services.grants.accept_grant(token, offered.record.id)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (Role.AUDITOR, Role.CA_OFFICER),
        (Role.ADMINISTRATOR, Role.SECURITY_OFFICER),
        (Role.OPERATOR, Role.KEY_CUSTODIAN),
        (Role.WITNESS, Role.KEY_CUSTODIAN),
    ],
)
@pytest.mark.clause("CIMC FMT_SMR.2.3")
async def test_duties_that_conflict_are_refused_when_they_are_granted(bench: Workbench, held: Role, wanted: Role) -> None:
    anna = await bench.person("anna", held)
    with pytest.raises(Refused) as refusal:
        await offer(bench, anna, wanted)
    assert "access.conflict" in codes(refusal)


async def test_two_offers_that_conflict_are_never_both_open(bench: Workbench) -> None:
    anna = await bench.person("anna")
    await offer(bench, anna, Role.AUDITOR)
    with pytest.raises(Refused) as refusal:
        await offer(bench, anna, Role.REGISTRATION_OFFICER)
    assert "access.conflict" in codes(refusal)


async def test_every_grant_ends(bench: Workbench) -> None:
    anna, now = await bench.person("anna"), bench.clock.now()
    assert (await offer(bench, anna, Role.OPERATOR)).record.until == now + timedelta(days=365)
    for wrong in (now, now - timedelta(days=1), now + timedelta(days=DAYS_MAX, seconds=1), datetime(9999, 12, 31, tzinfo=UTC)):
        with pytest.raises(Refused) as refusal:
            await offer(bench, anna, Role.WITNESS, until=wrong)
        assert codes(refusal) == {"grant.until"}


async def test_an_offer_that_was_not_taken_up_ends_with_its_day(bench: Workbench) -> None:
    anna = await bench.person("anna")
    offered = await offer(bench, anna, Role.OPERATOR, until=bench.clock.now() + timedelta(days=1))
    bench.clock.advance(timedelta(days=2))
    with pytest.raises(Refused):
        await bench.services.grants.accept_grant(anna, offered.record.id)
    assert await today(bench, anna) == set()


@pytest.mark.parametrize("role", [Role.PLATFORM, Role.SELF, Role.CSMS, Role.DEVICE])
async def test_what_is_no_persons_role_is_given_to_no_person(bench: Workbench, role: Role) -> None:
    with pytest.raises(Refused):
        await offer(bench, await bench.person("anna"), role)


async def test_nobody_is_given_everything_in_production(production: Workbench) -> None:
    ada, anna = await production.person("ada", Role.ADMINISTRATOR), await production.person("anna")
    with pytest.raises(Refused) as refusal:
        await offer(production, anna, Role.DEVELOPER, by=ada)
    assert "grant.role.development" in codes(refusal)


async def test_nobody_proposes_for_themselves(bench: Workbench) -> None:
    ada = await bench.person("ada", Role.ADMINISTRATOR)
    with pytest.raises(Refused) as refusal:
        await offer(bench, ada, Role.WITNESS, by=ada)
    assert codes(refusal) == {"grant.holder.self"}


async def test_a_trusted_role_takes_an_administrator_a_security_officer_and_the_person(production: Workbench) -> None:
    ada, sven = await production.person("ada", Role.ADMINISTRATOR), await production.person("sven", Role.SECURITY_OFFICER)
    anna = await production.person("anna")
    with pytest.raises(NeedsVotes) as waiting:
        await offer(production, anna, Role.CA_OFFICER, by=ada)
    assert (await production.ports.store.list_grants(holder=anna.actor.id)).items == ()
    done = await agree(production, waiting.value, sven)
    assert done.state is ProposalState.EXECUTED
    [record] = (await production.ports.store.list_grants(holder=anna.actor.id)).items
    assert (record.state, record.proposal) == (GrantState.OFFERED, done.id)
    await production.services.grants.accept_grant(anna, record.id)
    assert await today(production, anna) == {Role.CA_OFFICER}


async def test_nobodys_own_voice_counts_for_their_own_grant(production: Workbench) -> None:
    ada, sven = await production.person("ada", Role.ADMINISTRATOR), await production.person("sven", Role.SECURITY_OFFICER)
    with pytest.raises(NeedsVotes) as waiting:
        await offer(production, sven, Role.CA_OFFICER, by=ada)
    with pytest.raises(NotAuthorised):
        await agree(production, waiting.value, sven)
    assert await today(production, sven) == {Role.SECURITY_OFFICER}


async def test_a_conflict_that_arose_while_others_voted_stops_the_grant(production: Workbench) -> None:
    ada, sven = await production.person("ada", Role.ADMINISTRATOR), await production.person("sven", Role.SECURITY_OFFICER)
    anna = await production.person("anna")
    waiting = []
    for role in (Role.AUDITOR, Role.CA_OFFICER):
        with pytest.raises(NeedsVotes) as needs:
            await offer(production, anna, role, by=ada)
        waiting.append(needs.value)
    first, second = [await agree(production, proposal, sven) for proposal in waiting]
    assert first.state is ProposalState.EXECUTED
    assert second.state is ProposalState.FAILED
    assert "access.conflict" in second.outcome


async def test_a_party_gives_its_own_roles_to_its_own_people_and_no_more(bench: Workbench) -> None:
    await register(bench, "acme", "rival")
    pat = await bench.person("pat", Role.PARTY_ADMIN, party="acme", scope=ACME)
    anna = await bench.person("anna", party="acme")
    theirs, ours = await bench.person("theirs", party="rival"), await bench.person("ours")
    offered = await offer(bench, anna, Role.REQUESTER, by=pat)
    assert offered.record.scope == ACME
    for role in (Role.OPERATOR, Role.WITNESS, Role.ELECTOR):
        with pytest.raises(NotAuthorised) as refusal:
            await offer(bench, await bench.person(f"new-{role}", party="acme"), role, by=pat, scope=ACME)
        assert codes(refusal) == {"grant.role.plane"}
    for stranger in (theirs, ours):
        with pytest.raises(NotFound):
            await offer(bench, stranger, Role.REQUESTER, by=pat)
    with pytest.raises(NotFound):
        await bench.services.grants.propose_grant(pat, holder="person:nobody", role=Role.REQUESTER, scope=EVERYWHERE)
    bert = await bench.person("bert", party="acme")
    with pytest.raises(NotAuthorised) as beyond:
        await offer(bench, bert, Role.REQUESTER, by=pat, scope=Scope(parties=frozenset({"acme", "rival"})))
    assert codes(beyond) == {"grant.scope.beyond"}


async def test_a_narrow_proposer_gives_nothing_wider(bench: Workbench) -> None:
    await register(bench, "acme")
    narrow = Scope(parties=frozenset({"acme"}), profiles=frozenset({"ocpp/station"}))
    pat = await bench.person("pat", Role.PARTY_ADMIN, party="acme", scope=narrow)
    anna = await bench.person("anna", party="acme")
    with pytest.raises(NotAuthorised):
        await offer(bench, anna, Role.REQUESTER, by=pat)
    assert (await offer(bench, anna, Role.REQUESTER, by=pat, scope=narrow)).record.scope == narrow


async def test_what_is_ended_ends_at_once_with_every_token_made_from_it(bench: Workbench) -> None:
    anna = await bench.person("anna")
    accepted = await bench.services.grants.accept_grant(anna, (await offer(bench, anna, Role.OPERATOR)).record.id)
    anna = bench.caller(await bench.services.actors.of_person(PersonId(anna.actor.person)))
    _, secret = await bench.services.access.create_token(anna, TokenOrder("ci", frozenset({"certificate:object:read"})))
    assert (await bench.services.access.authenticate(secret)).grants
    ended = await bench.services.grants.end_grant(ADMIN, accepted.record.id)
    assert (ended.record.state, ended.record.ended_by) == (GrantState.ENDED, ADMIN.actor.id)
    assert await today(bench, anna) == set()
    with suppress(NotAuthenticated):
        assert not (await bench.services.access.authenticate(secret)).grants
    with pytest.raises(Conflict):
        await bench.services.grants.end_grant(ADMIN, accepted.record.id)


async def test_a_person_gives_up_their_own_role_and_a_security_officer_ends_anybodys(production: Workbench) -> None:
    anna = await production.person("anna", Role.OPERATOR)
    bert = await production.person("bert", Role.OPERATOR)
    sven = await production.person("sven", Role.SECURITY_OFFICER)
    with pytest.raises(NotAuthorised):
        await production.services.grants.end_grant(anna, GrantId("grt_bert_operator"))
    await production.services.grants.end_grant(anna, GrantId("grt_anna_operator"))
    await production.services.grants.end_grant(sven, GrantId("grt_bert_operator"))
    assert await today(production, anna) == await today(production, bert) == set()


async def test_the_same_right_twice_is_refused_and_a_longer_one_is_not(bench: Workbench) -> None:
    anna = await bench.person("anna")
    first = await offer(bench, anna, Role.OPERATOR)
    with pytest.raises(Refused) as refusal:
        await offer(bench, anna, Role.OPERATOR)
    assert codes(refusal) == {"grant.held"}
    await offer(bench, anna, Role.OPERATOR, until=first.record.until + timedelta(days=1))


async def test_nobody_holds_more_grants_than_a_decision_can_record(bench: Workbench) -> None:
    await register(bench, *(f"p{n}" for n in range(HELD_MAX + 1)))
    anna = await bench.person("anna")
    for n in range(HELD_MAX):
        await offer(bench, anna, Role.REQUESTER, scope=Scope(parties=frozenset({f"p{n}"})))
    with pytest.raises(Refused) as refusal:
        await offer(bench, anna, Role.REQUESTER, scope=Scope(parties=frozenset({f"p{HELD_MAX}"})))
    assert codes(refusal) == {"grant.holder.full"}


@pytest.mark.parametrize("scope", [Scope(parties=frozenset()), Scope(profiles=frozenset(f"a/{n}" for n in range(33)))])
async def test_a_scope_that_reaches_nothing_or_names_too_much_is_refused(bench: Workbench, scope: Scope) -> None:
    with pytest.raises(Refused) as refusal:
        await offer(bench, await bench.person("anna"), Role.OPERATOR, scope=scope)
    assert "grant.scope.size" in codes(refusal)


@pytest.mark.parametrize("holder", ["", "person:", "machine:", "anna", "station:CS-1", "person:per_nobody", "token:x/tok_1", "me"])
async def test_an_unknown_holder_is_not_found_and_not_repeated(bench: Workbench, holder: str) -> None:
    with pytest.raises(NotFound) as refusal:
        await bench.services.grants.propose_grant(ADMIN, holder=holder, role=Role.OPERATOR, scope=EVERYWHERE)
    assert codes(refusal) == {"grant.holder.unknown"}


async def test_who_has_left_is_granted_nothing(bench: Workbench) -> None:
    anna = await bench.person("anna")
    await bench.services.people.offboard_person(ADMIN, PersonId(anna.actor.person))
    with pytest.raises(Refused) as refusal:
        await offer(bench, anna, Role.OPERATOR)
    assert codes(refusal) == {"grant.holder.state"}


@pytest.mark.clause("EN 319 401 REQ-7.4.1-08")
async def test_the_register_is_searched_by_holder_role_and_state(bench: Workbench) -> None:
    await register(bench, "acme", "rival")
    anna, bert = await bench.person("anna", party="acme"), await bench.person("bert", party="rival")
    mine = await offer(bench, anna, Role.REQUESTER)
    theirs = await offer(bench, bert, Role.REQUESTER)
    grants = bench.services.grants
    both = await grants.list_grants(ADMIN, role=Role.REQUESTER, state=GrantState.OFFERED)
    assert {held.record.id for held in both.items} == {mine.record.id, theirs.record.id}
    assert [held.holder.name for held in (await grants.list_grants(ADMIN, holder="person:anna")).items] == ["anna"]
    pat = await bench.person("pat", Role.PARTY_ADMIN, party="acme", scope=ACME)
    assert {held.holder.party for held in (await grants.list_grants(pat)).items} == {"acme"}
    with pytest.raises(NotFound):
        await grants.list_grants(pat, holder="person:bert")
    with pytest.raises(NotFound):
        await grants.get_grant(pat, theirs.record.id)
    with pytest.raises(NotFound):
        await grants.end_grant(pat, theirs.record.id)


async def test_everybody_sees_what_they_are_offered(bench: Workbench) -> None:
    anna = await bench.person("anna")
    offered = await offer(bench, anna, Role.OPERATOR)
    await offer(bench, await bench.person("bert"), Role.OPERATOR)
    assert [held.record.id for held in (await bench.services.grants.list_grants(anna, holder="me")).items] == [offered.record.id]
    assert (await bench.services.grants.get_grant(anna, offered.record.id)).record == offered.record
    with pytest.raises(NotAuthorised):
        await bench.services.grants.list_grants(anna)


async def test_a_review_tells_what_is_unused_and_what_ends_soon(bench: Workbench) -> None:
    now = bench.clock.now()
    anna, bert = await bench.person("anna"), await bench.person("bert")
    soon = now + timedelta(days=100)
    for person, until in ((anna, soon), (bert, now + timedelta(days=300))):
        await bench.services.grants.accept_grant(person, (await offer(bench, person, Role.OPERATOR, until=until)).record.id)
    bench.clock.advance(timedelta(days=95))
    seen = bench.clock.now()
    session = Session(SessionId("ses_1"), b"s" * 32, PersonId(anna.actor.person), "local", seen, seen + timedelta(hours=1), seen)
    await bench.ports.store.commit(AddSession(session))
    auditor = await bench.person("otto", Role.AUDITOR)
    review = await bench.services.grants.reviews.review(auditor)
    lines = {line.held.holder.name: line for line in review.lines}
    assert (lines["anna"].last_seen, lines["anna"].ends_soon, lines["anna"].is_unused) == (seen, True, False)
    assert (lines["bert"].last_seen, lines["bert"].ends_soon, lines["bert"].is_unused) == (None, False, True)
    assert not lines["admin"].is_unused


async def test_an_auditor_signs_exactly_the_rights_that_were_reviewed(bench: Workbench) -> None:
    auditor, ada = await bench.person("otto", Role.AUDITOR), await bench.person("ada", Role.ADMINISTRATOR)
    reviews = bench.services.grants.reviews
    review = await reviews.review(auditor)
    with pytest.raises(NotAuthorised):
        await reviews.sign(ada, review.digest)
    entry = await bench.ports.store.get_audit(await reviews.sign(auditor, review.digest))
    assert entry.action == Permission.AUDIT_REVIEW_SIGN
    assert review.digest.hex().encode() in entry.body
    await offer(bench, await bench.person("anna"), Role.OPERATOR)
    with pytest.raises(Conflict) as refusal:
        await reviews.sign(auditor, review.digest)
    assert codes(refusal) == {"review.changed"}


async def test_a_party_reviews_its_own_rights(bench: Workbench) -> None:
    await register(bench, "acme", "rival")
    for name in ("acme", "rival"):
        await offer(bench, await bench.person(f"p-{name}", party=name), Role.REQUESTER)
    auditor = await bench.person("otto", Role.PARTY_AUDITOR, party="acme", scope=ACME)
    reviews = bench.services.grants.reviews
    assert {line.held.holder.party for line in (await reviews.review(auditor)).lines} == {"acme"}
    assert (await reviews.review(auditor, party=PartyId("rival"))).lines == ()


@pytest.mark.parametrize(
    "change",
    [{"do": "else"}, {"role": "king"}, {"until": "tomorrow"}, {"until": 7}, {"holder": None}, {"scope": {"parties": "all"}}, {"scope": []}],
)
async def test_a_proposal_that_cannot_be_read_grants_nothing(bench: Workbench, change: dict[str, JsonValue]) -> None:
    anna = await bench.person("anna")
    order: dict[str, JsonValue] = {"do": "grant", "holder": anna.actor.id, "role": "operator", "scope": {}, "until": "2027-06-30T00:00:00Z"}
    with pytest.raises((Broken, Refused)):
        await bench.services.grants.carry_out(ADMIN, {**order, **change}, NO_BALLOT)
    assert (await bench.ports.store.list_grants(holder=anna.actor.id)).items == ()
    assert await bench.services.grants.carry_out(ADMIN, order, NO_BALLOT)
