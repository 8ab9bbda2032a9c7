"""Every test that asks for `store` runs twice: on SQLite and on PostgreSQL.

The schema is made once per database and copied; the tests of opening and migrating make it anew.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chargepki.adapters.store import SqlStore, open_store
from tests.postgres_server import PostgresServer


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "chargepki.db"
    make_schema(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    name = postgres_server.create_database()
    make_schema(postgres_server.url(name))
    return name


def make_schema(url: str) -> None:
    asyncio.run(open_store(url).close())


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer, postgres_template: str) -> Iterator[str]:
    name = postgres_server.create_database(template=postgres_template)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "chargepki.db")
        return f"sqlite:///{tmp_path}/chargepki.db"
    url: str = request.getfixturevalue("migrated_postgres_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SqlStore]:
    opened = open_store(store_url)
    yield opened
    await opened.close()


@pytest.fixture
async def nodes(store: SqlStore, store_url: str) -> AsyncIterator[tuple[SqlStore, SqlStore]]:
    """Two nodes over one PostgreSQL; SQLite has one, twice."""
    other = open_store(store_url) if store_url.startswith("postgresql") else store
    yield store, other
    if other is not store:
        await other.close()
