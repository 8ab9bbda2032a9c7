"""What the two plain HTTP doors share: bounded bodies, whole answers, validators (RFC 9110, RFC 9111)."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS_MAX: Final = 10.0  # a body of a few kilobytes takes no longer on any network that a station has


class BodyTooLong(Exception):
    """The request's body is longer than the door takes."""


class BodyUnfinished(Exception):
    """The client went away or dawdled."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. `headers` in lower case."""

    status: int
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


async def send_answer(send: Send, answer: HttpAnswer, *, is_head: bool = False) -> None:
    headers = [*answer.headers]
    if answer.status != 304:  # RFC 9110 15.4.5: a 304 describes what the client has already
        headers += [(b"content-type", answer.media_type.encode()), (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_head else answer.body})


async def read_body(receive: Receive, *, octets_max: int) -> bytes:
    """The request's body; stops reading as soon as it is too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyUnfinished
                body += message.get("body", b"")
                if len(body) > octets_max:
                    raise BodyTooLong
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyUnfinished from None


def header(scope: Scope, name: bytes) -> str:
    """The first value of a header, "" when it is absent. `name` in lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def has_validator(scope: Scope, etag: str) -> bool:
    """True when If-None-Match names `etag` (without its quotes): the client has these octets (RFC 9110 13.1.2)."""
    wanted = header(scope, b"if-none-match")
    if not wanted:
        return False
    given = {part.strip().removeprefix("W/").strip('"') for part in wanted.split(",")}
    return etag in given or "*" in given


def caching_headers(*, etag: str, max_age_seconds: int, last_modified: datetime, expires: datetime) -> tuple[tuple[bytes, bytes], ...]:
    """RFC 5019 6.2, whose form serves CRLs as well. max-age overrides Expires for every cache since HTTP/1.1."""
    return (
        (b"cache-control", b"max-age=%d, public, no-transform, must-revalidate" % max_age_seconds),
        (b"etag", f'"{etag}"'.encode()),
        (b"last-modified", http_date(last_modified)),
        (b"expires", http_date(expires)),
    )


def http_date(at: datetime) -> bytes:
    return format_datetime(at, usegmt=True).encode()


def explain(status: int, text: str, *headers: tuple[bytes, bytes]) -> HttpAnswer:
    """A refusal in words, for the person who typed the address."""
    return HttpAnswer(status, text.encode() + b"\n", headers=(*headers, (b"cache-control", b"no-store")))
