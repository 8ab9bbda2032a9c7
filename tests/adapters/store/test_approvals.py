"""Proposals, votes and standing approvals, on every store."""

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest

from chargepki.adapters.store import SqlStore
from chargepki.core.records import PartyId, ProposalId, ProposalState, StandingId
from chargepki.errors import Conflict, NotFound
from chargepki.ports import AddProposal, AddStanding, AddVote, EndStanding, UpdateProposal, UseStanding
from tests.adapters.store.facts import DAY, HOUR, NOW, SECOND, proposal, standing, vote
from tests.adapters.store.refusals import conflict

STA_1 = StandingId("sta_1")


async def used(store: SqlStore, at: datetime) -> int:
    return (await store.list_standing(is_live_at=at)).items[0].approval.used


async def test_a_proposal_is_kept_to_the_byte_and_moves_by_version(store: SqlStore) -> None:
    opened = proposal("prp_1", b'{"v":1,"text":"\xc3\xa4"}', "demo-cpo")
    await store.commit(AddProposal(opened))
    assert await store.get_proposal(opened.id) == opened
    moved = replace(opened, state=ProposalState.APPROVED, outcome="waits", revision=2, payload=b"{}", digest=b"d" * 32)
    await store.commit(UpdateProposal(moved))
    assert await store.get_proposal(opened.id) == replace(moved, version=2)
    with conflict("store.proposal.changed"):
        await store.commit(UpdateProposal(moved))
    with conflict("store.proposal.unknown"):
        await store.commit(UpdateProposal(proposal("prp_9")))
    with conflict("store.proposal.exists"):
        await store.commit(AddProposal(opened))
    with pytest.raises(NotFound, match="there is no proposal prp_9"):
        await store.get_proposal(ProposalId("prp_9"))


async def test_proposals_come_newest_first_and_by_state(store: SqlStore) -> None:
    a, b, c = proposal("prp_1"), replace(proposal("prp_2"), state=ProposalState.EXECUTED), proposal("prp_3")
    await store.commit(AddProposal(b), AddProposal(c), AddProposal(a))
    assert (await store.list_proposals()).items == (c, b, a)
    assert (await store.list_proposals(state=ProposalState.OPEN)).items == (c, a)


async def test_a_vote_binds_the_bytes_that_stand_and_counts_once_per_person(store: SqlStore) -> None:
    first = proposal()
    await store.commit(AddProposal(first))
    await store.commit(AddVote(vote(first, "per_2")))
    with conflict("store.vote.exists"):
        await store.commit(AddVote(vote(first, "per_2", is_for=False)))
    with conflict("store.proposal.unknown"):
        await store.commit(AddVote(vote(proposal("prp_9"))))

    edited = replace(proposal(payload=b'{"v":1,"revision":2}'), version=2, revision=2)
    await store.commit(UpdateProposal(edited))
    with conflict("store.proposal.edited"):
        await store.commit(AddVote(vote(first, "per_3")))
    await store.commit(AddVote(vote(edited, "per_2", is_for=False)))
    assert await store.list_votes(first.id) == (vote(first, "per_2"), vote(edited, "per_2", is_for=False))

    await store.commit(UpdateProposal(replace(edited, version=4, state=ProposalState.REJECTED)))
    with conflict("store.proposal.closed"):
        await store.commit(AddVote(vote(edited, "per_3")))


async def test_a_decision_made_without_a_vote_conflicts_with_it(store: SqlStore) -> None:
    read = proposal()
    await store.commit(AddProposal(read))
    await store.commit(AddVote(vote(read, is_for=False)))
    with conflict("store.proposal.changed"):
        await store.commit(UpdateProposal(replace(read, state=ProposalState.APPROVED)))


async def test_of_two_votes_of_one_person_one_counts(nodes: tuple[SqlStore, SqlStore]) -> None:
    for n in range(10):
        asked = proposal(f"prp_{n}")
        await nodes[0].commit(AddProposal(asked))
        race = (node.commit(AddVote(vote(asked, is_for=place == 0))) for place, node in enumerate(nodes))
        outcomes = await asyncio.gather(*race, return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]
        assert len(await nodes[0].list_votes(asked.id)) == 1


