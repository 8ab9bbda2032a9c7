"""A PostgreSQL server of our own for tests: real, small, on a Unix socket only, gone afterwards.

A test asks for the fixture `postgres_url` (a fresh database) or `postgres_server`. A conftest makes them known:
`from tests.postgres_server import postgres_server, postgres_url`.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

START_SECONDS_MAX = 60
SETTINGS = ("listen_addresses=", "shared_buffers=16MB", "max_connections=20", "fsync=on", "max_wal_size=128MB", "jit=off")


@dataclass(slots=True)
class PostgresServer:
    """A running server; `socket` is the directory of its Unix socket."""

    socket: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.socket}"

    def create_database(self, template: str = "template1") -> str:
        """The name of a fresh database, empty or a copy."""
        name = f"chargepki_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Runs a statement as the server's superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("PostgreSQL: no server binary found")
    with running_postgres(binaries) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


def find_binaries() -> Path | None:
    """The directory with `postgres` and `initdb`: on the PATH, in Debian's place, or in the PyPI wheel `pgserver`."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec("pgserver")
    in_wheel = [Path(place) / "pginstall" / "bin" for place in (wheel.submodule_search_locations or [])] if wheel else []
    places = [*([Path(on_path).resolve().parent, Path(on_path).parent] if on_path else []), *debian, *in_wheel]
    return next((place for place in places if (place / "postgres").exists() and (place / "initdb").exists()), None)


@contextmanager
def running_postgres(binaries: Path) -> Iterator[PostgresServer]:
    directory = Path(tempfile.mkdtemp(prefix="chargepki-pg-", dir="/tmp"))  # short: a socket's path has 107 octets
    identity = _identity(directory)
    try:
        _run(
            [binaries / "initdb", "-D", directory / "data", "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            identity,
        )
        command = [binaries / "postgres", "-D", directory / "data", "-k", directory, *(part for each in SETTINGS for part in ("-c", each))]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log, **identity)
        try:
            server = PostgresServer(directory)
            _wait_until_ready(server, process, directory / "log")
            yield server
        finally:
            process.send_signal(2)  # SIGINT: a fast shutdown
            process.wait(30)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _identity(directory: Path) -> Mapping[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as somebody else, who gets the directory."""
    if os.geteuid() != 0:
        return {}
    user = next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
    os.chown(directory, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[str | Path], identity: Mapping[str, Any]) -> None:
    try:
        done = subprocess.run(command, cwd="/tmp", capture_output=True, text=True, timeout=START_SECONDS_MAX, check=False, **identity)
    except PermissionError:
        pytest.skip(f"PostgreSQL: {command[0]} may not be run by a user other than root")
    assert done.returncode == 0, done.stderr


def _wait_until_ready(server: PostgresServer, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
