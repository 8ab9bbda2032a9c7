"""A listening socket: accepts, shakes hands within bounds, and hands the connection to uvicorn's protocols.

The accept loop is ours because uvicorn's server hides a failed handshake, and a refused client certificate has to be recorded
with the address it came from. Signals, start and stop belong to `app.py`.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final, Protocol

import uvicorn
from uvicorn.server import ServerState

from chargepki.adapters.listen.connections import HttpConnection, WebSocketConnection
from chargepki.adapters.listen.handshake import presented_certificate
from chargepki.adapters.listen.tls import LiveTls
from chargepki.errors import Broken

Application = Callable[[Any, Any, Any], Awaitable[None]]  # ASGI 3

BACKLOG: Final = 2048  # a reconnect storm waits in the kernel instead of being refused
ACCEPT_PAUSE_SECONDS: Final = 0.2  # while the process has no file descriptors or memory left
TICK_SECONDS: Final = 1.0  # the Date header's resolution
STOP_POLL_SECONDS: Final = 0.02
HURRY_SECONDS: Final = 2.0  # a handshake on a slow mobile network; longer ones are cut off while others wait for their turn
SLOT_POLL_SECONDS: Final = 0.25
SHUTDOWN_SECONDS: Final = 5.0  # how long a peer may take to answer our TLS close_notify
_GONE_ALREADY: Final = frozenset({errno.ECONNABORTED, errno.EPROTO})  # accept(2): the next one may be fine


class HandshakeRefused(Protocol):
    """Told of every TLS handshake that failed for a reason the peer gave (a certificate, a version, a timeout)."""

    async def __call__(self, *, remote: str, reason: str, certificate_der: bytes | None) -> None: ...


@dataclass(frozen=True, slots=True)
class _Guest:
    """Who is shaking hands, and since when (event loop time)."""

    address: str
    since: float


@dataclass(frozen=True, slots=True)
class ListenerBounds:
    """What strangers may take. A connection beyond `connections_max` is closed before its handshake."""

    connections_max: int = 20_000
    handshakes_max: int = 500  # at a time; further ones wait in the backlog
    handshake_seconds: float = 10.0
    idle_seconds: int = 30
    message_octets_max: int = 256 * 1024  # of a WebSocket message, after decompression
    ping_seconds: float | None = None  # WebSocket pings from our side; None: the application keeps watch


class Listener:
    """One port. `await start()`, then `port` and `await stop()`. Without `tls` it speaks plain HTTP."""

    def __init__(
        self,
        app: Application,
        host: str,
        port: int,
        *,
        tls: LiveTls | None = None,
        on_handshake_refused: HandshakeRefused | None = None,
        has_websockets: bool = False,
        bounds: ListenerBounds | None = None,
    ) -> None:
        self._host, self._port = host, port
        self._tls = tls
        self._on_handshake_refused = on_handshake_refused
        self._bounds = bounds or ListenerBounds()
        self._config = _uvicorn_config(app, self._bounds, has_websockets=has_websockets)
        self._state = ServerState()
        self._welcoming: dict[asyncio.Task[None], _Guest] = {}
        self._running: tuple[asyncio.Task[None], ...] = ()
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port in use: the asked one, or the one the system chose for 0."""
        return self._port

    @property
    def connection_count(self) -> int:
        return len(self._state.connections) + len(self._welcoming)

    async def start(self) -> None:
        """Binds and accepts. `Broken` when the address is taken or none of ours."""
        self._config.load()
        self._set_date()
        self._socket = await _bind(self._host, self._port)
        self._port = int(self._socket.getsockname()[1])
        self._running = (
            asyncio.create_task(self._accept(self._socket), name=f"accept :{self.port}"),
            asyncio.create_task(self._tick(), name=f"date :{self.port}"),
        )

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Accepts no more, asks every connection to end, waits `grace_seconds` for requests under way, then cuts the rest."""
        for task in (*self._running, *self._welcoming):
            task.cancel()
        await asyncio.gather(*self._running, *self._welcoming, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        for connection in tuple(self._state.connections):
            connection.shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._state.connections or self._state.tasks:  # noqa: ASYNC110 - uvicorn's sets have no event to wait for
                    await asyncio.sleep(STOP_POLL_SECONDS)
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        tasks = tuple(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        """For ever: one accepted connection, one task. While `handshakes_max` are under way, the slow ones of the busiest address go."""
        loop = asyncio.get_running_loop()
        slots = asyncio.Semaphore(self._bounds.handshakes_max)
        while True:
            await self._take_slot(slots)
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError as error:
                slots.release()
                if error.errno not in _GONE_ALREADY:
                    await asyncio.sleep(ACCEPT_PAUSE_SECONDS)
                continue
            if self.connection_count >= self._bounds.connections_max:
                slots.release()
                connection.close()
                continue
            remote = _address(connection)
            task = asyncio.create_task(self._welcome(connection, remote))
            self._welcoming[task] = _Guest(remote, loop.time())
            task.add_done_callback(self._welcoming.pop)
            task.add_done_callback(lambda _: slots.release())

    async def _take_slot(self, slots: asyncio.Semaphore) -> None:
        while slots.locked():
            self._cut_slow_handshakes()
            with suppress(TimeoutError):
                async with asyncio.timeout(SLOT_POLL_SECONDS):
                    await slots.acquire()
                    return
        await slots.acquire()

    def _cut_slow_handshakes(self) -> None:
        """Some who connect and say nothing must not keep everybody else out."""
        if not self._welcoming:
            return
        latest = asyncio.get_running_loop().time() - HURRY_SECONDS
        ((busiest, _),) = Counter(guest.address for guest in self._welcoming.values()).most_common(1)
        for task, guest in self._welcoming.items():
            if guest.address == busiest and guest.since < latest:
                task.cancel()

    async def _welcome(self, connection: socket.socket, remote: str) -> None:
        """Shakes hands; from then on the connection lives in uvicorn's protocol."""
        try:
            await self._shake_hands(connection)
        except (OSError, TimeoutError) as error:
            reason = _reason(error)
            if reason and self._on_handshake_refused:
                await self._on_handshake_refused(remote=remote, reason=reason, certificate_der=presented_certificate(error))

    async def _shake_hands(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.connect_accepted_socket(self._new_connection, connection)
            return
        await loop.connect_accepted_socket(
            self._new_connection,
            connection,
            ssl=self._tls.for_one(connection),
            ssl_handshake_timeout=self._bounds.handshake_seconds,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
        )

    def _new_connection(self) -> HttpConnection:
        return HttpConnection(self._config, self._state, {})

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._set_date()

    def _set_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]


