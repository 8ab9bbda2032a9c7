"""Bulk revocation: exactly the list that was shown, agreed on where it is long, resumable."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import Role, Scope
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.records import (
    AuthorityId,
    Certificate,
    CertificateId,
    CertificateQuery,
    Intent,
    IntentId,
    PartyId,
    ProfileId,
    ProposalState,
    StationId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, NeedsVotes, NotAuthorised, NotFound, Refused, StoreUnavailable
from chargepki.ports import AddCertificate, AddCertificateEvent, AddIntent, CertificateStatusChanged, Event
from chargepki.services import bulk_revocation
from chargepki.services.audit import Caller
from chargepki.services.bulk_revocation import Selection
from tests.unit.services.approvals_board import Board, open_board

ISSUER = AuthorityId("operator-sub")
ALL = Selection(CertificateQuery(issuer=ISSUER))
REASON = RevocationReason.KEY_COMPROMISE


@pytest.fixture
async def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Board]:
    """Here three are many, and two go into one commit."""
    rules = tuple(replace(rule, over=3) if rule.id == "bulk-revocation" else rule for rule in PRODUCTION.rules)
    monkeypatch.setattr(bulk_revocation, "PIECE", 2)
    async with open_board(tmp_path, replace(PRODUCTION, id="few", rules=rules)) as opened:
        yield opened


@pytest.fixture
async def revoker(board: Board) -> Caller:
    return await board.bench.person("rune", Role.REVOCATION_OFFICER)


@pytest.fixture
async def others(board: Board) -> tuple[Caller, Caller]:
    return await board.bench.person("runa", Role.REVOCATION_OFFICER), await board.bench.person("carl", Role.CA_OFFICER)


async def add(board: Board, count: int, *, party: str = "demo-cpo", first: int = 1, issuer: AuthorityId = ISSUER) -> list[CertificateId]:
    store, now = board.bench.ports.store, board.bench.clock.now()
    ids = []
    for serial in range(first, first + count):
        intent = IntentId(f"int_{issuer}_{serial}")
        id = CertificateId(f"crt_{issuer}_{serial:04}")
        profile, station = ProfileId("ocpp/station"), StationId(f"CS-{serial}")
        sha256 = serial.to_bytes(32, "big")
        await store.commit(AddIntent(Intent(intent, issuer, serial, sha256, profile, "{}", "test", now, station, PartyId(party))))
        certificate = Certificate(
            id,
            issuer,
            serial,
            profile,
            f"CN=SN-{serial}",
            b"\x30\x00",
            sha256,
            now,
            now.replace(year=now.year + 1),
            intent,
            "test",
            now,
            station,
            party=PartyId(party),
        )
        await store.commit(AddCertificate(certificate))
        ids.append(id)
    return ids


async def states(board: Board, ids: list[CertificateId]) -> list[str]:
    events = await board.bench.ports.store.latest_events(ids)
    return [str(events[id].kind) if id in events else "good" for id in ids]


async def test_the_blast_radius_is_shown_and_only_that_list_is_revoked(board: Board, revoker: Caller) -> None:
    ids = await add(board, 2)
    service = board.bench.services.bulk_revocation
    radius = await service.preview(revoker, ALL)
    assert (len(radius.certificates), radius.stations, radius.parties) == (2, ("CS-1", "CS-2"), ("demo-cpo",))
    late = await add(board, 1, first=3)
    with pytest.raises(Conflict, match="changed"):
        await service.revoke(revoker, ALL, reason=REASON, list_sha256=radius.list_sha256)
    assert await states(board, ids + late) == ["good"] * 3
    radius = await service.preview(revoker, ALL)
    result = await service.revoke(revoker, ALL, reason=REASON, list_sha256=radius.list_sha256)
    assert (result.revoked, result.skipped) == (3, 0)
    assert await states(board, ids + late) == ["revoked"] * 3


async def test_everybody_hears_of_each(board: Board, revoker: Caller) -> None:
    ids = await add(board, 3)
    heard: list[Event] = []
    board.bench.ports.notifier.subscribe(heard.append)
    await board.bench.services.bulk_revocation.revoke_list(revoker, ids, reason=REASON)
    told = [event.event.certificate for event in heard if isinstance(event, CertificateStatusChanged)]
    assert told == ids


async def test_a_long_list_waits_for_two_others_and_binds_its_ids(board: Board, revoker: Caller, others: tuple[Caller, Caller]) -> None:
    ids = await add(board, 5)
    service = board.bench.services.bulk_revocation
    radius = await service.preview(revoker, ALL)
    with pytest.raises(NeedsVotes) as waits:
        await service.revoke(revoker, ALL, reason=REASON, list_sha256=radius.list_sha256, note="leaked")
    assert await states(board, ids) == ["good"] * 5
    late = await add(board, 1, first=6)  # what comes later is not taken along
    proposal = await board.get(waits.value.proposal)  # type: ignore[arg-type]
    for officer in others:
        done = (await board.approvals.vote(officer, proposal.id, proposal.digest, is_for=True)).proposal
    assert (done.state, "5 revoked, 0 revoked before" in done.outcome) == (ProposalState.EXECUTED, True)
    assert await states(board, ids + late) == ["revoked"] * 5 + ["good"]


async def test_what_was_cut_off_goes_on_where_it_stopped(
    board: Board, revoker: Caller, others: tuple[Caller, Caller], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await add(board, 5)
    service, store = board.bench.services.bulk_revocation, board.bench.ports.store
    with pytest.raises(NeedsVotes) as waits:
        await service.revoke_list(revoker, ids, reason=REASON)
    commit, pieces = store.commit, 0

    async def fail_at_the_second(*changes: object) -> None:
        nonlocal pieces
        pieces += any(isinstance(change, AddCertificateEvent) for change in changes)
        if pieces == 2:
            raise StoreUnavailable("the disk is full")
        await commit(*changes)  # type: ignore[arg-type]

    proposal = await board.get(waits.value.proposal)  # type: ignore[arg-type]
    await board.approvals.vote(others[0], proposal.id, proposal.digest, is_for=True)
    with monkeypatch.context() as patched:
        patched.setattr(store, "commit", fail_at_the_second)
        with suppress(StoreUnavailable):  # the store that was gone could not take what became of it either
            await board.approvals.vote(others[1], proposal.id, proposal.digest, is_for=True)
    assert (await states(board, ids)).count("revoked") == 2
    board.bench.clock.advance(timedelta(minutes=15))
    assert await board.approvals.carry_out_due() == 1
    done = await board.get(proposal.id)
    assert (done.state, "3 revoked, 2 revoked before" in done.outcome) == (ProposalState.EXECUTED, True)
    assert await states(board, ids) == ["revoked"] * 5


async def test_what_is_revoked_already_is_counted_and_left_alone(board: Board, revoker: Caller) -> None:
    ids = await add(board, 3)
    service = board.bench.services.bulk_revocation
    await service.revoke_list(revoker, ids[:1], reason=RevocationReason.SUPERSEDED)
    result = await service.revoke_list(revoker, ids, reason=REASON)
    assert (result.revoked, result.skipped) == (2, 1)
    events = await board.bench.ports.store.latest_events(ids[:1])
    assert events[ids[0]].reason is RevocationReason.SUPERSEDED
    with pytest.raises(Refused, match="nothing to revoke"):
        await service.preview(revoker, ALL)


async def test_many_may_be_held_at_once(board: Board, revoker: Caller) -> None:
    ids = await add(board, 2)
    service = board.bench.services.bulk_revocation
    await service.revoke_list(revoker, ids, reason=RevocationReason.CERTIFICATE_HOLD)
    assert await states(board, ids) == ["held"] * 2
    assert (await service.revoke_list(revoker, ids, reason=RevocationReason.CERTIFICATE_HOLD)).skipped == 2
    await service.revoke_list(revoker, ids, reason=REASON)
    assert await states(board, ids) == ["revoked"] * 2


async def test_serial_numbers_and_ids_name_exactly_those(board: Board, revoker: Caller) -> None:
    ids = await add(board, 3)
    service = board.bench.services.bulk_revocation
    named = Selection(CertificateQuery(issuer=ISSUER), ids=(ids[0],), serials=(2,))
    assert [c.id for c in (await service.preview(revoker, named)).certificates] == ids[:2]
    with pytest.raises(NotFound):
        await service.preview(revoker, Selection(CertificateQuery(issuer=ISSUER), serials=(77,)))
    with pytest.raises(Refused, match="issuer"):
        await service.preview(revoker, Selection(serials=(1,)))
    with pytest.raises(Refused, match="which certificates"):
        await service.preview(revoker, Selection())


async def test_another_partys_certificates_do_not_exist(board: Board) -> None:
    ours, theirs = await add(board, 1), await add(board, 1, first=2, party="other-cpo")
    service = board.bench.services.bulk_revocation
    bounded = await board.bench.person("bo", Role.REVOCATION_OFFICER, scope=Scope(parties=frozenset({"demo-cpo"})))
    assert [c.id for c in (await service.preview(bounded, ALL)).certificates] == ours
    with pytest.raises(NotFound):
        await service.preview(bounded, Selection(ids=tuple(theirs)))
    with pytest.raises(NotAuthorised):
        await service.revoke_list(bounded, ours + theirs, reason=REASON)
    assert await states(board, ours + theirs) == ["good"] * 2


async def test_an_officer_of_one_authority_reaches_no_list_over_two(board: Board) -> None:
    ids = await add(board, 1) + await add(board, 1, issuer=AuthorityId("other-sub"))
    bounded = await board.bench.person("bo", Role.REVOCATION_OFFICER, scope=Scope(authorities=frozenset({ISSUER})))
    service = board.bench.services.bulk_revocation
    with pytest.raises(NotAuthorised):
        await service.revoke_list(bounded, ids, reason=REASON)
    assert (await service.revoke_list(bounded, ids[:1], reason=REASON)).revoked == 1


@pytest.mark.parametrize("reason", [RevocationReason.CA_COMPROMISE, RevocationReason.AA_COMPROMISE])
@pytest.mark.clause("RFC 5280 5.3.1")
async def test_reasons_of_authorities_are_refused(board: Board, revoker: Caller, reason: RevocationReason) -> None:
    ids = await add(board, 1)
    with pytest.raises(Refused):
        await board.bench.services.bulk_revocation.revoke_list(revoker, ids, reason=reason)


async def test_an_authority_is_never_on_the_list(tmp_path: Path) -> None:
    from chargepki.testing.workbench import ADMIN, open_workbench

    async with open_workbench(tmp_path) as bench:
        root = (await bench.ports.store.list_authorities())[0]
        with pytest.raises(Refused, match="authorities"):
            await bench.services.bulk_revocation.preview(ADMIN, Selection(ids=(root.certificate,)))
