"""The outer layer of the API, pure ASGI: request id, who is asking, how much is read, headers of every answer."""

import hashlib
from dataclasses import replace
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chargepki.api import problems, visit
from chargepki.api.services import ApiServices
from chargepki.api.visit import Visit
from chargepki.api.who_is_asking import STRANGER, identify, is_for_strangers
from chargepki.errors import ChargePkiError, Finding
from chargepki.services.audit import Caller

DOOR: Final = "api"
ENROLMENT_PREFIX: Final = "cpet_"
LONG_BODIES: Final = frozenset({"/api/v1/inspections", "/api/v1/bulk-revocations", "/api/v1/bulk-revocations/previews"})
PUBLIC_PATHS: Final = frozenset({"/api/v1/openapi.json"})
_ANSWER_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Edge:
    """Hands `app` a scope with a `Visit` and a body that is wholly read and within its bound."""

    def __init__(self, app: ASGIApp, services: ApiServices) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._services.ports.entropy.ulid("req")
        scope["chargepki.request_id"] = request_id
        send = _with_headers(send, request_id)
        try:
            if scope["path"] not in PUBLIC_PATHS:
                receive = await self._admit(scope, receive, request_id)
            await self._app(scope, receive, send)
        except ChargePkiError as error:
            response = problems.problem_response(error, instance=scope["path"], request_id=request_id)
            await response(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, request_id: str) -> Receive:
        headers = Headers(scope=scope)
        remote = scope["client"][0] if scope.get("client") else ""
        stranger, bearer = Caller(STRANGER, DOOR, remote, request_id), ""
        actor = STRANGER
        if not is_for_strangers(scope["path"]):
            actor, bearer = await identify(scope, headers, self._services, stranger)
        body = await _read_body(scope, headers, receive, self._limit(scope["path"]))
        caller = replace(stranger, actor=actor, request_sha256=hashlib.sha256(body).digest())
        scope[visit.SCOPE_KEY] = Visit(caller, self._services, bearer if bearer.startswith(ENROLMENT_PREFIX) else "")
        return _replay(body, receive)

    def _limit(self, path: str) -> int:
        limits = self._services.limits
        return limits.inspection_octets if path in LONG_BODIES else limits.body_octets


async def _read_body(scope: Scope, headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body. `TooLarge` above `limit` octets, `WrongMediaType` when it is not JSON."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise _too_large(limit)
    if size and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        hint = "send 'Content-Type: application/json'"
        raise problems.WrongMediaType(Finding("request.media_type", f"{scope['method']} bodies are JSON here", hint=hint))
    return b"".join(chunks)


def _too_large(limit: int) -> problems.TooLarge:
    return problems.TooLarge(Finding("request.too_large", f"the body is longer than {limit} octets"))


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def replay() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send, request_id: str) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = request_id
            for name, value in _ANSWER_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
