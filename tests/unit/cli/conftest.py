"""The command line against the real API over HTTP, served by a thread of this process."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from chargepki import app
from chargepki.api.app import create_api
from chargepki.api.services import ApiServices
from chargepki.cli.main import main
from chargepki.services.access import TokenOrder
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.cli.cli_runs import Run, Said, Served


def api_services(bench: Workbench) -> ApiServices:
    return app.api_services(bench.ports, bench.services)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    directory = tmp_path_factory.mktemp("platform")
    started, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with open_workbench(directory) as bench:
            _, token = await bench.services.access.create_token(ADMIN, TokenOrder("tests", frozenset({"*:*:*"})))
            (directory / "admin.token").write_text(token + "\n")
            server = uvicorn.Server(uvicorn.Config(create_api(api_services(bench)), port=0, log_level="error", lifespan="off"))
            running = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110  uvicorn sets a flag, no event
                await asyncio.sleep(0.01)
            found.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
            started.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await running

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(60)
    yield Served(found[0], directory / "admin.token")
    stop.set()
    thread.join(20)


@pytest.fixture
def in_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CHARGEPKI_DATA", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # the test runner's workers have one
    return tmp_path


@pytest.fixture
def run(served: Served, in_directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one command against the served platform."""

    def run_command(*arguments: str, width: int | None = None, connected: bool = True) -> Said:
        if width is not None:
            monkeypatch.setenv("COLUMNS", str(width))
        where = ("--url", served.url, "--token-file", str(served.token_file)) if connected else ()
        code = main([*arguments, *where])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run_command
