import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from chargepki.adapters.listen.server import Listener
from chargepki.adapters.listen.tls import ClientAuth, LiveTls
from chargepki.core.tls_peer import tls_peer
from tests.adapters.listen.pki import PASSPHRASE, Issued, TestPki, make_pki


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def pki() -> TestPki:
    return make_pki()


@pytest.fixture
def live(pki: TestPki) -> LiveTls:
    return LiveTls(pki.identities, client_auth=ClientAuth.OPTIONAL, client_anchors=pki.anchors)


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[Listener]]]:
    """Starts listeners on free ports of the loopback interface, and stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(app: Any = peer_app, **options: Any) -> Listener:
            listener = Listener(app, "127.0.0.1", 0, **options)
            await listener.start()
            stack.push_async_callback(listener.stop, 1.0)
            return listener

        yield start


@pytest.fixture
def client_context(pki: TestPki, tmp_path: Path) -> Callable[..., ssl.SSLContext]:
    """A client that trusts the test root; `using` is the certificate it presents, `chain` what it sends with it."""

    def make(using: Issued | None = None, *chain: Issued, version: ssl.TLSVersion | None = None, ciphers: str = "") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=pki.root.der)
        if using:
            certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
            certificate.write_bytes(using.pem + b"".join(issuer.pem for issuer in chain))
            key.write_bytes(using.key_pem)
            context.load_cert_chain(certificate, key, PASSPHRASE)
        if version:
            context.minimum_version = context.maximum_version = version
        if ciphers:
            context.set_ciphers(ciphers)
        return context

    return make


async def peer_app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with what the scope says of the peer. A WebSocket is accepted and echoes."""
    peer = tls_peer(scope)
    shown = "no tls" if peer is None else f"{(peer.certificate_der or b'').hex()} {len(peer.chain_der)} {peer.cipher} {peer.version}"
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": shown})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    while (await receive()).get("more_body"):
        pass
    body = shown.encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
