"""Factory batches: a line may do exactly what is in the box."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.decide import decide
from chargepki.core.access.model import Allow, Resource, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.identifiers.name_spaces import parse_scoped_name
from chargepki.core.records import MachineState, PartyId, ProfileId, ProposalState
from chargepki.errors import Conflict, NeedsVotes, NotAuthenticated, NotAuthorised, NotFound, Refused
from chargepki.services.audit import Caller
from chargepki.services.batches import Batch, BatchOrder, parse_order, spell_order
from tests.unit.services.approvals_board import PARTY, Board, open_board

OWN = Scope(parties=frozenset({"demo-cpo"}))
INSIDE = Resource(
    party="demo-cpo",
    profile="ocpp/station",
    names=(parse_scoped_name("station:CS-17"), parse_scoped_name("station-serial:SN-2026-0017")),
    key="ec-p256",
)


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with open_board(tmp_path) as opened:
        yield opened


@pytest.fixture
async def requester(board: Board) -> Caller:
    return await board.bench.person("renate", Role.REQUESTER, party="demo-cpo", scope=OWN)


def order(board: Board, count: int = 5, prefix: str = "SN-2026-") -> BatchOrder:
    until = board.bench.clock.now() + timedelta(days=7)
    return BatchOrder(PARTY, ProfileId("ocpp/station"), frozenset({prefix}), count, until)


async def create(board: Board, requester: Caller, count: int = 5) -> Batch:
    return await board.bench.services.batches.create(requester, order(board, count))


async def line_of(board: Board, requester: Caller, batch: Batch) -> Caller:
    secret = await board.bench.services.batches.create_token(requester, batch.id)
    return Caller(await board.bench.services.access.authenticate(secret), door="test")


async def test_a_line_gets_exactly_what_is_in_the_box(board: Board, requester: Caller) -> None:
    line = await line_of(board, requester, await create(board, requester))
    now, standing = board.bench.clock.now(), board.bench.services.standing

    async def may(resource: Resource) -> bool:
        from chargepki.core.access.model import Ballot

        ballot = Ballot(standing=await standing.matching(resource, now, line.actor))
        return isinstance(decide(line.actor, Permission.CERTIFICATE_ISSUE, resource, now, PRODUCTION, ballot), Allow)

    assert await may(INSIDE)
    assert not await may(replace(INSIDE, party="other-cpo"))
    assert not await may(replace(INSIDE, profile="ocpp/csms-server"))
    assert not await may(replace(INSIDE, names=(parse_scoped_name("station-serial:SN-2027-0017"),)))
    for permission in (Permission.REGISTRATION_BATCH_CREATE, Permission.REGISTRATION_CREDENTIAL_CREATE, Permission.CERTIFICATE_REVOKE):
        assert not isinstance(decide(line.actor, permission, INSIDE, now, PRODUCTION), Allow)


async def test_nobody_else_works_in_somebodys_batch(board: Board, requester: Caller) -> None:
    batch = await create(board, requester)
    other = await board.bench.machine("line-2", Role.FACTORY_LINE, party="demo-cpo", scope=OWN)
    now, standing = board.bench.clock.now(), board.bench.services.standing
    line = await line_of(board, requester, batch)
    assert [a.id for a in await standing.matching(INSIDE, now, line.actor)] == [batch.id]
    assert await standing.matching(INSIDE, now, other.actor) == ()
    assert await standing.matching(INSIDE, now) == ()


async def test_a_hundred_at_once_get_what_the_batch_counts_whatever_allowed_them(board: Board, requester: Caller) -> None:
    batch = await create(board, requester, count=7)
    line = await line_of(board, requester, batch)

    async def use() -> bool:
        uses = await board.bench.services.standing.uses("", INSIDE, board.bench.clock.now(), line.actor)
        assert len(uses) == 1  # counted even where no standing approval was needed, as in development
        try:
            await board.bench.ports.store.commit(*uses)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(use() for _ in range(100)))) == 7
    board.bench.clock.advance(timedelta(hours=25))
    assert sum(await asyncio.gather(*(use() for _ in range(100)))) == 0  # an hour later the box is as full
    shown = await board.bench.services.batches.get(requester, batch.id)
    assert (shown.used, shown.count) == (7, 7)


async def test_a_large_batch_waits_for_two_others(board: Board, requester: Caller) -> None:
    with pytest.raises(NeedsVotes) as waits:
        await create(board, requester, count=101)
    proposal = await board.get(waits.value.proposal)  # type: ignore[arg-type]
    assert (await board.vote(0, proposal)).state is ProposalState.OPEN
    done = await board.vote(1, proposal)
    (batch,) = (await board.bench.services.batches.list(requester)).items
    assert (done.state, done.outcome, batch.count) == (ProposalState.EXECUTED, f"batch:{batch.id}", 101)
    assert (await line_of(board, requester, batch)).actor.grants[0].role is Role.FACTORY_LINE


async def test_many_small_batches_are_a_large_one(board: Board, requester: Caller) -> None:
    await create(board, requester, count=60)
    with pytest.raises(NeedsVotes):
        await create(board, requester, count=60)
    board.bench.clock.advance(timedelta(hours=24))
    await create(board, requester, count=60)


async def test_the_end_takes_the_token_along(board: Board, requester: Caller) -> None:
    batch = await create(board, requester)
    secret = await board.bench.services.batches.create_token(requester, batch.id)
    line = Caller(await board.bench.services.access.authenticate(secret), door="test")
    uses = await board.bench.services.standing.uses("", INSIDE, board.bench.clock.now(), line.actor)
    await board.bench.ports.store.commit(*uses)
    board.bench.clock.advance(timedelta(minutes=1))
    ended = await board.bench.services.batches.end(requester, batch.id)
    assert (ended.record.ended_at, ended.used) == (board.bench.clock.now(), 1)
    with pytest.raises(Conflict):
        await board.bench.ports.store.commit(*uses)
    board.bench.clock.advance(timedelta(seconds=1))  # known tokens are read once a second
    with pytest.raises(NotAuthenticated):
        await board.bench.services.access.authenticate(secret)
    with pytest.raises(Conflict):
        await board.bench.services.batches.create_token(requester, batch.id)
    machines = (await board.bench.ports.store.list_machines()).items
    assert next(m for m in machines if m.name == batch.id).state is MachineState.SUSPENDED


async def test_a_new_token_ends_the_one_before(board: Board, requester: Caller) -> None:
    batch = await create(board, requester)
    first = await board.bench.services.batches.create_token(requester, batch.id)
    second = await board.bench.services.batches.create_token(requester, batch.id)
    with pytest.raises(NotAuthenticated):
        await board.bench.services.access.authenticate(first)
    assert await board.bench.services.access.authenticate(second)


async def test_a_batch_ends_by_itself(board: Board, requester: Caller) -> None:
    batch = await create(board, requester)
    secret = await board.bench.services.batches.create_token(requester, batch.id)
    board.bench.clock.advance(timedelta(days=7))
    with pytest.raises(NotAuthenticated):
        await board.bench.services.access.authenticate(secret)


async def test_a_line_gives_itself_no_batch(board: Board) -> None:
    line = await board.bench.machine("line-1", Role.FACTORY_LINE, party="demo-cpo", scope=OWN)
    with pytest.raises(NotAuthorised):
        await board.bench.services.batches.create(line, order(board))


async def test_a_party_makes_batches_of_its_own_alone(board: Board, requester: Caller) -> None:
    batch = await create(board, requester)
    theirs = Scope(parties=frozenset({"other-cpo"}))
    stranger = await board.bench.person("olga", Role.REQUESTER, party="other-cpo", scope=theirs)
    auditor = await board.bench.person("ole", Role.PARTY_AUDITOR, party="other-cpo", scope=theirs)
    with pytest.raises(NotFound):  # the party does not exist for others
        await create(board, stranger)
    with pytest.raises(NotFound):
        await board.bench.services.batches.get(auditor, batch.id)
    assert (await board.bench.services.batches.list(auditor)).items == ()


async def test_a_box_without_walls_is_refused(board: Board, requester: Caller) -> None:
    good, now = order(board), board.bench.clock.now()
    for wrong in (
        replace(good, prefixes=frozenset()),
        replace(good, prefixes=frozenset({"*"})),
        replace(good, count=0),
        replace(good, count=10**9),
        replace(good, until=now),
        replace(good, until=now + timedelta(days=365)),
        replace(good, profile=ProfileId("no/such")),
    ):
        with pytest.raises(Refused) as refusal:
            await board.bench.services.batches.create(requester, wrong)
        assert not isinstance(refusal.value, NeedsVotes)


def test_an_order_comes_back_as_it_was_spelt() -> None:
    from datetime import UTC, datetime

    made = BatchOrder(PartyId("p"), ProfileId("a/b"), frozenset({"SN-1", "SN-2"}), 5, datetime(2027, 1, 1, tzinfo=UTC))
    assert parse_order(spell_order(made)) == made
    for broken in ({}, {**spell_order(made), "count": "5"}, {**spell_order(made), "until": "2027-01-01"}, {**spell_order(made), "more": 1}):
        with pytest.raises(Refused):
            parse_order(broken)
