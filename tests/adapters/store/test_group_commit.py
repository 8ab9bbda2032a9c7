"""Concurrent callers share transactions, and nobody pays for another's mistake."""

import asyncio
import threading
from dataclasses import replace

import pytest
from sqlalchemy import event as engine_event

from chargepki.adapters.store import SqlStore, open_store
from chargepki.core.records import CertificateEventKind, CertificateId, StationId, TokenId
from chargepki.errors import Broken, Conflict, StoreUnavailable
from chargepki.ports import (
    AddCertificateEvent,
    AddCrl,
    AddEnrolmentToken,
    AddStation,
    AppendAudit,
    Change,
    ClaimKey,
    UseEnrolmentToken,
)
from tests.adapters.store.facts import NOW, SUB, audit, certificate, crl, digest, enrolment_token, event, issue, station
from tests.adapters.store.refusals import conflict


def count_transactions(store: SqlStore) -> list[int]:
    seen = [0]

    def committed(_: object) -> None:
        seen[0] += 1

    engine_event.listen(store._backend.writer, "commit", committed)
    return seen


async def test_callers_who_come_together_share_transactions(store: SqlStore) -> None:
    transactions = count_transactions(store)
    await asyncio.gather(*(store.commit(AddStation(station(f"CS-{n}")), AppendAudit(audit(n))) for n in range(200)))
    assert transactions[0] <= 20
    assert len((await store.list_stations(limit=500)).items) == 200
    assert len((await store.list_audit(limit=500)).items) == 200


