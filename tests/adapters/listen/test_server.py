"""What a listener does with strangers, over real sockets, on both event loops."""

import asyncio
import os
import resource
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chargepki.adapters.listen import connections, server
from chargepki.adapters.listen.handshake import parse_certificate_message
from chargepki.adapters.listen.server import Listener, ListenerBounds
from chargepki.adapters.listen.tls import LiveTls
from chargepki.errors import Broken
from tests.adapters.listen.conftest import peer_app
from tests.adapters.listen.pki import TestPki
from tests.adapters.listen.test_tls import Refusals, get

Listen = Callable[..., Awaitable[Listener]]
ClientContext = Callable[..., ssl.SSLContext]
REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


async def test_plain_http_has_no_peer_and_names_no_server(listen: Listen) -> None:
    listener = await listen()
    assert await get(listener.port, None) == "no tls"
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(REQUEST)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert b"\r\ndate: " in head
    assert b"\r\nserver:" not in head
    writer.close()


async def test_a_forwarded_address_is_a_strangers_word(listen: Listen) -> None:
    async def who(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['client'][0]} {scope['scheme']}".encode()})

    listener = await listen(who)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.66\r\nx-forwarded-proto: https\r\nconnection: close\r\n\r\n")
    assert b"127.0.0.1 http\r\n" in await reader.read()
    writer.close()


async def test_a_websocket_and_a_request_know_the_same_peer(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext
) -> None:
    listener = await listen(tls=live, has_websockets=True)
    context = client_context(pki.client)
    over_http = await get(listener.port, context)
    async with connect(f"wss://localhost:{listener.port}/", ssl=context) as websocket:
        assert await websocket.recv() == over_http
    assert over_http.startswith(pki.client.der.hex())


async def test_each_request_of_one_connection_knows_the_peer(
    listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext
) -> None:
    listener = await listen(tls=live)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=client_context(pki.client), server_hostname="localhost")
    for _ in range(3):
        writer.write(REQUEST)
        await reader.readuntil(b"\r\n\r\n")
        assert (await reader.readuntil(b"TLSv1.3")).startswith(pki.client.der.hex().encode())
    writer.close()


async def test_a_websocket_is_no_business_of_a_plain_door(listen: Listen) -> None:
    listener = await listen()
    with pytest.raises(InvalidStatus):
        async with connect(f"ws://127.0.0.1:{listener.port}/"):
            pass


async def test_a_message_beyond_the_bound_ends_the_websocket(listen: Listen) -> None:
    listener = await listen(has_websockets=True, bounds=ListenerBounds(message_octets_max=1000))
    async with connect(f"ws://127.0.0.1:{listener.port}/") as websocket:
        await websocket.recv()
        await websocket.send("x" * 1000)
        assert len(await websocket.recv()) == 1000
        await websocket.send("x" * 1001)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_a_compressed_message_is_measured_unpacked(listen: Listen) -> None:
    listener = await listen(has_websockets=True, bounds=ListenerBounds(message_octets_max=1000))
    async with connect(f"ws://127.0.0.1:{listener.port}/", compression="deflate") as websocket:
        await websocket.recv()
        await websocket.send("x" * 1_000_000)
        with pytest.raises(ConnectionClosed):
            await websocket.recv()


async def test_an_endless_head_is_answered_with_400(listen: Listen) -> None:
    listener = await listen()
    for chunk in (b"x-a: b\r\n", b"x"):  # many headers, one endless header
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(REQUEST[:-2])
        with suppress(ConnectionError):
            for _ in range(64):
                writer.write(chunk * (8192 // len(chunk)))
                await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.startswith(b"HTTP/1.1 400 ")
        assert await _is_cut(reader)
        writer.close()


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET / HT", b"\r\n", REQUEST + b"GET ", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf"],
    ids=["silence", "half a head", "a line end", "a second half head", "half a body"],
)
async def test_a_slow_request_ends_the_connection(listen: Listen, monkeypatch: pytest.MonkeyPatch, beginning: bytes) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.2)
    monkeypatch.setattr(connections, "BODY_SECONDS_MAX", 0.2)
    listener = await listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(beginning)
    assert await _is_cut(reader)
    writer.close()


async def test_an_idle_connection_ends_though_line_ends_arrive(listen: Listen) -> None:
    listener = await listen(bounds=ListenerBounds(idle_seconds=1))
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(REQUEST)
    await reader.readuntil(b"no tls")
    writer.write(b"\r\n")
    assert await _is_cut(reader)
    writer.close()


async def test_an_open_websocket_outlives_every_http_deadline(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS_MAX", 0.1)
    monkeypatch.setattr(connections, "BODY_SECONDS_MAX", 0.1)
    listener = await listen(has_websockets=True)
    async with connect(f"ws://127.0.0.1:{listener.port}/") as websocket:
        await websocket.recv()
        await asyncio.sleep(0.4)
        await websocket.send("still here")
        assert await websocket.recv() == "still here"


async def test_a_connection_too_many_is_closed_and_room_comes_back(listen: Listen) -> None:
    listener = await listen(bounds=ListenerBounds(connections_max=2))
    held = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
    await _until(lambda: listener.connection_count == 2)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    assert await _is_cut(reader)
    writer.close()
    for _, holder in held:
        holder.close()
    await _until(lambda: listener.connection_count == 0)
    assert await get(listener.port, None) == "no tls"


async def test_handshakes_beyond_the_bound_wait_their_turn(listen: Listen, live: LiveTls, client_context: ClientContext) -> None:
    listener = await listen(tls=live, bounds=ListenerBounds(handshakes_max=2, handshake_seconds=0.3))
    loiterers = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(4)]
    assert (await get(listener.port, client_context())).startswith(" 0 ")
    for _, writer in loiterers:
        writer.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the loopback interface has one address")
