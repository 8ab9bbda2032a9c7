"""Attacks on votes: replayed, bound to other bytes, by those who may no longer, twice by one person."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import ActorKind, Assurance, Grant, Role, Scope
from chargepki.core.proposals import digest_payload
from chargepki.core.records import GrantId, GrantRecord, GrantState, ProposalState, VoteRecord
from chargepki.errors import Broken, Conflict, NeedsStepUp, NotAuthorised, NotFound
from chargepki.ports import AddGrant, AddVote, UpdateGrant, UpdateProposal
from chargepki.services.audit import Caller
from chargepki.services.standing import spell_order
from tests.unit.services.approvals_board import Board, cooling, open_board


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with open_board(tmp_path) as opened:
        yield opened


@pytest.fixture
async def cool_board(tmp_path: Path) -> AsyncIterator[Board]:
    """Here a day lies between the last vote and the effect."""
    async with open_board(tmp_path, cooling(24)) as opened:
        yield opened


async def test_a_vote_that_is_replayed_counts_once(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    with pytest.raises(Conflict, match="voted"):
        await board.vote(0, proposal)
    assert len(await board.bench.ports.store.list_votes(proposal.id)) == 1
    assert await board.made() == ()


async def test_a_vote_that_is_replayed_after_an_edit_is_refused(board: Board) -> None:
    proposal = await board.propose(1)
    await board.vote(0, proposal)
    edited = (await board.approvals.edit(board.proposer, proposal.id, spell_order(board.order(100_000)))).proposal
    for officer in (0, 1):  # the very words that were good a moment ago
        with pytest.raises(Conflict, match="edited"):
            await board.vote(officer, proposal)
    assert (await board.get(edited.id)).state is ProposalState.OPEN
    assert await board.made() == ()


async def test_a_vote_does_not_carry_over_to_another_proposal(board: Board) -> None:
    agreed, other = await board.propose(1), await board.propose(100_000)
    with pytest.raises(Conflict, match="edited"):
        await board.approvals.vote(board.officers[0], other.id, agreed.digest, is_for=True)


@pytest.mark.parametrize("digest", [b"", b"\0" * 32, b"x" * 31, b"x" * 64])
async def test_a_vote_for_other_bytes_is_refused(board: Board, digest: bytes) -> None:
    proposal = await board.propose()
    with pytest.raises(Conflict):
        await board.approvals.vote(board.officers[0], proposal.id, digest, is_for=True)
    assert await board.bench.ports.store.list_votes(proposal.id) == ()


async def test_votes_put_into_the_database_for_other_bytes_count_for_nothing(board: Board) -> None:
    proposal = await board.propose()
    now = board.bench.clock.now()
    edited = (await board.approvals.edit(board.proposer, proposal.id, spell_order(board.order(100_000)))).proposal
    for officer in board.officers[:2]:
        forged = VoteRecord(edited.id, officer.actor.person, proposal.digest, True, now, 2)  # type: ignore[arg-type]
        with pytest.raises(Conflict):
            await board.bench.ports.store.commit(AddVote(forged))
    assert await board.approvals.carry_out_due() == 0
    assert await board.made() == ()


async def test_a_payload_changed_in_the_database_is_neither_shown_nor_carried_out(board: Board) -> None:
    proposal = await board.propose(1)
    await board.vote(0, proposal)
    changed = proposal.payload.replace(b'"per_hour_max":1,', b'"per_hour_max":99999,')
    assert digest_payload(changed) != proposal.digest
    await board.bench.ports.store.commit(UpdateProposal(replace(await board.get(proposal.id), payload=changed)))
    for attempt in (board.vote(1, proposal), board.approvals.get(board.officers[1], proposal.id), board.approvals.carry_out_due()):
        with pytest.raises(Broken, match="digest"):
            await attempt
    assert await board.made() == ()


async def test_the_proposer_has_no_vote_of_their_own(board: Board) -> None:
    proposal = await board.propose()
    with pytest.raises(NotAuthorised):
        await board.approvals.vote(board.proposer, proposal.id, proposal.digest, is_for=True)
    assert await board.bench.ports.store.list_votes(proposal.id) == ()


async def test_two_accounts_of_one_person_are_one_voice(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    rita = board.officers[0].actor
    again = Caller(replace(rita, id="token:laptop/tok_1"), door="test")
    with pytest.raises(Conflict, match="voted"):
        await board.approvals.vote(again, proposal.id, proposal.digest, is_for=True)


async def test_the_proposer_cannot_agree_through_a_second_account(board: Board) -> None:
    """Same person, another account that holds the officer's role: a conflict of duties, and no second seat."""
    proposal = await board.propose()
    officer = Grant("grt_other", Role.REGISTRATION_OFFICER, until=board.bench.clock.now() + timedelta(days=1))
    second = replace(board.proposer.actor, id="person:per_adam2", grants=(officer,), other_roles=frozenset({Role.ADMINISTRATOR}))
    unaware = replace(second, other_roles=frozenset())
    for account in (second, unaware):
        with pytest.raises(NotAuthorised):
            await board.approvals.vote(Caller(account, door="test"), proposal.id, proposal.digest, is_for=True)
    assert await board.bench.ports.store.list_votes(proposal.id) == ()


async def test_a_machine_has_no_vote(board: Board) -> None:
    proposal = await board.propose()
    grants = board.officers[0].actor.grants
    machine = replace(board.officers[0].actor, id="machine:mch_1", kind=ActorKind.MACHINE, person="", grants=grants)
    with pytest.raises((NotAuthorised, NotFound)):
        await board.approvals.vote(Caller(machine, door="test"), proposal.id, proposal.digest, is_for=True)


