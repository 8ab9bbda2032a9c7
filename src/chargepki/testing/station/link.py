"""The simulated station's side of one web socket: CALLs out, answers in, commands from the CSMS handed on."""

import asyncio
import base64
import ssl
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from chargepki.core.bundle import OcppVersion
from chargepki.errors import ChargePkiError, Refused
from chargepki.protocols.ocpp.schemas import check_request, check_response
from chargepki.protocols.ocpp.wire import (
    FRAME_OCTETS_MAX,
    Call,
    CallError,
    CallResult,
    FrameRefused,
    JsonObject,
    encode,
    parse_frame,
    refusal_of,
    subprotocol,
)

OPEN_SECONDS_MAX: Final = 15.0
ANSWER_SECONDS_MAX: Final = 30.0


class UpgradeRefused(ChargePkiError):
    """The server answered the upgrade with an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server refused the connection with HTTP {status}")
        self.status = status


class HandshakeFailed(ChargePkiError):
    """TLS or TCP failed before any HTTP: a client certificate that is not accepted looks like this."""


class CallRefused(ChargePkiError):
    """The CSMS answered a CALL with CALLERROR."""

    def __init__(self, action: str, error: CallError) -> None:
        super().__init__(f"{action}: {error.code} {error.description}")
        self.code, self.description = error.code, error.description


class ConnectionEnded(ChargePkiError):
    """The connection ended while something was still expected of it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How a connection ended: the close code and reason the server sent (RFC 6455 7.1.5)."""

    code: int
    reason: str


class Link:
    """`on_command` answers the CSMS's CALLs; it raises `FrameRefused` to answer with CALLERROR."""

    def __init__(self, socket: ClientConnection, version: OcppVersion, on_command: Callable[[Call], Awaitable[JsonObject]]) -> None:
        self._socket, self._version, self._on_command = socket, version, on_command
        self._waiting: dict[str, tuple[str, asyncio.Future[CallResult | CallError]]] = {}
        self._calling = asyncio.Lock()
        self._reader = asyncio.ensure_future(self._read())

    @classmethod
    async def open(
        cls,
        url: str,
        station_id: str,
        version: OcppVersion,
        tls: ssl.SSLContext,
        on_command: Callable[[Call], Awaitable[JsonObject]],
        *,
        password: str | None = None,
        server_hostname: str | None = None,
    ) -> "Link":
        """Raises `UpgradeRefused` or `HandshakeFailed`."""
        headers = {} if password is None else {"Authorization": _basic(station_id, password)}
        try:
            socket = await connect(
                f"{url}/{quote(station_id, safe='')}",
                ssl=tls,
                server_hostname=server_hostname,
                subprotocols=[Subprotocol(subprotocol(version))],
                additional_headers=headers,
                open_timeout=OPEN_SECONDS_MAX,
                max_size=FRAME_OCTETS_MAX,
                proxy=None,
            )
        except InvalidStatus as refused:
            raise UpgradeRefused(refused.response.status_code) from None
        except (ssl.SSLError, OSError, InvalidMessage, EOFError) as error:
            raise HandshakeFailed(f"no connection to {url}: {error}") from error
        except InvalidHandshake as error:
            raise HandshakeFailed(f"no web socket at {url}: {error}") from error
        return cls(socket, version, on_command)

    async def call(self, action: str, payload: JsonObject) -> JsonObject:
        """Sends one CALL and returns the checked answer. Raises `CallRefused` and `ConnectionEnded`."""
        async with self._calling:
            call = Call(str(uuid.uuid4()), action, payload)
            check_request(self._version, action, payload, message_id=call.id)
            answer: asyncio.Future[CallResult | CallError] = asyncio.get_running_loop().create_future()
            self._waiting[call.id] = (action, answer)
            try:
                await self.send_text(encode(call, self._version))
                result = await asyncio.wait_for(answer, ANSWER_SECONDS_MAX)
            finally:
                self._waiting.pop(call.id, None)
        if isinstance(result, CallError):
            raise CallRefused(action, result)
        check_response(self._version, action, result.payload, message_id=result.id)
        return result.payload

    async def send_text(self, text: str | bytes) -> None:
        """Any frame at all, for tests of bad ones."""
        try:
            await self._socket.send(text)
        except ConnectionClosed as closed:
            raise ConnectionEnded(str(closed)) from None

    async def close(self) -> None:
        await self._socket.close()
        await self._reader

    def drop(self) -> None:
        """Gone, without a closing handshake: a power cut."""
        self._socket.transport.abort()

    async def wait_closed(self, seconds: float) -> Closed:
        """TimeoutError when the connection still stands after `seconds`."""
        await asyncio.wait_for(asyncio.shield(self._reader), seconds)
        return Closed(self._socket.close_code or 1006, self._socket.close_reason or "")

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                await self._take(message if isinstance(message, str) else message.decode())
        except (ConnectionClosed, ConnectionEnded):
            pass
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionEnded("the connection ended before the answer"))

    async def _take(self, text: str) -> None:
        frame = parse_frame(text, self._version)
        match frame:
            case Call():
                await self._answer(frame)
            case CallResult() | CallError():
                _, answer = self._waiting.get(frame.id, ("", None))
                if answer is not None and not answer.done():
                    answer.set_result(frame)
            case _:
                raise Refused.because("station.frame", f"a CSMS does not send {type(frame).__name__}")

    async def _answer(self, call: Call) -> None:
        try:
            check_request(self._version, call.action, call.payload, message_id=call.id)
            payload = await self._on_command(call)
        except FrameRefused as refused:
            await self.send_text(encode(refusal_of(refused), self._version))
            return
        check_response(self._version, call.action, payload, message_id=call.id)
        await self.send_text(encode(CallResult(call.id, payload), self._version))


def _basic(station_id: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{station_id}:{password}".encode()).decode()
