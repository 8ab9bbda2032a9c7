"""The OCSP door: a raw ASGI application."""

from typing import Final

from chargepki.core.ocsp import MALFORMED_REQUEST, REQUEST_OCTETS_MAX
from chargepki.errors import Broken, Refused
from chargepki.protocols.ocsp.wire import REQUEST_TYPE, parse_get_path, spell_answer, spell_breakdown
from chargepki.protocols.plain_http import (
    AsgiApp,
    BodyTooLong,
    BodyUnfinished,
    HttpAnswer,
    Receive,
    Scope,
    Send,
    explain,
    has_validator,
    header,
    read_body,
    send_answer,
)
from chargepki.services.answer_cache import OcspAnswer
from chargepki.services.status import Status

_METHODS: Final = (b"allow", b"GET, HEAD, POST")
_MALFORMED: Final = OcspAnswer(MALFORMED_REQUEST)


def ocsp_app(status: Status, *, prefix: str = "/ocsp") -> AsgiApp:
    """POST `prefix` with an OCSPRequest, or GET `prefix`/{base64}. Everything else is told how to ask."""
    root, behind = prefix.encode(), f"{prefix}/".encode()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope.get("raw_path") or scope["path"].encode()
        if method == "POST" and path in (root, behind):
            answer = await _post(status, scope, receive)
        elif method in ("GET", "HEAD") and path.startswith(behind) and len(path) > len(behind):
            answer = await _get(status, scope, path[len(behind) :])
        elif method not in ("GET", "HEAD", "POST"):
            answer = explain(405, "OCSP is asked with POST or GET (RFC 6960 appendix A)", _METHODS)
        else:
            answer = explain(404, f"POST an OCSP request to {prefix}, or GET {prefix}/{{base64 of it}}")
        await send_answer(send, answer, is_head=method == "HEAD")

    return app


async def _post(status: Status, scope: Scope, receive: Receive) -> HttpAnswer:
    media_type = header(scope, b"content-type").partition(";")[0].strip().lower()
    if media_type != REQUEST_TYPE:
        return explain(415, f"the content type is {media_type or 'absent'}; it must be {REQUEST_TYPE}")
    try:
        request = await read_body(receive, octets_max=REQUEST_OCTETS_MAX)
    except BodyTooLong:
        return explain(413, f"an OCSP request has at most {REQUEST_OCTETS_MAX} octets here", (b"connection", b"close"))
    except BodyUnfinished:
        return explain(408, "the request did not arrive whole", (b"connection", b"close"))
    return await _answer(status, request, is_get=False)


async def _get(status: Status, scope: Scope, encoded: bytes) -> HttpAnswer:
    try:
        request = parse_get_path(encoded)
    except Refused:
        return spell_answer(_MALFORMED, is_get=True)
    answer = await _answer(status, request, is_get=True)
    etag = dict(answer.headers).get(b"etag", b"").decode().strip('"')
    return HttpAnswer(304, headers=answer.headers) if etag and has_validator(scope, etag) else answer


async def _answer(status: Status, request: bytes, *, is_get: bool) -> HttpAnswer:
    try:
        return spell_answer(await status.answer(request), is_get=is_get)
    except Broken as broken:
        return spell_breakdown(broken)  # the service counted it, and its health shows it
