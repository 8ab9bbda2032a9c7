"""Idempotency-Key on every POST (draft-ietf-httpapi-idempotency-key-header), pure ASGI, below the edge.

A key is claimed before the call and its answer kept before it is sent, so that a repetition after a lost answer gets the same one.
A call that had no effect (any refusal or breakdown) frees its key. An answer with a secret leaves a marker only.
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chargepki.api.problems import StillRunning
from chargepki.api.services import ApiServices
from chargepki.api.visit import SCOPE_KEY, SHOWN_ONCE_KEY, Visit
from chargepki.api.who_is_asking import is_for_strangers
from chargepki.core.records import IdempotentAnswer
from chargepki.errors import Broken, Conflict, Finding, Refused
from chargepki.ports import ClaimIdempotencyKey, DropIdempotencyKey, KeepIdempotentAnswer

KEY_CHARS_MAX: Final = 255
KEPT_FOR: Final = timedelta(hours=24)
RUNNING_AT_MOST: Final = timedelta(seconds=60)  # no call takes longer; what does was cut off by a crash
CLAUSE: Final = "draft-ietf-httpapi-idempotency-key-header-07 2"
_SHOWN_ONCE: Final = b""  # the kept body of an answer that carried a secret; a kept answer has at least its header block
_KEPT_HEADERS: Final = ("content-type", "location")


class Idempotency:
    def __init__(self, app: ASGIApp, services: ApiServices) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["method"] == "POST" and SCOPE_KEY in scope
        if not is_ours or is_for_strangers(scope["path"]):  # nothing is kept for people nobody knows, least of all their secrets
            await self._app(scope, receive, send)
            return
        key = Headers(scope=scope).get("idempotency-key")
        if key is None:
            await self._app(scope, receive, send)
            return
        claim = self._claim_of(scope, parse_key(key))
        kept = await self._lookup_or_claim(claim)
        if kept is not None:
            await self._replay(claim, kept)(scope, receive, send)
            return
        await self._run(claim, scope, receive, send)

    def _claim_of(self, scope: Scope, key: str) -> IdempotentAnswer:
        visit: Visit = scope[SCOPE_KEY]
        call = hashlib.sha256(b"%b?%b\n" % (scope["path"].encode(), scope["query_string"]) + visit.caller.request_sha256)
        return IdempotentAnswer(key, visit.caller.actor.id, call.digest(), self._services.ports.clock.now())

    async def _lookup_or_claim(self, claim: IdempotentAnswer) -> IdempotentAnswer | None:
        """The answer of an earlier call, or None when `claim` is now ours."""
        store = self._services.ports.store
        try:
            await store.commit(ClaimIdempotencyKey(claim))
        except Conflict:
            kept = await store.lookup_idempotent(claim.caller, claim.key)
            if kept is not None and claim.created_at - kept.created_at < KEPT_FOR:
                return kept
            if kept is not None:
                await store.commit(DropIdempotencyKey(claim.caller, claim.key))
            await store.commit(ClaimIdempotencyKey(claim))
        return None

    def _replay(self, claim: IdempotentAnswer, kept: IdempotentAnswer) -> Response:
        if kept.request_sha256 != claim.request_sha256:
            hint = "use a fresh key for another request"
            raise Refused.because(
                "idempotency.key_reused", "this Idempotency-Key came with another request before", clause=CLAUSE, hint=hint
            )
        if kept.status == 0 and claim.created_at - kept.created_at < RUNNING_AT_MOST:
            raise StillRunning(Finding("idempotency.still_running", "the first call with this key is still running", clause=CLAUSE))
        if kept.status == 0:
            hint = "look whether it took effect (GET the list), then use a fresh key"
            raise Conflict(Finding("idempotency.outcome_unknown", "the first call with this key was cut off", clause=CLAUSE, hint=hint))
        if kept.body == _SHOWN_ONCE:
            hint = "ask for a new one with a fresh key"
            raise Conflict(Finding("idempotency.shown_once", "the first call succeeded; its secret was shown once", hint=hint))
        return _parse_kept(kept)

    async def _run(self, claim: IdempotentAnswer, scope: Scope, receive: Receive, send: Send) -> None:
        store, recorder = self._services.ports.store, _Recorder()
        is_kept = False
        try:
            await self._app(scope, receive, recorder)
            if 200 <= recorder.status < 300:
                body = _SHOWN_ONCE if scope.get(SHOWN_ONCE_KEY) else recorder.spell()
                await store.commit(KeepIdempotentAnswer(replace(claim, status=recorder.status, body=body)))
                is_kept = True
        finally:
            if not is_kept and not 200 <= recorder.status < 300:
                with suppress(Broken):  # the caller hears of the first failure; the claim then ends as outcome_unknown
                    await store.commit(DropIdempotencyKey(claim.caller, claim.key))
        for message in recorder.messages:
            await send(message)


def parse_key(value: str) -> str:
    """The key, without the quotes of its structured-field form."""
    key = value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
    if not 1 <= len(key) <= KEY_CHARS_MAX or not all("!" <= c <= "~" for c in key):
        what = f"an Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters"
        raise Refused.because("idempotency.key_malformed", what, path="Idempotency-Key", clause=CLAUSE)
    return key


@dataclass(slots=True)
class _Recorder:
    """Holds an answer back until it is kept."""

    messages: list[Message] = field(default_factory=list)
    status: int = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.messages.append(message)

    def spell(self) -> bytes:
        """The answer as HTTP spells it: the header fields that matter, an empty line, the body."""
        headers = Headers(scope=self.messages[0])
        head = "".join(f"{name}: {headers[name]}\r\n" for name in _KEPT_HEADERS if name in headers)
        return head.encode("latin-1") + b"\r\n" + b"".join(m.get("body", b"") for m in self.messages[1:])


def _parse_kept(kept: IdempotentAnswer) -> Response:
    head, _, body = kept.body.partition(b"\r\n\r\n") if not kept.body.startswith(b"\r\n") else (b"", b"", kept.body[2:])
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line)
    return Response(body, kept.status, {**fields, "Idempotency-Replayed": "true"})
