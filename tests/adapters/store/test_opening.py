"""Opening and reopening: the schema is made and kept, the file is private, one process has it."""

import asyncio
import os
import re
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from chargepki.adapters.store import SqlStore, open_store
from chargepki.adapters.store.schema import metadata
from chargepki.core.records import StationId
from chargepki.errors import Broken, StoreUnavailable
from chargepki.ports import AddStation
from tests.adapters.store.facts import SUB, certificate, issue, revoke, station


async def test_the_migrated_schema_is_the_one_the_code_speaks_of(store: SqlStore) -> None:
    with store._backend.writer.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


async def test_what_was_committed_is_there_after_reopening(store_url: str) -> None:
    first = open_store(store_url)
    await first.commit(AddStation(station()), *issue(certificate(1)), revoke(certificate(1)))
    await first.close()
    second = open_store(store_url)
    assert await second.get_station(StationId("CS-17")) == station()
    assert (await second.lookup_status(SUB, certificate(1).serial))[1] is not None
    await second.commit(*issue(certificate(2)))
    await second.close()


async def test_a_database_newer_than_the_code_is_refused(store_url: str) -> None:
    store = open_store(store_url)
    with store._backend.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    await store.close()
    with pytest.raises(Broken, match="9999") as raised:
        open_store(store_url)
    assert "newer version" in raised.value.hint


async def test_two_nodes_that_start_together_migrate_once(postgres_url: str) -> None:
    stores = await asyncio.gather(*(asyncio.to_thread(open_store, postgres_url) for _ in range(3)))
    for store in stores:
        await store.ping()
        await store.close()


def modes_in(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def test_the_sqlite_files_are_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/chargepki.db")
        await store.commit(AddStation(station()))
        names = ("chargepki.db", "chargepki.db-wal", "chargepki.db-shm", "chargepki.db.lock")
        assert modes_in(tmp_path) == dict.fromkeys(names, 0o600)
        await store.close()
    finally:
        os.umask(before)


async def test_a_second_process_is_told_that_the_first_is_running(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chargepki.db"
    store = open_store(url)
    with pytest.raises(Broken, match="already running"):
        open_store(url)
    await store.close()
    again = open_store(url)
    await again.close()


async def test_sqlite_commits_are_durable(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/chargepki.db")
    with store._backend.writer.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
    await store.close()


async def test_postgres_commits_are_durable_whatever_the_servers_default(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with store._backend.writer.begin() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    await store.close()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/database", "sqlite://", "sqlite:///:memory:"])
def test_an_unusable_url_is_refused_with_a_hint(url: str) -> None:
    with pytest.raises(Broken) as raised:
        open_store(url)
    assert "sqlite:///path" in raised.value.hint


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=re.escape(str(tmp_path / "missing"))):
        open_store(f"sqlite:///{tmp_path}/missing/chargepki.db")


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear reader, " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        open_store(f"sqlite:///{path}")
    assert path.read_text().startswith("Dear reader")


def test_a_server_that_is_not_there_is_reported_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as raised:
        open_store(f"postgresql://someone:hunter2@/chargepki?host={tmp_path}")
    assert "hunter2" not in str(raised.value)
    assert "PostgreSQL server runs" in raised.value.hint