def _uvicorn_config(app: Application, bounds: ListenerBounds, *, has_websockets: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        http=HttpConnection,
        ws=WebSocketConnection if has_websockets else "none",
        ws_max_size=bounds.message_octets_max,
        ws_ping_interval=bounds.ping_seconds,
        ws_ping_timeout=bounds.ping_seconds,
        timeout_keep_alive=bounds.idle_seconds,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the peer's address is the socket's; a header is a stranger's word
    )


async def _bind(host: str, port: int) -> socket.socket:
    try:
        addresses = await asyncio.get_running_loop().getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = addresses[0]
        is_any = family is socket.AF_INET6 and address[0] == "::"
        listening = socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=is_any and socket.has_dualstack_ipv6())
    except OSError as error:
        raise Broken(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="another program may use the port: choose another one, or 0 for any free port",
        ) from error
    listening.setblocking(False)
    return listening


def _address(connection: socket.socket) -> str:
    """The peer's IP address, without port; "" when it is gone already."""
    try:
        return str(connection.getpeername()[0])
    except OSError:
        return ""


def _reason(error: OSError) -> str:
    """What is worth telling of a failed handshake, "" when the peer merely went away (port scans, load balancers)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message} ({error.verify_code})"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return ""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").lower().replace("_", " ")
    if isinstance(error, TimeoutError) or "taking longer" in str(error):
        return "handshake timed out"
    return ""
