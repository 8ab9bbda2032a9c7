"""The audit trail as the leaves of a log: from 0, without a gap, in the order of the commits, and unchangeable."""

import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from chargepki.adapters.store import SqlStore, open_store
from chargepki.core.records import AuditEntry, PartyId
from chargepki.errors import Conflict
from chargepki.ports import AddEnrolmentToken, AddStation, AppendAudit, ClaimKey, EraseSubject, UseEnrolmentToken
from tests.adapters.store.facts import NOW, at_leaf, audit, digest, enrolment_token, station
from tests.adapters.store.refusals import conflict


async def trail(store: SqlStore) -> list[AuditEntry]:
    """All entries, oldest first."""
    found: list[AuditEntry] = []
    cursor = ""
    while True:
        page = await store.list_audit(cursor=cursor, limit=500)
        found += page.items
        if not (cursor := page.next):
            return found[::-1]


async def check_log(store: SqlStore, expected: int) -> list[AuditEntry]:
    entries = await trail(store)
    assert await store.count_leaves() == expected
    assert [entry.index for entry in entries] == list(range(expected))
    assert await store.list_leaves(first=0, limit=expected + 5) == tuple(entry.body for entry in entries)
    return entries


async def test_an_empty_log_has_no_leaves(store: SqlStore) -> None:
    assert await store.count_leaves() == 0
    assert await store.list_leaves(first=0, limit=10) == ()


async def test_leaves_are_numbered_in_the_order_of_their_commits(store: SqlStore) -> None:
    for n in (3, 1, 2):
        await store.commit(AppendAudit(audit(n)))
    await store.commit(AppendAudit(audit(9)), AddStation(station()), AppendAudit(audit(7)))
    entries = await check_log(store, 5)
    assert [entry.id for entry in entries] == [audit(n).id for n in (3, 1, 2, 9, 7)]
    assert await store.get_audit(audit(9).id) == at_leaf(audit(9), 3)


async def test_leaves_come_byte_for_byte_and_by_range(store: SqlStore) -> None:
    bodies = [b"", b"\x00\xff", b'{"\xc3\xa4":1}', bytes(range(256)) * 64]
    await store.commit(*(AppendAudit(replace(audit(n), body=body)) for n, body in enumerate(bodies)))
    assert await store.list_leaves(first=0, limit=9) == tuple(bodies)
    assert await store.list_leaves(first=1, limit=2) == tuple(bodies[1:3])
    assert await store.list_leaves(first=4, limit=2) == ()
    assert await store.list_leaves(first=0, limit=-1) == ()


async def test_an_entry_keeps_its_party_its_subject_and_what_is_private(store: SqlStore) -> None:
    entry = replace(audit(1), party=PartyId("demo-cpo"), private=b'{"name":"Ada"}', subject="per_1")
    await store.commit(AppendAudit(entry))
    assert await store.get_audit(entry.id) == at_leaf(entry, 0)


def busy(number: int) -> tuple[AddStation | ClaimKey | AppendAudit | UseEnrolmentToken, ...]:
    """What one caller commits: every third comes twice, every fifth wants a token that somebody else has."""
    name = number - number % 3 if number % 3 == 1 else number
    wanted = (UseEnrolmentToken(enrolment_token().id, NOW),) if number % 5 == 0 else ()
    claim = ClaimKey(digest(f"{number}"), f"station:{number}", NOW)
    return AppendAudit(audit(2 * number)), AddStation(station(f"CS-{name}")), claim, *wanted, AppendAudit(audit(2 * number + 1))


async def test_five_hundred_at_once_with_conflicts_on_two_nodes_leave_no_gap(nodes: tuple[SqlStore, SqlStore]) -> None:
    await nodes[0].commit(AddEnrolmentToken(enrolment_token()))
    numbers = list(range(500))
    random.Random(7).shuffle(numbers)
    outcomes = await asyncio.gather(*(nodes[n % 2].commit(*busy(n)) for n in numbers), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), Conflict}
    written = {n for n, outcome in zip(numbers, outcomes, strict=True) if outcome is None}
    entries = await check_log(nodes[0], 2 * len(written))
    assert {entry.id for entry in entries} == {audit(2 * n + half).id for n in written for half in (0, 1)}
    place = {entry.id: entry.index or 0 for entry in entries}
    assert all(place[audit(2 * n).id] < place[audit(2 * n + 1).id] for n in written)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) >= 200


async def test_a_reader_never_sees_a_gap_while_two_nodes_append(nodes: tuple[SqlStore, SqlStore]) -> None:
    is_done = False

    async def read() -> int:
        looks = 0
        while not is_done:
            size = await nodes[looks % 2].count_leaves()
            assert len(await nodes[looks % 2].list_leaves(first=0, limit=size)) == size
            looks += 1
        return looks

    reader = asyncio.create_task(read())
    for start in range(0, 300, 30):
        await asyncio.gather(*(nodes[n % 2].commit(AppendAudit(audit(n))) for n in range(start, start + 30)))
    is_done = True
    assert await reader > 5
    await check_log(nodes[1], 300)


