"""A real server in a process of its own: `chargepki up` on free ports over a directory, for the demo, tests and benchmarks."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from chargepki.client.client import Client
from chargepki.errors import Broken

START_SECONDS_MAX: Final = 60.0  # the first start makes six authorities, two with RSA keys
READY_SECONDS_MAX: Final = 5.0  # past this it is as it is: some servers are meant not to be ready
STOP_SECONDS_MAX: Final = 20.0
LOG_TAIL_OCTETS: Final = 4000
ENDPOINTS_FILE: Final = "endpoints.json"


@dataclass(slots=True)
class ServerProcess:
    """A running `chargepki up`. `api`, `ocpp`, `status` and `metrics` are URLs."""

    data: Path
    process: asyncio.subprocess.Process
    api: str
    ocpp: str
    status: str
    metrics: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def ca_file(self) -> Path:
        return self.data / "trust" / "api-roots.pem"

    @property
    def admin_token(self) -> str:
        return (self.data / "admin.token").read_text().strip()

    def operator_roots_pem(self) -> str:
        """What a station trusts."""
        return (self.data / "trust" / "operator-roots.pem").read_text()

    def client(self) -> Client:
        """Speaks to the API as the first administrator."""
        return Client(self.api, self.admin_token, self.ca_file)

    def log(self) -> str:
        """The end of what the server wrote to stderr."""
        return _tail(self.data)

    async def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM and the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_SECONDS_MAX)
        except TimeoutError:
            await self.kill()
            raise Broken("the server did not stop in time", hint=_tail(self.data)) from None


async def start_server(data: Path, *options: str, environment: dict[str, str] | None = None, module: str = "chargepki") -> ServerProcess:
    """Starts `chargepki up --data DATA` on free ports and returns when it answers. `Broken` with the log's end when it does not.

    `module` is what runs as `chargepki`, for one that first changes something in it.
    """
    await asyncio.to_thread(_clear, data)
    ports = [f"--{name}-port=0" for name in ("api", "ocpp", "status", "metrics")]
    with await asyncio.to_thread((data / "server.log").open, "ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            "up",
            "--data",
            str(data),
            *ports,
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(environment or {})},
        )
    try:
        urls = await asyncio.wait_for(_wait_for_endpoints(data, process), START_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        raise Broken("the server did not start in time", hint=_tail(data)) from None
    return ServerProcess(data, process, urls["api"], urls["ocpp"], urls["status"], urls["metrics"])


@asynccontextmanager
async def running_server(data: Path, *options: str, module: str = "chargepki") -> AsyncIterator[ServerProcess]:
    """A server for the length of a block, ready where it becomes so soon: its first CRLs are out."""
    server = await start_server(data, *options, module=module)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS_MAX):
                await _wait_until_ready(server.metrics)
        yield server
    finally:
        if server.process.returncode is None:
            await server.stop()


def _clear(data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True)
    (data / ENDPOINTS_FILE).unlink(missing_ok=True)


async def _wait_for_endpoints(data: Path, process: asyncio.subprocess.Process) -> dict[str, str]:
    path = data / ENDPOINTS_FILE
    while not path.exists():
        if process.returncode is not None:
            raise Broken(f"the server ended with exit code {process.returncode}", hint=_tail(data))
        await asyncio.sleep(0.05)
    found: dict[str, str] = json.loads(path.read_text())
    return found


async def _wait_until_ready(metrics: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        while (await http.get(f"{metrics}/readyz")).status_code != 200:  # noqa: ASYNC110  # another process: there is no event
            await asyncio.sleep(0.05)


def _tail(data: Path) -> str:
    log = data / "server.log"
    return log.read_bytes()[-LOG_TAIL_OCTETS:].decode("utf-8", "replace") if log.exists() else ""
