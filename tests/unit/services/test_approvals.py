"""Approvals: who has to agree, to what exactly, and what happens then."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import Ballot
from chargepki.core.access.permissions import Permission
from chargepki.core.proposals import JsonObject, diff_payloads, parse_payload
from chargepki.core.records import PartyState, ProposalId, ProposalState
from chargepki.errors import Conflict, NotAuthorised, NotFound, Refused, VaultUnavailable
from chargepki.ports import UpdateParty
from chargepki.services.audit import Caller
from chargepki.services.standing import spell_order
from tests.unit.services.approvals_board import PARTY, Board, cooling, open_board


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with open_board(tmp_path) as opened:
        yield opened


@pytest.fixture
async def cool_board(tmp_path: Path) -> AsyncIterator[Board]:
    """Here what was agreed on waits for a day."""
    async with open_board(tmp_path, cooling(24)) as opened:
        yield opened


async def test_what_three_must_agree_on_happens_with_the_third(board: Board) -> None:
    proposal = await board.propose()
    assert (proposal.state, proposal.rule, proposal.revision) == (ProposalState.OPEN, "standing-approval", 1)
    assert (await board.vote(0, proposal)).state is ProposalState.OPEN
    assert await board.made() == ()
    done = await board.vote(1, proposal)
    (record,) = await board.made()
    assert (done.state, done.outcome) == (ProposalState.EXECUTED, f"standing:{record.approval.id}")
    assert (record.proposal, record.created_by) == (proposal.id, board.proposer.actor.id)


async def test_the_report_names_filled_and_missing_seats(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    report = await board.approvals.get(board.officers[1], proposal.id)
    assert [(seat.permission, seat.count) for seat in report.missing] == [(Permission.APPROVAL_STANDING_APPROVE, 1)]
    assert {person for _, person in report.filled} == {"per_adam", "per_rita"}
    assert report.may_vote
    assert not (await board.approvals.get(board.officers[0], proposal.id)).may_vote
    assert not (await board.approvals.get(board.proposer, proposal.id)).may_vote


async def test_mine_are_those_i_could_vote_on(board: Board) -> None:
    first, second = await board.propose(1), await board.propose(2)
    await board.vote(0, first)
    mine = await board.approvals.list(board.officers[0], is_mine=True)
    everything = await board.approvals.list(board.officers[0])
    assert [report.proposal.id for report in mine.items] == [second.id]
    assert [report.proposal.id for report in everything.items] == [second.id, first.id]
    assert (await board.approvals.list(board.proposer, is_mine=True)).items == ()


async def test_one_vote_against_stops_it(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    stopped = await board.vote(1, proposal, is_for=False)
    assert (stopped.state, stopped.outcome) == (ProposalState.REJECTED, "against: per_rosa")
    with pytest.raises(Conflict, match="rejected"):
        await board.vote(2, proposal)
    assert await board.made() == ()


async def test_an_expired_proposal_takes_no_votes(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    board.bench.clock.set(proposal.expires_at)
    with pytest.raises(Conflict, match="expired"):
        await board.vote(1, proposal)
    assert (await board.get(proposal.id)).state is ProposalState.EXPIRED
    assert await board.made() == ()


async def test_the_chores_expire_what_nobody_looks_at(board: Board) -> None:
    proposal = await board.propose()
    assert await board.approvals.carry_out_due() == 0
    board.bench.clock.set(proposal.expires_at)
    assert await board.approvals.carry_out_due() == 1
    assert (await board.get(proposal.id)).state is ProposalState.EXPIRED


async def test_two_last_votes_at_once_carry_it_out_once(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    outcomes = await asyncio.gather(board.vote(1, proposal), board.vote(2, proposal), return_exceptions=True)
    assert len(await board.made()) == 1
    assert (await board.get(proposal.id)).state is ProposalState.EXECUTED
    # The slower of the two may find the proposal closed, or the last seat taken: a refusal, never a breakdown.
    assert all(isinstance(outcome, Refused | type(proposal)) for outcome in outcomes), outcomes


async def test_all_three_at_once_carry_it_out_once(board: Board) -> None:
    for _ in range(5):
        proposal = await board.propose()
        before = len(await board.made())
        await asyncio.gather(*(board.vote(n, proposal) for n in range(3)), return_exceptions=True)
        assert len(await board.made()) == before + 1


# ------------------------------------------------------------------------------------------------------------------- edits


async def test_an_edit_voids_the_votes_and_starts_the_time_anew(board: Board) -> None:
    proposal = await board.propose(10)
    await board.vote(0, proposal)
    board.bench.clock.advance(timedelta(hours=1))
    edited = await edit(board, proposal.id, 20)
    assert (edited.revision, edited.digest != proposal.digest) == (2, True)
    assert edited.expires_at == proposal.expires_at + timedelta(hours=1)
    with pytest.raises(Conflict, match="edited"):
        await board.vote(1, proposal)
    await board.vote(1, edited)
    assert await board.made() == ()  # one vote of two: the one on revision 1 is void
    await board.vote(0, edited)  # and its voter may vote again
    assert [record.approval.per_hour_max for record in await board.made()] == [20]


async def test_an_edit_that_is_taken_back_does_not_bring_the_votes_back(board: Board) -> None:
    proposal = await board.propose(10)
    await board.vote(0, proposal)
    await edit(board, proposal.id, 20)
    back = await edit(board, proposal.id, 10)
    assert parse_payload(back.payload).order == parse_payload(proposal.payload).order
    assert (await board.approvals.get(board.proposer, back.id)).votes == ()


async def test_the_edit_tells_what_changed(board: Board) -> None:
    proposal = await board.propose(10)
    edited = await edit(board, proposal.id, 20)
    changes = diff_payloads(proposal.payload, edited.payload)
    assert [(c.path, c.before, c.after) for c in changes] == [("order.per_hour_max", "10", "20"), ("revision", "", "2")]


async def test_only_its_proposer_edits_or_withdraws(board: Board) -> None:
    proposal = await board.propose()
    with pytest.raises(NotAuthorised):
        await board.approvals.edit(board.officers[0], proposal.id, spell_order(board.order(20)))
    with pytest.raises(NotAuthorised):
        await board.approvals.withdraw(board.officers[0], proposal.id)
    assert (await board.get(proposal.id)).revision == 1


async def test_an_edit_into_nonsense_is_refused(board: Board) -> None:
    proposal = await board.propose()
    for order in ({}, {"party": "demo-cpo"}, spell_order(board.order(0)), {**spell_order(board.order()), "more": True}):
        with pytest.raises(Refused):
            await board.approvals.edit(board.proposer, proposal.id, order)
    assert (await board.get(proposal.id)).digest == proposal.digest


async def test_a_withdrawn_proposal_is_over(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    assert (await board.approvals.withdraw(board.proposer, proposal.id)).proposal.state is ProposalState.WITHDRAWN
    with pytest.raises(Conflict, match="withdrawn"):
        await board.vote(1, proposal)
    with pytest.raises(Conflict):
        await edit(board, proposal.id, 20)


async def test_a_proposal_that_does_not_exist_is_not_found(board: Board) -> None:
    with pytest.raises(NotFound):
        await board.approvals.get(board.officers[0], ProposalId("prp_none"))


# --------------------------------------------------------------------------------------------------------------- cool-down


async def test_what_cools_down_takes_effect_afterwards(cool_board: Board) -> None:
    proposal = await approved(cool_board)
    assert await cool_board.approvals.carry_out_due() == 0
    assert await cool_board.made() == ()
    cool_board.bench.clock.advance(timedelta(hours=24))
    assert await cool_board.approvals.carry_out_due() == 1
    assert (await cool_board.get(proposal.id)).state is ProposalState.EXECUTED
    assert len(await cool_board.made()) == 1
    assert await cool_board.approvals.carry_out_due() == 0


async def test_while_it_cools_down_one_objection_stops_it(cool_board: Board) -> None:
    proposal = await approved(cool_board)
    assert (await cool_board.vote(2, proposal, is_for=False)).state is ProposalState.REJECTED
    cool_board.bench.clock.advance(timedelta(hours=24))
    await cool_board.approvals.carry_out_due()
    assert await cool_board.made() == ()


async def test_an_edit_starts_the_cool_down_anew(cool_board: Board) -> None:
    """Something harmless that has waited long enough does not let something else through at once."""
    proposal = await cool_board.propose(1)
    cool_board.bench.clock.advance(timedelta(hours=25))
    edited = await edit(cool_board, proposal.id, 100_000)
    await cool_board.vote(0, edited)
    assert (await cool_board.vote(1, edited)).state is ProposalState.APPROVED
    cool_board.bench.clock.advance(timedelta(hours=23))
    assert await cool_board.approvals.carry_out_due() == 0
    cool_board.bench.clock.advance(timedelta(hours=1))
    assert await cool_board.approvals.carry_out_due() == 1
    assert len(await cool_board.made()) == 1


async def test_while_it_cools_down_its_proposer_may_withdraw_it(cool_board: Board) -> None:
    proposal = await approved(cool_board)
    assert (await cool_board.approvals.withdraw(cool_board.proposer, proposal.id)).proposal.state is ProposalState.WITHDRAWN


# ------------------------------------------------------------------------------------------------------------ carrying out


async def test_a_refusal_while_it_is_carried_out_leaves_a_readable_failure(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    party = await board.bench.ports.store.get_party(PARTY)
    await board.bench.ports.store.commit(UpdateParty(replace(party, state=PartyState.SUSPENDED)))
    failed = await board.vote(1, proposal)
    assert failed.state is ProposalState.FAILED
    assert "approval.standing.party" in failed.outcome
    assert (await board.approvals.get(board.officers[0], proposal.id)).content.action is Permission.APPROVAL_STANDING_PROPOSE
    assert await board.made() == ()


async def test_what_broke_stays_approved_and_is_tried_again(board: Board) -> None:
    async def break_down(caller: Caller, order: JsonObject, ballot: Ballot) -> str:
        raise VaultUnavailable("the token was unplugged")

    proposal = await board.propose()
    await board.vote(0, proposal)
    broken = board.approvals_with(break_down)
    report = await broken.vote(board.officers[1], proposal.id, proposal.digest, is_for=True)
    assert report.proposal.state is ProposalState.APPROVED
    assert "the token was unplugged" in report.proposal.outcome
    assert await board.approvals.carry_out_due() == 1
    assert (await board.get(proposal.id)).state is ProposalState.EXECUTED
    assert len(await board.made()) == 1


@pytest.mark.parametrize("has_taken_effect", [False, True])
async def test_a_crash_between_approved_and_executed_is_made_good_once(board: Board, has_taken_effect: bool) -> None:
    async def die(caller: Caller, order: JsonObject, ballot: Ballot) -> str:
        if has_taken_effect:
            await board.bench.services.standing.carry_out(caller, order, ballot)
        raise asyncio.CancelledError  # what the process sees of its end

    proposal = await board.propose()
    await board.vote(0, proposal)
    with pytest.raises(asyncio.CancelledError):
        await board.approvals_with(die).vote(board.officers[1], proposal.id, proposal.digest, is_for=True)
    assert (await board.get(proposal.id)).state is ProposalState.APPROVED
    assert await board.approvals.carry_out_due() == 0  # somebody may still be at it
    board.bench.clock.advance(timedelta(minutes=15))
    assert await board.approvals.carry_out_due() == 1
    (record,) = await board.made()
    done = await board.get(proposal.id)
    assert (done.state, done.outcome) == (ProposalState.EXECUTED, f"standing:{record.approval.id}")


async def test_a_crash_between_the_last_vote_and_the_decision_is_made_good(board: Board) -> None:
    """The vote is durable, and nobody had the time to look at what it means."""
    proposal = await board.propose()
    await board.vote(0, proposal)
    settle = board.approvals._settle

    async def vote_and_die() -> None:
        calls = 0

        async def dying(id: ProposalId) -> object:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise asyncio.CancelledError
            return await settle(id)

        board.approvals._settle = dying  # type: ignore[method-assign,assignment]
        try:
            await board.vote(1, proposal)
        finally:
            board.approvals._settle = settle  # type: ignore[method-assign]

    with pytest.raises(asyncio.CancelledError):
        await vote_and_die()
    assert await board.approvals.carry_out_due() == 1
    assert len(await board.made()) == 1


async def test_two_nodes_at_once_carry_it_out_once(cool_board: Board) -> None:
    await approved(cool_board)
    cool_board.bench.clock.advance(timedelta(hours=24))
    other = cool_board.approvals_with(cool_board.bench.services.standing.carry_out)
    await asyncio.gather(cool_board.approvals.carry_out_due(), other.carry_out_due())
    assert len(await cool_board.made()) == 1


async def test_every_step_is_in_the_trail(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    await board.vote(1, proposal)
    entries = (await board.bench.ports.store.list_audit(limit=50)).items
    steps = [(entry.action, entry.outcome) for entry in reversed(entries) if b"standing" in entry.body]
    wanted = [
        (Permission.APPROVAL_STANDING_PROPOSE, "pending"),
        (Permission.APPROVAL_STANDING_APPROVE, "done"),
        (Permission.APPROVAL_STANDING_APPROVE, "done"),
        (Permission.APPROVAL_STANDING_PROPOSE, "done"),
    ]
    assert [step for step in steps if step in wanted] == wanted
    assert all(proposal.digest.hex().encode() in entry.body for entry in entries[:4])


async def test_an_action_that_nobody_carries_out_fails_readably(board: Board) -> None:
    proposal = await board.propose()
    await board.vote(0, proposal)
    approvals = type(board.approvals)(board.bench.ports, board.bench.services.audit, board.bench.services.actors, {})
    report = await approvals.vote(board.officers[1], proposal.id, proposal.digest, is_for=True)
    assert report.proposal.state is ProposalState.FAILED
    with pytest.raises(Refused, match="cannot be edited"):
        await approvals.edit(board.proposer, (await board.propose()).id, {})


async def approved(board: Board):  # type: ignore[no-untyped-def]
    proposal = await board.propose()
    await board.vote(0, proposal)
    waiting = await board.vote(1, proposal)
    assert waiting.state is ProposalState.APPROVED
    assert waiting.outcome.startswith("waits until")
    return waiting


async def edit(board: Board, id: ProposalId, per_hour_max: int):  # type: ignore[no-untyped-def]
    return (await board.approvals.edit(board.proposer, id, spell_order(board.order(per_hour_max)))).proposal