async def test_a_password_alone_is_no_vote(board: Board) -> None:
    proposal = await board.propose()
    unsure = Caller(replace(board.officers[0].actor, assurance=Assurance.TOKEN), door="test")
    with pytest.raises(NeedsStepUp):
        await board.approvals.vote(unsure, proposal.id, proposal.digest, is_for=True)
    assert await board.bench.ports.store.list_votes(proposal.id) == ()


async def test_whoever_may_not_take_a_seat_may_not_vote_and_not_stop_it_either(board: Board) -> None:
    proposal = await board.propose()
    revoker = await board.bench.person("rune", Role.REVOCATION_OFFICER)
    for is_for in (True, False):
        with pytest.raises(NotAuthorised):
            await board.approvals.vote(revoker, proposal.id, proposal.digest, is_for=is_for)
    assert (await board.get(proposal.id)).state is ProposalState.OPEN


async def test_an_officer_of_another_party_does_not_even_see_it(board: Board) -> None:
    proposal = await board.propose()
    stranger = await board.bench.person("sven", Role.REGISTRATION_OFFICER, scope=Scope(parties=frozenset({"other-cpo"})))
    with pytest.raises(NotFound):
        await board.approvals.get(stranger, proposal.id)
    with pytest.raises(NotFound):
        await board.approvals.vote(stranger, proposal.id, proposal.digest, is_for=True)
    assert (await board.approvals.list(stranger)).items == ()


async def test_a_narrow_officer_does_not_agree_to_more_than_they_reach(board: Board) -> None:
    proposal = await board.propose()
    narrow = await board.bench.person("nora", Role.REGISTRATION_OFFICER, scope=Scope(profiles=frozenset({"ocpp/csms-server"})))
    with pytest.raises(NotAuthorised):
        await board.approvals.vote(narrow, proposal.id, proposal.digest, is_for=True)


async def test_a_voter_who_left_before_it_takes_effect_counts_no_more(cool_board: Board) -> None:
    board = cool_board
    proposal = await _approved(board)
    await board.offboard(0)
    board.bench.clock.advance(timedelta(hours=24))
    await board.approvals.carry_out_due()
    reopened = await board.get(proposal.id)
    assert (reopened.state, "may no longer" in reopened.outcome) == (ProposalState.OPEN, True)
    assert await board.made() == ()
    await board.vote(2, reopened)  # somebody else may take the seat while there is time
    assert (await board.get(proposal.id)).state is ProposalState.EXECUTED


async def test_a_scope_that_was_narrowed_since_the_vote_counts_as_it_is_now(cool_board: Board) -> None:
    board = cool_board
    proposal = await _approved(board)
    record = await board.bench.ports.store.get_grant(GrantId(board.officers[1].actor.grants[0].id))
    elsewhere = replace(record, scope=Scope(parties=frozenset({"other-cpo"})))
    await board.bench.ports.store.commit(UpdateGrant(elsewhere))
    board.forget(1)
    board.bench.clock.advance(timedelta(hours=24))
    await board.approvals.carry_out_due()
    assert (await board.get(proposal.id)).state is ProposalState.OPEN
    assert await board.made() == ()


async def test_a_grant_that_ended_since_the_vote_counts_no_more(cool_board: Board) -> None:
    board = cool_board
    proposal = await _approved(board)
    now = board.bench.clock.now()
    record = await board.bench.ports.store.get_grant(GrantId(board.officers[1].actor.grants[0].id))
    await board.bench.ports.store.commit(UpdateGrant(replace(record, state=GrantState.ENDED, ended_at=now, ended_by="system")))
    board.forget(1)
    board.bench.clock.advance(timedelta(hours=24))
    await board.approvals.carry_out_due()
    assert (await board.get(proposal.id)).state is ProposalState.OPEN
    assert await board.made() == ()


async def test_a_conflict_of_duties_that_came_up_since_the_vote_voids_it(cool_board: Board) -> None:
    board = cool_board
    proposal = await _approved(board)
    now = board.bench.clock.now()
    auditor = GrantRecord(
        GrantId("grt_new"),
        board.officers[1].actor.id,
        Role.AUDITOR,
        Scope(),
        now + timedelta(days=9),
        GrantState.ACTIVE,
        "system",
        now,
    )
    await board.bench.ports.store.commit(AddGrant(auditor))
    board.forget(1)
    board.bench.clock.advance(timedelta(hours=24))
    await board.approvals.carry_out_due()
    assert (await board.get(proposal.id)).state is ProposalState.OPEN
    assert await board.made() == ()


async def test_a_proposer_who_left_takes_the_proposal_along(cool_board: Board) -> None:
    board = cool_board
    proposal = await _approved(board)
    now = board.bench.clock.now()
    record = await board.bench.ports.store.get_grant(GrantId(board.proposer.actor.grants[0].id))
    await board.bench.ports.store.commit(UpdateGrant(replace(record, state=GrantState.ENDED, ended_at=now, ended_by="system")))
    board.bench.services.actors.forget(board.proposer.actor.id)
    board.bench.clock.advance(timedelta(hours=24))
    await board.approvals.carry_out_due()
    failed = await board.get(proposal.id)
    assert (failed.state, "access.permission.missing" in failed.outcome) == (ProposalState.FAILED, True)
    assert await board.made() == ()


async def _approved(board: Board):  # type: ignore[no-untyped-def]
    proposal = await board.propose()
    await board.vote(0, proposal)
    waiting = await board.vote(1, proposal)
    assert waiting.state is ProposalState.APPROVED
    return waiting
