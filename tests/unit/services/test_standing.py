"""Standing approvals: what machines may do because two officers said so beforehand."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import Resource, Role, Scope
from chargepki.core.algorithms import KeySpec
from chargepki.core.identifiers.name_spaces import parse_scoped_name
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import PartyId, ProfileId, StandingRecord
from chargepki.errors import Conflict, NeedsVotes, NotAuthorised, NotFound, Refused
from chargepki.services.standing import Standing, StandingOrder, parse_order, spell_order
from tests.unit.services.approvals_board import PARTY, Board, open_board

STATION = Resource(
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
async def standing(board: Board) -> StandingRecord:
    return await make(board)


async def make(board: Board, per_hour_max: int = 10) -> StandingRecord:
    proposal = await board.propose(per_hour_max)
    await board.vote(0, proposal)
    await board.vote(1, proposal)
    return (await board.made())[-1]


async def test_it_stands_in_for_exactly_what_was_agreed_on(board: Board, standing: StandingRecord) -> None:
    service, now = board.bench.services.standing, board.bench.clock.now()
    assert [a.id for a in await service.matching(STATION, now)] == [standing.approval.id]
    for other in (
        replace(STATION, party="other-cpo"),
        replace(STATION, profile="ocpp/csms-server"),
        replace(STATION, key="rsa-2048"),
        replace(STATION, names=(*STATION.names, parse_scoped_name("station-serial:SN-2027-0001"))),
        replace(STATION, names=(parse_scoped_name("station-serial:SN-20260001"),)),
    ):
        assert await service.matching(other, now) == ()
    assert await service.matching(STATION, standing.approval.until) == ()


async def test_an_hour_takes_so_many_and_the_next_one_as_many_again(board: Board) -> None:
    await make(board, per_hour_max=7)
    approval = (await board.made())[0].approval

    async def use() -> bool:
        now = board.bench.clock.now()
        try:
            uses = await board.bench.services.standing.uses(approval.id, STATION, now, board.officers[0].actor)
            await board.bench.ports.store.commit(*uses)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(use() for _ in range(100)))) == 7
    board.bench.clock.advance(timedelta(hours=1))
    assert sum(await asyncio.gather(*(use() for _ in range(100)))) == 7


async def test_what_was_used_is_shown(board: Board, standing: StandingRecord) -> None:
    now = board.bench.clock.now()
    for _ in range(3):
        uses = await board.bench.services.standing.uses(standing.approval.id, STATION, now, board.officers[0].actor)
        await board.bench.ports.store.commit(*uses)
    (live,) = (await board.bench.services.standing.list(board.officers[0], is_live=True)).items
    assert live.approval.used == 3


async def test_one_officer_ends_it_at_once(board: Board, standing: StandingRecord) -> None:
    service, now = board.bench.services.standing, board.bench.clock.now()
    uses = await service.uses(standing.approval.id, STATION, now, board.officers[0].actor)
    ended = await service.end(board.officers[2], standing.approval.id)  # type: ignore[arg-type]
    assert ended.ended_at == now
    assert await service.matching(STATION, now) == ()
    with pytest.raises(Conflict):
        await board.bench.ports.store.commit(*uses)  # decided before, committed after: too late
    with pytest.raises(Conflict):
        await service.end(board.officers[2], standing.approval.id)  # type: ignore[arg-type]


async def test_it_is_read_once_a_second(board: Board, standing: StandingRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    store, calls = board.bench.ports.store, 0
    listing = store.list_standing

    async def counted(**given: object) -> object:
        nonlocal calls
        calls += 1
        return await listing(**given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "list_standing", counted)
    service = Standing(board.bench.ports, board.bench.services.audit, Profiles())
    now = board.bench.clock.now()
    for _ in range(10):
        await service.matching(STATION, now)
    assert calls == 1
    await service.matching(STATION, now + timedelta(seconds=1))
    assert calls == 2


async def test_only_its_party_sees_it(board: Board, standing: StandingRecord) -> None:
    service = board.bench.services.standing
    own = await board.bench.person("paula", Role.PARTY_ADMIN, party="demo-cpo", scope=Scope(parties=frozenset({"demo-cpo"})))
    other = await board.bench.person("otto", Role.PARTY_ADMIN, party="other-cpo", scope=Scope(parties=frozenset({"other-cpo"})))
    assert (await service.get(own, standing.approval.id)).approval.id == standing.approval.id  # type: ignore[arg-type]
    assert (await service.list(other)).items == ()
    with pytest.raises(NotFound):
        await service.get(other, standing.approval.id)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        await service.end(other, standing.approval.id)  # type: ignore[arg-type]
    with pytest.raises(NotAuthorised):
        await service.end(own, standing.approval.id)  # type: ignore[arg-type]


async def test_an_order_that_could_not_be_carried_out_is_never_voted_on(board: Board) -> None:
    good, now = board.order(), board.bench.clock.now()
    wrong = (
        replace(good, profiles=frozenset()),
        replace(good, profiles=frozenset({ProfileId("no/such")})),
        replace(good, names=frozenset()),
        replace(good, per_hour_max=0),
        replace(good, until=now),
        replace(good, until=now + timedelta(days=400)),
        replace(good, party=PartyId("nobody")),
    )
    for order in wrong:
        with pytest.raises(Refused) as refusal:
            await board.bench.services.standing.create(board.proposer, order)
        assert not isinstance(refusal.value, NeedsVotes)
    assert (await board.bench.ports.store.list_proposals()).items == ()


async def test_several_profiles_take_officers_without_a_bound(board: Board) -> None:
    both = replace(board.order(), profiles=frozenset({ProfileId("ocpp/station"), ProfileId("ocpp/csms-server")}))
    with pytest.raises(NeedsVotes) as waits:
        await board.bench.services.standing.create(board.proposer, both)
    proposal = await board.get(waits.value.proposal)  # type: ignore[arg-type]
    narrow = await board.bench.person("nora", Role.REGISTRATION_OFFICER, scope=Scope(profiles=frozenset(both.profiles)))
    with pytest.raises(NotAuthorised):
        await board.approvals.vote(narrow, proposal.id, proposal.digest, is_for=True)


def test_an_order_comes_back_as_it_was_spelt() -> None:
    from datetime import UTC, datetime

    from chargepki.core.identifiers.name_spaces import parse_name_space

    names = frozenset({parse_name_space("dns:example.org"), parse_name_space("station-serial:*")})
    order = StandingOrder(PARTY, frozenset({ProfileId("a")}), names, frozenset({KeySpec.P256}), 5, datetime(2027, 1, 1, tzinfo=UTC))
    assert parse_order(spell_order(order)) == order