async def test_an_entry_that_exists_takes_no_place(store: SqlStore) -> None:
    await store.commit(AppendAudit(audit(1)))
    commits = (store.commit(AppendAudit(audit(n))) for n in (2, 1, 3, 3, 4))
    outcomes = await asyncio.gather(*commits, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), Conflict, type(None), Conflict, type(None)]
    with conflict("store.audit.exists"):
        await store.commit(AppendAudit(audit(5)), AppendAudit(audit(5)))
    await check_log(store, 4)


async def test_numbering_goes_on_after_reopening(store_url: str) -> None:
    for number in range(3):
        store = open_store(store_url)
        await store.commit(AppendAudit(audit(number)))
        await check_log(store, number + 1)
        await store.close()


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_what_a_node_wrote_before_it_died_takes_no_place(nodes: tuple[SqlStore, SqlStore], store_url: str) -> None:
    with psycopg.connect(store_url) as dying:
        dying.execute("UPDATE log_head SET size = size + 7")
        waiting = asyncio.create_task(nodes[0].commit(AppendAudit(audit(1))))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        dying.rollback()
    await waiting
    await nodes[1].commit(AppendAudit(audit(2)))
    await check_log(nodes[0], 2)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = 'x'",
        "UPDATE audit_entry SET actor = 'somebody'",
        "UPDATE audit_entry SET party = 'demo-cpo'",
        "UPDATE audit_entry SET seq = seq + 100",
        "UPDATE audit_entry SET id = 'aud_other', private = ''",
        "UPDATE audit_entry SET subject = 'per_2'",
        "UPDATE audit_entry SET private = 'x'",
        "DELETE FROM audit_entry",
    ],
)
async def test_an_entry_is_neither_changed_nor_deleted(store: SqlStore, statement: str) -> None:
    await refused(store, statement)


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
async def test_the_trail_is_not_emptied_at_once(store: SqlStore) -> None:
    await refused(store, "TRUNCATE audit_entry")


async def refused(store: SqlStore, statement: str) -> None:
    entry = replace(audit(1), private=b"{}", subject="per_1")
    await store.commit(AppendAudit(entry))
    with pytest.raises(DBAPIError, match="neither changed nor deleted"), store._backend.writer.begin() as connection:
        connection.execute(text(statement))
    assert await trail(store) == [at_leaf(entry, 0)]


async def test_erasing_a_person_forgets_what_is_private_and_leaves_the_leaves(store: SqlStore) -> None:
    entries = [replace(audit(n), private=b'{"name":"Ada"}', subject=f"per_{n % 2}") for n in range(6)]
    await store.commit(*map(AppendAudit, entries), AppendAudit(audit(6)))
    before = await store.list_leaves(first=0, limit=9)

    await store.commit(EraseSubject("per_0"))
    await store.commit(EraseSubject("per_0"), EraseSubject(""), EraseSubject("per_unknown"))
    private: Sequence[bytes] = [entry.private for entry in await trail(store)]
    assert private == [b"", entries[1].private, b"", entries[3].private, b"", entries[5].private, b""]
    assert await store.list_leaves(first=0, limit=9) == before


async def test_processes_that_are_killed_leave_no_gap_and_lose_nothing_they_confirmed(store_url: str) -> None:
    names = ("a", "b") if store_url.startswith("postgresql") else ("a",)
    command = (sys.executable, "-m", "tests.adapters.store.appender", store_url)
    pipes = {"stdout": asyncio.subprocess.PIPE, "limit": 2**20}
    running = [await asyncio.create_subprocess_exec(*command, name, **pipes) for name in names]  # type: ignore[arg-type]
    confirmed: set[str] = set()
    for process in running:
        assert process.stdout is not None
        confirmed |= {(await process.stdout.readline()).decode().strip() for _ in range(40)}
        process.kill()
    for process in running:
        assert process.stdout is not None
        confirmed |= {line.decode().strip() for line in (await process.stdout.read()).splitlines(keepends=True) if line.endswith(b"\n")}
        await process.wait()

    store = open_store(store_url)
    entries = await check_log(store, await store.count_leaves())
    assert confirmed <= {entry.id for entry in entries}
    await store.commit(AppendAudit(audit(1)))
    await check_log(store, len(entries) + 1)
    await store.close()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_what_was_erased_is_in_the_file_no_more(store_url: str, tmp_path: Path) -> None:
    store = open_store(store_url)
    entries = [replace(audit(n), private=b'{"name":"Ada Lovelace"}' * (1 + 400 * n), subject="per_1") for n in range(3)]
    await store.commit(*map(AppendAudit, entries))
    await store.commit(EraseSubject("per_1"))
    await store.close()
    assert b"Ada" not in all_octets_in(tmp_path)


def all_octets_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())
