"""One connection: uvicorn's protocols, with the TLS peer in the scope and a bound on what a stranger may hold open."""

import asyncio
from typing import Final, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chargepki.adapters.listen.tls import read_tls_peer
from chargepki.core.tls_peer import EXTENSION, TlsPeer

HEAD_OCTETS_MAX: Final = 32 * 1024  # request line and headers; a bearer token or a WebSocket upgrade needs 1 KiB
HEAD_SECONDS_MAX: Final = 10.0  # from the connection, or a further request's first octet, to the last header
BODY_SECONDS_MAX: Final = 60.0  # from the last header to the last octet of the body


class HttpConnection(HttpToolsProtocol):
    """HTTP/1.1. A head that is too long is answered with 400; a request that comes too slowly ends the connection."""

    _peer: TlsPeer | None = None
    _deadline: asyncio.TimerHandle | None = None
    _is_in_head = True
    _head_octets = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._peer = _peer_of(transport)
        self._start_clock(HEAD_SECONDS_MAX)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_octets += len(data)
            if self._head_octets > HEAD_OCTETS_MAX:
                self.send_400_response("The head of the request is too long.")
        elif self._is_idle():  # octets between two requests (a stray line end) do not stop the clock of an idle connection
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_octets = True, 0
        self._start_clock(HEAD_SECONDS_MAX)
        if self._peer is not None:
            self.scope["extensions"] = {EXTENSION: self._peer}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._start_clock(BODY_SECONDS_MAX)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop_clock()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._stop_clock()
        super().handle_websocket_upgrade()

    def _is_idle(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete and self.timeout_keep_alive_task is None

    def _start_clock(self, seconds: float) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(seconds, self.transport.close)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose scope knows the TLS peer."""

    async def run_asgi(self) -> None:
        peer = _peer_of(self.transport)
        if peer is not None:
            cast(dict[str, object], self.scope["extensions"])[EXTENSION] = peer
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            # A refusal was answered in full. uvicorn 0.54 would log it as an error and answer 500 behind it.
            self.handshake_complete = True


def _peer_of(transport: asyncio.Transport) -> TlsPeer | None:
    connection = transport.get_extra_info("ssl_object")
    return None if connection is None else read_tls_peer(connection)