async def test_silent_connections_keep_nobody_out(
    listen: Listen, live: LiveTls, client_context: ClientContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HURRY_SECONDS", 0.2)
    listener = await listen(tls=live, bounds=ListenerBounds(handshakes_max=10, handshake_seconds=30.0))
    elsewhere = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=("127.0.0.2", 0))
    silent = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(30)]
    async with asyncio.timeout(5.0):
        assert (await get(listener.port, client_context())).startswith(" 0 ")
        assert await silent[0][0].read() == b""  # the slow ones of the busiest address were cut off
    assert not elsewhere[0].at_eof()  # one that is slow alone was not
    for _, writer in (elsewhere, *silent):
        writer.close()


async def test_who_merely_goes_away_is_not_told_of(listen: Listen, live: LiveTls, client_context: ClientContext) -> None:
    refusals = Refusals()
    listener = await listen(tls=live, on_handshake_refused=refusals)
    for first_words in (b"", b"\x16\x03\x01\x02\x00"):
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(first_words)
        writer.close()
    await get(listener.port, client_context())
    await _until(lambda: listener.connection_count == 0)
    assert refusals.seen.empty()


async def test_who_speaks_no_tls_is_told_of_once(listen: Listen, live: LiveTls) -> None:
    refusals = Refusals()
    listener = await listen(tls=live, on_handshake_refused=refusals)
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(REQUEST)
    assert await refusals.next() == ("127.0.0.1", "http request", None)
    writer.close()


async def test_failed_handshakes_leave_nothing_open(listen: Listen, live: LiveTls, pki: TestPki, client_context: ClientContext) -> None:
    listener = await listen(tls=live)
    context = client_context(pki.foreign_client)
    await _fail(listener.port, context)
    await _until(lambda: listener.connection_count == 0)
    before = _open_files()
    for _ in range(20):
        await _fail(listener.port, context)
    await _until(lambda: listener.connection_count == 0)
    await _until(lambda: _open_files() <= before + 2)


async def test_running_out_of_file_descriptors_is_survived(listen: Listen) -> None:
    listener = await listen()
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    with _no_file_descriptors_left():
        await loop.sock_connect(client, ("127.0.0.1", listener.port))
        await asyncio.sleep(0.3)
        assert listener.connection_count == 0
    await loop.sock_sendall(client, REQUEST)
    assert b"no tls" in await asyncio.wait_for(loop.sock_recv(client, 4096), 5)
    client.close()


async def test_a_stop_lets_a_request_finish_and_tells_websockets_that_it_restarts(listen: Listen) -> None:
    entered = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await peer_app(scope, receive, send)
            return
        entered.set()
        await asyncio.sleep(0.3)
        await peer_app(scope, receive, send)

    listener = await listen(slow, has_websockets=True)
    async with connect(f"ws://127.0.0.1:{listener.port}/") as websocket:
        await websocket.recv()
        under_way = asyncio.create_task(get(listener.port, None))
        await entered.wait()
        await listener.stop(grace_seconds=5)
        assert await under_way == "no tls"
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    with pytest.raises(OSError, match=r"(?i)connect"):
        await asyncio.open_connection("127.0.0.1", listener.port)


async def test_a_stop_cuts_what_does_not_end(listen: Listen, live: LiveTls, client_context: ClientContext) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    listener = await listen(never, tls=live)
    loiterer = await asyncio.open_connection("127.0.0.1", listener.port)  # in its handshake
    waiting = asyncio.create_task(get(listener.port, client_context()))
    await _until(lambda: listener.connection_count == 2)
    await asyncio.sleep(0.2)
    async with asyncio.timeout(3):
        await listener.stop(grace_seconds=0.2)
    with suppress(ConnectionError):
        await waiting
    assert listener.connection_count == 0
    loiterer[1].close()


async def test_a_port_in_use_is_named_with_a_remedy(listen: Listen) -> None:
    taken = await listen()
    second = Listener(peer_app, "127.0.0.1", taken.port)
    with pytest.raises(Broken, match=rf"cannot listen on 127\.0\.0\.1:{taken.port}") as refusal:
        await second.start()
    assert "port" in refusal.value.hint


@pytest.mark.parametrize("message", [b"", b"\x0b", b"\x0b\0\0\0", b"\x0b\0\0\3\0\0\0", b"\x0b\0\0\6\0\0\3\0\0\5x", b"\x0b\0\0\1\xff"])
@pytest.mark.parametrize("is_tls13", [False, True])
def test_a_certificate_message_without_a_certificate_has_none(message: bytes, is_tls13: bool) -> None:
    assert parse_certificate_message(message, is_tls13=is_tls13) is None


async def _is_cut(reader: asyncio.StreamReader) -> bool:
    """True when the server ends the connection within 5 seconds, whatever it says before."""
    with suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 5)
    return True


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def _fail(port: int, context: ssl.SSLContext) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await get(port, context)


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@contextmanager
def _no_file_descriptors_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
