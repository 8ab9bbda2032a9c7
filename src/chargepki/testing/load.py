"""A load generator for HTTP/1.1: many connections, one request at a time on each, all of it prepared before the clock starts.

It costs a fraction of what a general client costs, so that the server, not the measuring, keeps the machine busy.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, cast
from urllib.parse import urlsplit

from chargepki.errors import Broken

HANDSHAKES_AT_ONCE: Final = 100  # more of them only wait in the server's backlog
ANSWER_OCTETS_MAX: Final = 64 * 1024 * 1024  # a CRL of a million entries has some 40 MB
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


class Answer(NamedTuple):
    """One HTTP answer. `seconds` is the time from writing the request to having the whole answer."""

    status: int
    body: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load goes: an origin, with TLS when `tls` is given."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, url: str, ca_file: Path | None = None) -> "Target":
        """The origin of an http or https URL; https trusts `ca_file`."""
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(f"{url!r} names no host and port")
        tls = ssl.create_default_context(cafile=str(ca_file)) if parts.scheme == "https" else None
        return cls(parts.hostname, parts.port, tls)


def spell_request(method: str, path: str, target: Target, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The request as it goes over the wire."""
    fields = {"Host": f"{target.host}:{target.port}", **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


@dataclass(slots=True)
class Load:
    """A number of requests on their way. `answers[i]` belongs to `requests[i]`; None when it never came.

    `answered` and `in_flight` may be watched while it runs. A connection that the server ends takes its request with it: that
    request counts as cut off and is not sent again.
    """

    requests: Sequence[bytes]
    answers: list[Answer | None] = field(init=False)
    answered: int = 0
    in_flight: int = 0
    cut_off: int = 0
    seconds: float = 0.0
    _connections: "list[_Connection]" = field(default_factory=list)
    _next: int = 0
    _awaited: int = -1
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers = [None] * len(self.requests)

    async def connect(self, target: Target, connections: int) -> None:
        """Opens the connections and shakes hands."""
        slots = asyncio.Semaphore(HANDSHAKES_AT_ONCE)
        self._connections += await asyncio.gather(*(_connect(target, slots) for _ in range(connections)))

    def close(self) -> None:
        """Ends the connections; a request under way is cut off."""
        for connection in self._connections:
            connection.close()

    async def run(self) -> None:
        """Sends everything and returns when every connection has nothing left to send, or was ended by the server."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for connection in self._connections:
            connection.start(self)
        await asyncio.gather(*(connection.ended for connection in self._connections))
        self.seconds = loop.time() - started

    async def wait_for(self, answers: int) -> None:
        """Returns as soon as so many answers have come. One at a time may wait."""
        self._awaited = answers
        if self.answered < answers:
            self._reached.clear()
            await self._reached.wait()

    def take(self) -> tuple[int, bytes] | None:
        """The next request and its place, None when all are sent."""
        if self._next == len(self.requests):
            return None
        place = self._next
        self._next += 1
        self.in_flight += 1
        return place, self.requests[place]

    def answer(self, place: int, answer: Answer) -> None:
        self.in_flight -= 1
        self.answered += 1
        self.answers[place] = answer
        if self.answered == self._awaited:
            self._reached.set()

    def cut(self) -> None:
        self.in_flight -= 1
        self.cut_off += 1

    def milliseconds(self, share: float) -> float:
        """The time within which this share of the answers came: 0.5 for the median."""
        times = sorted(answer.seconds for answer in self.answers if answer is not None)
        return times[min(len(times) - 1, int(share * len(times)))] * 1000 if times else 0.0

    def check(self, *statuses: int) -> None:
        """`Broken` unless every request was answered with one of these statuses."""
        if (missing := len(self.requests) - self.answered) > 0:
            raise Broken(f"{missing} of {len(self.requests)} requests got no answer", hint="read the server's log")
        for answer in self.answers:
            if answer is not None and answer.status not in statuses:
                raise Broken(f"a request was answered with {answer.status}", hint=answer.body[:400].decode("utf-8", "replace"))


@asynccontextmanager
async def connected_load(target: Target, requests: Sequence[bytes], *, connections: int) -> AsyncIterator[Load]:
    """A load with its connections open and its handshakes done: what is measured inside is requests alone."""
    load = Load(requests)
    try:
        await load.connect(target, connections)
        yield load
    finally:
        load.close()


async def _connect(target: Target, slots: asyncio.Semaphore) -> "_Connection":
    async with slots:
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, target.host, target.port, ssl=target.tls)
        return connection


class _Connection(asyncio.Protocol):
    """Sends the next request as soon as the last one is answered. `ended` is done when it has nothing left to do."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._load: Load | None = None
        self._buffer = bytearray()
        self._place = -1  # of the request under way
        self._sent_at = 0.0

    def start(self, load: Load) -> None:
        self._load = load
        self._send_next()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        if self._place >= 0 and self._load is not None:
            self._load.cut()
        self._end()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            found = _take_answer(self._buffer)
        except ValueError as error:
            self.ended.set_exception(Broken(f"the server's answer cannot be read: {error}"))
            self.close()
            return
        if found is not None and self._load is not None:
            self._load.answer(self._place, Answer(*found, self._loop.time() - self._sent_at))
            self._place = -1
            self._send_next()

    def _send_next(self) -> None:
        taken = self._load.take() if self._load is not None and self._transport is not None else None
        if taken is None or self._transport is None:
            self._end()
            return
        self._place, request = taken
        self._sent_at = self._loop.time()
        self._transport.write(request)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def _take_answer(buffer: bytearray) -> tuple[int, bytes] | None:
    """Status and body of the one answer in `buffer`, which is then empty; None while octets are missing."""
    head_end = buffer.find(_HEAD_END)
    if head_end < 0:
        return None
    head = bytes(buffer[:head_end]).lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise ValueError("there is no Content-Length")
    length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])
    body_at = head_end + len(_HEAD_END)
    if length > ANSWER_OCTETS_MAX:
        raise ValueError(f"a body of {length} octets")
    if len(buffer) < body_at + length:
        return None
    status, body = int(head[9:12]), bytes(buffer[body_at : body_at + length])
    buffer.clear()
    return status, body