async def test_one_conflict_among_fifty_undoes_only_its_own(store: SqlStore) -> None:
    await store.commit(AddStation(station("CS-25")))

    def changes(n: int) -> tuple[Change, ...]:
        return AppendAudit(audit(n)), ClaimKey(digest(f"{n}"), f"station:CS-{n}", NOW), AddStation(station(f"CS-{n}"))

    outcomes = await asyncio.gather(*(store.commit(*changes(n)) for n in range(50)), return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [25]
    assert isinstance(outcomes[25], Conflict)
    assert len((await store.list_stations(limit=100)).items) == 50
    assert [entry.id for entry in (await store.list_audit(limit=100)).items].count(audit(25).id) == 0
    assert await store.lookup_key_owner(digest("25")) is None
    assert await store.lookup_key_owner(digest("24")) == "station:CS-24"


async def test_a_commit_is_all_or_nothing(store: SqlStore) -> None:
    await store.commit(AddEnrolmentToken(enrolment_token()))
    await store.commit(UseEnrolmentToken(TokenId("enr_1"), NOW))
    with conflict("store.token.used"):
        await store.commit(AddStation(station()), *issue(certificate(1)), UseEnrolmentToken(TokenId("enr_1"), NOW))
    assert (await store.list_stations()).items == ()
    assert await store.lookup_status(SUB, certificate(1).serial) == (False, None)
    assert (await store.list_open_intents(before=NOW.replace(year=2030))).items == ()


async def test_of_two_new_owners_of_one_key_one_wins(store: SqlStore) -> None:
    claims = [ClaimKey(digest("key"), f"station:CS-{n}", NOW) for n in range(10)]
    outcomes = await asyncio.gather(*(store.commit(claim) for claim in claims), return_exceptions=True)
    winner = outcomes.index(None)
    assert [type(outcome) for outcome in outcomes if outcome] == [Conflict] * 9
    assert await store.lookup_key_owner(digest("key")) == claims[winner].owner


async def test_the_same_owner_may_claim_at_the_same_moment(store: SqlStore) -> None:
    claim = ClaimKey(digest("key"), "station:CS-1", NOW)
    await asyncio.gather(*(store.commit(claim) for _ in range(10)))


async def test_of_two_who_revoke_at_once_one_wins(store: SqlStore) -> None:
    issued = certificate(1)
    await store.commit(*issue(issued))
    events = [AddCertificateEvent(event(issued, n), None) for n in range(10)]
    outcomes = await asyncio.gather(*(store.commit(each) for each in events), return_exceptions=True)
    assert outcomes.count(None) == 1
    assert len(await store.list_certificate_events(issued.id)) == 1


async def test_a_held_certificate_can_be_released_in_the_same_commit(store: SqlStore) -> None:
    issued = certificate(1)
    held, released = event(issued, 1, CertificateEventKind.HELD), event(issued, 2, CertificateEventKind.RELEASED)
    await store.commit(*issue(issued), AddCertificateEvent(held, None), AddCertificateEvent(released, held.id))
    assert await store.lookup_status(SUB, issued.serial) == (True, released)


@pytest.mark.parametrize("count", [1, 3, 85, 600])
async def test_a_commit_of_any_size_writes_each_row(store: SqlStore, count: int) -> None:
    issued = [certificate(n) for n in range(count)]
    claims = [ClaimKey(each.spki_sha256, f"station:{each.station}", NOW) for each in issued]
    await store.commit(*issue(*issued), *claims, *(AppendAudit(audit(n)) for n in range(count)))
    for n in {0, count // 2, count - 1}:
        assert await store.get_certificate(issued[n].id) == issued[n]
        assert await store.lookup_key_owner(issued[n].spki_sha256) == f"station:CS-{n}"
    assert (await store.list_open_intents(before=NOW.replace(year=2030))).items == ()


async def test_a_number_the_database_cannot_hold_breaks_only_its_own_commit(store: SqlStore) -> None:
    outcomes = await asyncio.gather(
        store.commit(AddStation(station("CS-1"))),
        store.commit(AddCrl(replace(crl(1), number=2**70))),
        store.commit(AddStation(station("CS-2"))),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), Broken, type(None)]
    assert len((await store.list_stations()).items) == 2


async def test_nothing_to_write_is_done_at_once(store: SqlStore) -> None:
    await store.commit()


async def test_a_caller_who_left_does_not_disturb_the_others(store: SqlStore) -> None:
    tasks = [asyncio.create_task(store.commit(AddStation(station(f"CS-{n}")))) for n in range(20)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [n for n, outcome in enumerate(outcomes) if outcome is not None] == [3]
    await store.commit(AddStation(station("CS-after")))


async def test_callers_on_several_event_loops_are_all_answered(store: SqlStore) -> None:
    def elsewhere(name: str) -> None:
        asyncio.run(store.commit(AddStation(station(name))))

    threads = [threading.Thread(target=elsewhere, args=(f"CS-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    await store.commit(AddStation(station("CS-here")))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert len((await store.list_stations()).items) == 5


async def test_closing_writes_what_waits_and_refuses_what_comes(store_url: str) -> None:
    store = open_store(store_url)
    tasks = [asyncio.create_task(store.commit(AddStation(station(f"CS-{n}")))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*tasks)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit(AddStation(station("CS-late")))
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.get_station(StationId("CS-0"))
    await store.close()

    again = open_store(store_url)
    assert len((await again.list_stations(limit=100)).items) == 50
    await again.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_defect_in_the_writer_is_told_to_everybody_and_seen_by_ping(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> bool:
        raise LookupError("a defect")

    monkeypatch.setattr("chargepki.adapters.store.writes.WriteSet.run", defect)
    outcomes = await asyncio.gather(*(store.commit(AddStation(station(f"CS-{n}"))) for n in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, Broken) for outcome in outcomes)
    for call in (store.commit(AddStation(station("CS-later"))), store.ping()):
        with pytest.raises(StoreUnavailable, match="writer has stopped"):
            await call


async def test_a_shortage_of_disk_is_heard_before_the_queue_grows_without_end(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepki.adapters.store.writer.WAITING_MAX", 0)
    with pytest.raises(StoreUnavailable, match="wait for the database") as raised:
        await store.commit(AddStation(station()))
    assert raised.value.hint


async def test_the_newest_events_of_many_certificates_are_read_in_chunks(store: SqlStore) -> None:
    issued = [certificate(n) for n in range(1200)]
    await store.commit(*issue(*issued), *(AddCertificateEvent(event(each), None) for each in issued[::2]))
    found = await store.latest_events([each.id for each in issued] + [CertificateId("crt_unknown")])
    assert found == {each.id: event(each) for each in issued[::2]}
