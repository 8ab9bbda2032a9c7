"""The web socket door: `/ocpp/{station}`. Who may not enter gets an HTTP answer; who may gets a `Session`.

A station proves itself before the upgrade: with a client certificate (security profile 3), else with HTTP Basic (profile 2).
The outside learns a status code; the reasons are in the audit trail, where `Admission` puts them.
"""

import base64
import binascii
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from chargepki.core.identifiers.station import parse_station_id
from chargepki.core.rates import RateWindow
from chargepki.core.records import StationId
from chargepki.core.tls_peer import TlsPeer, tls_peer
from chargepki.errors import Broken, NotAuthenticated, NotFound, Refused, TooMany
from chargepki.protocols.ocpp.gateway import Gateway
from chargepki.protocols.ocpp.services import OcppServices
from chargepki.protocols.ocpp.session import CloseCode, Disconnected, Session
from chargepki.protocols.ocpp.versions.registry import find_dialect
from chargepki.protocols.ocpp.wire import FRAME_OCTETS_MAX
from chargepki.services.admission import Admitted

PATH_PREFIX: Final = b"/ocpp/"
PATH_OCTETS_MAX: Final = 256  # 48 characters, each percent-encoded, and the prefix
AUTHORIZATION_OCTETS_MAX: Final = 512  # 48 + 1 + 64 characters, base64
FAILURES_PER_MINUTE_MAX: Final = 10  # one remote and station; a password hash is costly to check
PEERS_REMEMBERED_MAX: Final = 20_000
CLOSE_REASON_OCTETS_MAX: Final = 123  # RFC 6455 5.5

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Credentials:
    username: str
    password: str


class _Denied(Exception):
    """An HTTP answer in place of the upgrade."""

    def __init__(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(status)
        self.status, self.headers = status, headers


class OcppApp:
    """The ASGI application of the OCPP listener. `gateway` knows the live connections."""

    def __init__(self, services: OcppServices) -> None:
        self.gateway = Gateway(services)
        self._services = services
        self._failures = RateWindow(limit=FAILURES_PER_MINUTE_MAX, seconds=60, keys_max=PEERS_REMEMBERED_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "websocket":
                await self._serve(scope, receive, send)
            case "http":  # RFC 9110 15.5.22
                await _answer(send, "http.response", 426, ((b"upgrade", b"websocket"), (b"connection", b"upgrade")))
            case "lifespan":
                await _live(receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            admitted = await self._admit(scope)
        except _Denied as denied:
            await _answer(send, "websocket.http.response", denied.status, denied.headers)
            return
        dialect = find_dialect(scope.get("subprotocols") or ())
        if dialect is None:  # OCPP 2.1 part 4, 3.3: complete the handshake without a sub-protocol and close at once
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": CloseCode.PROTOCOL, "reason": "no common OCPP version"})
            return
        await send({"type": "websocket.accept", "subprotocol": f"ocpp{dialect.version.value}"})
        session = Session(
            _AsgiChannel(receive, send),
            dialect,
            admitted,
            self._services,
            remote=_remote(scope),
            signing_rate=self.gateway.signing_rate,
            event_rate=self.gateway.event_rate,
            orders=self.gateway.orders,
        )
        await self.gateway.serve(session)

    async def _admit(self, scope: Scope) -> Admitted:
        if scope.get("scheme") != "wss":  # security profile 1 is not offered
            raise _Denied(403)
        try:
            station = _parse_path(scope)
        except Refused:
            raise _Denied(404) from None
        remote = _remote(scope)
        key = f"{remote.rpartition(':')[0]} {station}"
        self._check_rate(key)
        try:
            return await self._authenticate(scope, station, remote)
        except NotAuthenticated:
            self._failures.note(key, time.monotonic())
            raise _Denied(401, (b"www-authenticate", b'Basic realm="OCPP", charset="UTF-8"')) from None
        except NotFound:
            self._failures.note(key, time.monotonic())
            raise _Denied(404) from None
        except TooMany as later:
            raise _Denied(429, (b"retry-after", str(later.retry_after).encode())) from None
        except Refused:
            self._failures.note(key, time.monotonic())
            raise _Denied(403) from None
        except Broken:
            raise _Denied(503, (b"retry-after", b"10")) from None

    async def _authenticate(self, scope: Scope, station: StationId, remote: str) -> Admitted:
        admission = self._services.admission
        peer: TlsPeer | None = tls_peer(scope)
        cipher = peer.cipher if peer is not None else ""
        if peer is not None and peer.certificate_der:
            return await admission.admit_certificate(station, peer.certificate_der, remote=remote, tls_cipher=cipher)
        given = _parse_basic(scope, station)
        return await admission.admit_basic(station, given.username, given.password, remote=remote, tls_cipher=cipher)

    def _check_rate(self, key: str) -> None:
        wait = self._failures.retry_after(key, time.monotonic())
        if wait:
            raise _Denied(429, (b"retry-after", str(wait).encode()))


def create_ocpp_app(services: OcppServices) -> OcppApp:
    return OcppApp(services)


class _AsgiChannel:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def receive(self) -> str | bytes:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Disconnected(message.get("code") or 1005)
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, text: str) -> None:
        await self._hand_over({"type": "websocket.send", "text": text})

    async def close(self, code: int, reason: str) -> None:
        cut = reason.encode()[:CLOSE_REASON_OCTETS_MAX].decode(errors="ignore")
        await self._hand_over({"type": "websocket.close", "code": code, "reason": cut})

    async def _hand_over(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError):  # ASGI 2.4: OSError once the peer is gone; servers say RuntimeError after our own close
            raise Disconnected(1006) from None


def _parse_path(scope: Scope) -> StationId:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    segment = raw.removeprefix(PATH_PREFIX)
    if len(raw) > PATH_OCTETS_MAX or not raw.startswith(PATH_PREFIX) or b"/" in segment:
        raise Refused.because("ocpp.path", "the path is not /ocpp/{station}", clause="OCPP 2.1 part 4, 3.1.1")
    try:
        return parse_station_id(unquote_to_bytes(segment).decode())  # RFC 3986 2.1
    except UnicodeDecodeError:
        raise Refused.because("ocpp.path", "the station id is not UTF-8", clause="RFC 3986 2.5") from None


def _parse_basic(scope: Scope, station: StationId) -> _Credentials:
    """RFC 7617. A password that is no printable text stands for its hex digits, as OCPP 1.6 keeps it (whitepaper A00.FR.304)."""
    header = _only_header(scope["headers"], b"authorization")
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic" or len(header) > AUTHORIZATION_OCTETS_MAX:
        raise NotAuthenticated.because("ocpp.credentials.none", "neither a client certificate nor Basic credentials were given")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        decoded = b""
    own = f"{station}:".encode()
    username, _, password = (own[:-1], b":", decoded[len(own) :]) if decoded.startswith(own) else decoded.partition(b":")
    return _Credentials(username.decode(errors="replace"), _read_password(password))


def _read_password(octets: bytes) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return octets.hex()
    return text if text.isprintable() else octets.hex()


def _only_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The header's value; empty when it is absent or given twice."""
    values = [value for key, value in headers if key.lower() == name]
    return values[0] if len(values) == 1 else b""


def _remote(scope: Scope) -> str:
    host, port = scope.get("client") or ("", 0)
    return f"{host}:{port}"


async def _answer(send: Send, kind: str, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    body = f"{status}\n".encode()
    fields = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": f"{kind}.start", "status": status, "headers": fields})
    await send({"type": f"{kind}.body", "body": body, "more_body": False})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = ["FRAME_OCTETS_MAX", "OcppApp", "create_ocpp_app"]
