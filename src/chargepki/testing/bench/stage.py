"""A fresh server to measure, and the certificates to measure it with."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from chargepki.testing.csrs import make_csrs
from chargepki.testing.load import Target, spell_request
from chargepki.testing.server import ServerProcess, running_server

SQLITE: Final = "sqlite"
CONNECTIONS: Final = 32
PROFILE: Final = "backend/mtls-client"


@asynccontextmanager
async def fresh_directory(store: str) -> AsyncIterator[Path]:
    """A data directory whose configuration names `store`: "sqlite", or the URL of an empty PostgreSQL database."""
    with tempfile.TemporaryDirectory(prefix="chargepki-bench-") as directory:
        if store != SQLITE:
            configuration = f'[store]\ntype = "postgres"\ndsn = {json.dumps(store)}\n'
            await asyncio.to_thread((Path(directory) / "config.toml").write_text, configuration)
        yield Path(directory)


@asynccontextmanager
async def fresh_server(store: str) -> AsyncIterator[ServerProcess]:
    """A new platform that nobody but the benchmark speaks to."""
    async with fresh_directory(store) as directory, running_server(directory) as server:
        yield server


def name_of(store: str) -> str:
    """How a measurement spells its store: a URL may say who and where."""
    return SQLITE if store == SQLITE else "postgres"


def api_target(server: ServerProcess) -> Target:
    return Target.of(server.api, server.ca_file)


async def prepare_orders(server: ServerProcess, names: Iterable[str]) -> list[bytes]:
    """One certificate order per name, each with a key of its own, spelt and ready to send."""
    wanted, target = list(names), api_target(server)
    headers = {"Authorization": f"Bearer {server.admin_token}", "Content-Type": "application/json"}
    csrs = await asyncio.to_thread(lambda: list(make_csrs(len(wanted))))
    bodies = (json.dumps({"profile": PROFILE, "csr": csr, "common_name": name}) for csr, name in zip(csrs, wanted, strict=True))
    return [spell_request("POST", "/api/v1/certificates", target, headers, body.encode()) for body in bodies]
