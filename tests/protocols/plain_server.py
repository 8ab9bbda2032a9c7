"""The plain HTTP doors behind a real server on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn

from chargepki.protocols.crl.server import crl_app, issuer_app
from chargepki.protocols.ocsp.server import ocsp_app
from chargepki.protocols.plain_http import AsgiApp, Receive, Scope, Send
from chargepki.testing.workbench import Workbench


def doors(bench: Workbench) -> AsgiApp:
    by_prefix = {
        "/ocsp": ocsp_app(bench.services.status),
        "/crl": crl_app(bench.services.status),
        "/ca": issuer_app(bench.services.authorities),
    }

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await by_prefix["/" + scope["path"].split("/")[1]](scope, receive, send)

    return app


@asynccontextmanager
async def serving(bench: Workbench) -> AsyncIterator[str]:
    """The base URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(doors(bench), lifespan="off", log_level="warning", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup([listener])
        task = asyncio.create_task(server.main_loop())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            await server.shutdown([listener])


async def run(*command: str) -> tuple[int, str]:
    """Exit code and everything printed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode(errors="replace")
