"""The witness over HTTP: POST /add-checkpoint (C2SP tlog-witness), and GET / for people."""

import asyncio
from collections import defaultdict
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chargepki.adapters.witness.directory import WitnessDirectory
from chargepki.core.tlog.witness import (
    REQUEST_OCTETS_MAX,
    SIZE_TYPE,
    AddCheckpoint,
    Conflict,
    Cosign,
    Decision,
    Refusal,
    decide_add,
    parse_add_checkpoint,
)
from chargepki.errors import Broken, Refused
from chargepki.ports import Clock

BODY_SECONDS: Final = 10.0  # a slow sender does not keep a connection for ever
_log = structlog.get_logger(__name__)


class WitnessServer:
    """One log is decided about by one request at a time; the memory is durable before a signature leaves."""

    def __init__(self, directory: WitnessDirectory, clock: Clock) -> None:
        self._directory, self._clock = directory, clock
        self._key, self._logs = directory.key(), directory.logs()
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        for origin in self._logs:
            directory.seen(origin)  # a damaged memory stops the start, not the first request

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/add-checkpoint", self._add, methods=["POST"]), Route("/", self._show, methods=["GET"])])

    async def _show(self, _: Request) -> Response:
        lines = [f"witness {self._key.verifier}", *(f"log {origin}" for origin in self._logs)]
        return PlainTextResponse("\n".join(lines) + "\n")

    async def _add(self, request: Request) -> Response:
        try:
            wanted = parse_add_checkpoint(await _read_body(request))
        except Refused as refusal:
            return PlainTextResponse(f"{refusal}\n", 413 if refusal.findings[0].code == "witness.request.too_long" else 400)
        except TimeoutError:
            return PlainTextResponse("the body did not arrive in time\n", 408)
        try:
            return await self._answer(wanted)
        except (Broken, OSError) as error:
            _log.error("nothing was cosigned", origin=wanted.checkpoint.origin, error=str(error))
            return PlainTextResponse("the witness cannot keep what it sees; nothing was cosigned\n", 503)

    async def _answer(self, wanted: AddCheckpoint) -> Response:
        origin = wanted.checkpoint.origin
        if origin not in self._logs:  # before a lock is made for whatever name somebody sends
            return _refuse(decide_add(wanted, self._logs, None))
        async with self._busy[origin]:
            seen = await asyncio.to_thread(self._directory.seen, origin)
            match decide_add(wanted, self._logs, seen):
                case Cosign(text):
                    if not await asyncio.to_thread(self._directory.replace_seen, origin, seen, wanted.note):
                        return PlainTextResponse("another process keeps this witness's memory\n", 503)
                    line = self._key.cosign(text, int(self._clock.now().timestamp()))
                    return Response(str(line).encode(), media_type="text/plain; charset=utf-8")
                case Conflict(is_fork=True) as conflict:
                    file = await asyncio.to_thread(self._directory.keep_evidence, origin, wanted.note)
                    _log.critical("this log was forked: one size, two roots", origin=origin, size=conflict.size, evidence=str(file or ""))
                    return _refuse(conflict)
                case other:
                    return _refuse(other)


def _refuse(decision: Decision) -> Response:
    if isinstance(decision, Conflict):
        return Response(decision.body, 409, headers={"Content-Type": SIZE_TYPE})
    assert isinstance(decision, Refusal)
    return PlainTextResponse(f"{decision.finding.code}: {decision.finding.message}\n", decision.status)


async def _read_body(request: Request) -> bytes:
    body = b""
    async with asyncio.timeout(BODY_SECONDS):
        async for part in request.stream():
            body += part
            if len(body) > REQUEST_OCTETS_MAX:
                message = f"the body has more than {REQUEST_OCTETS_MAX} octets"
                raise Refused.because("witness.request.too_long", message, path="body", clause="C2SP tlog-witness")
    return body