async def test_a_vote_and_an_edit_at_once_are_never_both_on_record(nodes: tuple[SqlStore, SqlStore]) -> None:
    for n in range(10):
        asked = proposal(f"prp_{n}")
        await nodes[0].commit(AddProposal(asked))
        edited = replace(proposal(f"prp_{n}", b"{}"), revision=2)
        outcomes = await asyncio.gather(
            nodes[0].commit(AddVote(vote(asked))), nodes[1].commit(UpdateProposal(edited)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]


async def test_many_people_vote_at_once(nodes: tuple[SqlStore, SqlStore]) -> None:
    asked = proposal()
    await nodes[0].commit(AddProposal(asked))
    await asyncio.gather(*(nodes[n % 2].commit(AddVote(vote(asked, f"per_{n}"))) for n in range(20)))
    assert len({each.person for each in await nodes[0].list_votes(asked.id)}) == 20
    assert (await nodes[0].get_proposal(asked.id)).version == 21


async def test_a_standing_approval_ends_once(store: SqlStore) -> None:
    a, b = standing("sta_1"), replace(standing("sta_2", party="demo-oem"), proposal=None)
    await store.commit(AddStanding(b), AddStanding(a))
    assert (await store.list_standing()).items == (a, b)
    assert (await store.list_standing(party=PartyId("demo-oem"))).items == (b,)
    await store.commit(EndStanding(STA_1, NOW + HOUR))
    assert (await store.list_standing(is_live_at=NOW)).items == (replace(a, ended_at=NOW + HOUR), b)
    assert (await store.list_standing(is_live_at=NOW + HOUR)).items == (b,)
    assert (await store.list_standing(is_live_at=NOW + 30 * DAY)).items == ()
    with conflict("store.standing_approval.ended"):
        await store.commit(EndStanding(STA_1, NOW))
    with conflict("store.standing_approval.unknown"):
        await store.commit(EndStanding(StandingId("sta_9"), NOW))
    with conflict("store.standing_approval.exists"):
        await store.commit(AddStanding(a))


async def test_a_standing_approval_is_used_so_often_in_an_hour(store: SqlStore) -> None:
    await store.commit(AddStanding(standing()))
    for _ in range(3):
        await store.commit(UseStanding(STA_1, NOW, 3))
    with conflict("store.standing.full"):
        await store.commit(UseStanding(STA_1, NOW + HOUR - SECOND, 3))
    await store.commit(UseStanding(STA_1, NOW + HOUR, 3))
    assert [await used(store, NOW), await used(store, NOW + HOUR), await used(store, NOW + 2 * HOUR)] == [3, 1, 0]


async def test_what_has_ended_or_allows_nothing_is_not_used(store: SqlStore) -> None:
    await store.commit(AddStanding(standing()))
    with conflict("store.standing.full"):
        await store.commit(UseStanding(STA_1, NOW, 0))
    with conflict("store.standing.ended"):
        await store.commit(UseStanding(STA_1, NOW + 30 * DAY, 3))
    with conflict("store.standing.unknown"):
        await store.commit(UseStanding(StandingId("sta_9"), NOW, 3))
    await store.commit(EndStanding(STA_1, NOW))
    with conflict("store.standing.ended"):
        await store.commit(UseStanding(STA_1, NOW, 3))


async def test_the_hourly_bound_holds_under_many_at_once_on_two_nodes(nodes: tuple[SqlStore, SqlStore]) -> None:
    await nodes[0].commit(AddStanding(standing("sta_1")), AddStanding(standing("sta_2")))
    uses = [UseStanding(StandingId(f"sta_{1 + (n + n // 2) % 2}"), NOW, 40) for n in range(200)]
    outcomes = await asyncio.gather(*(nodes[n % 2].commit(use) for n, use in enumerate(uses)), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome and not isinstance(outcome, Conflict)] == []
    assert outcomes.count(None) == 80
    assert [each.approval.used for each in (await nodes[1].list_standing(is_live_at=NOW)).items] == [40, 40]
