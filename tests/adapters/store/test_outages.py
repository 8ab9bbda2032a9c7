"""A database that cannot write or be reached: the caller is told, nothing is half-written, and it heals by itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from chargepki.adapters.store import SqlStore, open_store
from chargepki.core.records import CertificateEventKind, StationId
from chargepki.errors import Conflict, NotFound, StoreUnavailable
from chargepki.ports import AddCertificateEvent, AddCrl, AddEnrolmentToken, AddStation, AppendAudit, UseEnrolmentToken
from tests.adapters.store.facts import NOW, SUB, audit, certificate, crl, enrolment_token, event, issue, revoke, station
from tests.postgres_server import PostgresServer


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path}/chargepki.db")
    yield opened
    await opened.close()


@pytest.fixture
async def postgres_store(postgres_url: str) -> AsyncIterator[SqlStore]:
    opened = open_store(postgres_url)
    yield opened
    await opened.close()


def pragma(store: SqlStore, statement: str) -> int:
    connection = store._backend.writer.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA {statement}")
        return int(cursor.fetchone()[0])
    finally:
        connection.close()


# --------------------------------------------------------------------------------------------------------------------- SQLite


async def test_a_full_disk_is_reported_and_later_forgotten(sqlite_store: SqlStore) -> None:
    await sqlite_store.commit(AddStation(station("CS-before")))
    pragma(sqlite_store, f"max_page_count={pragma(sqlite_store, 'page_count') + 2}")
    large = AddCrl(crl(1)), AppendAudit(audit(1)), *issue(*(certificate(n) for n in range(500)))
    outcomes = await asyncio.gather(
        sqlite_store.commit(*large), sqlite_store.commit(AddStation(station("CS-full"))), return_exceptions=True
    )
    assert isinstance(outcomes[0], StoreUnavailable)
    assert "full" in str(outcomes[0])
    assert outcomes[0].hint == "free space on the disk that holds the database"
    assert await sqlite_store.lookup_latest_crl(SUB) is None
    assert (await sqlite_store.list_audit()).items == ()

    pragma(sqlite_store, "max_page_count=1000000")
    await sqlite_store.commit(*large)
    assert await sqlite_store.lookup_latest_crl(SUB) == crl(1)
    assert (await sqlite_store.get_station(StationId("CS-before"))).id == "CS-before"


async def test_a_database_held_by_another_program_is_reported(sqlite_store: SqlStore, tmp_path: Path) -> None:
    pragma(sqlite_store, "busy_timeout=50")
    other = sqlite3.connect(tmp_path / "chargepki.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked") as raised:
        await sqlite_store.commit(AddStation(station()))
    assert "another program" in raised.value.hint
    other.execute("ROLLBACK")
    other.close()
    await sqlite_store.commit(AddStation(station()))


async def test_a_lost_file_is_an_outage_not_a_crash(sqlite_store: SqlStore, tmp_path: Path) -> None:
    sqlite_store._backend.writer.dispose()
    sqlite_store._backend.reader.dispose()
    (tmp_path / "chargepki.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "chargepki.db").mkdir()
    with pytest.raises(StoreUnavailable):
        await sqlite_store.ping()
    with pytest.raises(StoreUnavailable):
        await sqlite_store.commit(AddStation(station()))
    (tmp_path / "chargepki.db").rmdir()
    (tmp_path / "elsewhere.db").rename(tmp_path / "chargepki.db")
    await sqlite_store.commit(AddStation(station()))
    await sqlite_store.ping()


# ----------------------------------------------------------------------------------------------------------------- PostgreSQL


def kill_connections(server: PostgresServer, url: str) -> None:
    """Ends every connection of the platform to this database."""
    server.execute(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_database(url)}' AND application_name = 'chargepki'"
    )


def _database(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


@contextmanager
def locked(url: str, table: str) -> Iterator[None]:
    """The table belongs to another client meanwhile."""
    with psycopg.connect(url) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        other.rollback()


async def test_connections_that_died_while_idle_are_replaced(
    postgres_store: SqlStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    await postgres_store.commit(*issue(certificate(1)), revoke(certificate(1)))
    await asyncio.gather(*(postgres_store.ping() for _ in range(20)))
    kill_connections(postgres_server, postgres_url)
    assert [r.serial async for r in postgres_store.stream_revoked(SUB, not_after_from=NOW)] == [certificate(1).serial]
    kill_connections(postgres_server, postgres_url)
    await asyncio.gather(*(postgres_store.ping() for _ in range(20)))
    kill_connections(postgres_server, postgres_url)
    await postgres_store.commit(AddStation(station()))
    assert (await postgres_store.get_station(StationId("CS-17"))).id == "CS-17"


async def test_a_connection_that_dies_in_a_transaction_writes_nothing(
    postgres_store: SqlStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    with locked(postgres_url, "audit_entry"):
        task = asyncio.create_task(postgres_store.commit(AddStation(station()), AppendAudit(audit(1))))
        await asyncio.sleep(0.3)
        kill_connections(postgres_server, postgres_url)
        with pytest.raises(StoreUnavailable) as raised:
            await task
    assert raised.value.hint
    with pytest.raises(NotFound):
        await postgres_store.get_station(StationId("CS-17"))
    await postgres_store.commit(AddStation(station()), AppendAudit(audit(1)))


async def test_a_connection_that_dies_while_it_commits_is_never_a_success(
    postgres_store: SqlStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    postgres_server.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(20); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON station DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()",
        _database(postgres_url),
    )
    task = asyncio.create_task(postgres_store.commit(AddStation(station())))
    await asyncio.sleep(0.5)
    kill_connections(postgres_server, postgres_url)
    with pytest.raises(StoreUnavailable):
        await task


async def test_a_server_that_refuses_connections_is_reported_and_later_forgotten(
    postgres_store: SqlStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    await postgres_store.ping()
    postgres_server.execute(f"ALTER DATABASE {_database(postgres_url)} ALLOW_CONNECTIONS false")
    kill_connections(postgres_server, postgres_url)
    for call in (postgres_store.ping(), postgres_store.commit(AddStation(station())), postgres_store.get_station(StationId("CS-17"))):
        with pytest.raises(StoreUnavailable) as raised:
            await call
        assert raised.value.hint
    postgres_server.execute(f"ALTER DATABASE {_database(postgres_url)} ALLOW_CONNECTIONS true")
    await postgres_store.commit(AddStation(station()))
    await postgres_store.ping()


async def test_a_deadlock_between_nodes_is_tried_again(
    postgres_store: SqlStore, postgres_server: PostgresServer, postgres_url: str
) -> None:
    postgres_server.execute(
        "CREATE SEQUENCE attempts;"
        "CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('attempts') <= 2 THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER stumble BEFORE INSERT ON station FOR EACH ROW EXECUTE FUNCTION stumble()",
        _database(postgres_url),
    )
    await postgres_store.commit(AddStation(station()))
    assert (await postgres_store.get_station(StationId("CS-17"))).id == "CS-17"


async def test_two_nodes_over_one_database_keep_every_precondition(postgres_store: SqlStore, postgres_url: str) -> None:
    other = open_store(postgres_url)
    nodes = (postgres_store, other)
    try:
        for n in range(1, 15):
            issued = certificate(n)
            await postgres_store.commit(AddEnrolmentToken(enrolment_token(f"enr_{n}")), *issue(issued))
            use = UseEnrolmentToken(enrolment_token(f"enr_{n}").id, NOW)
            races = (
                [node.commit(use) for node in nodes],
                [node.commit(AddStation(station(f"CS-{n}"))) for node in nodes],
                [node.commit(AddCrl(crl(n))) for node in nodes],
                [
                    node.commit(AddCertificateEvent(event(issued, m, CertificateEventKind.HELD), None))
                    for m, node in enumerate(nodes, start=1)
                ],
            )
            for race in races:
                outcomes = await asyncio.gather(*race, return_exceptions=True)
                assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"], outcomes
        numbers = [1000 + n for n in range(20)]
        await asyncio.gather(*(nodes[n % 2].commit(AddCrl(crl(n))) for n in numbers), return_exceptions=True)
        newest = await other.lookup_latest_crl(SUB)
        assert newest is not None
        assert newest.number == numbers[-1]
        with pytest.raises(Conflict):
            await other.commit(AddCrl(crl(numbers[0])))
    finally:
        await other.close()
