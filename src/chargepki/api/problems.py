"""Errors as RFC 9457 problem documents. The only place where an error gets an HTTP status.

{"type": "urn:chargepki:problem:refused", "title": "...", "status": 422, "detail": "...", "instance": "/api/v1/certificates",
 "request_id": "req_01J...", "findings": [{"code", "message", "severity", "path", "clause", "hint"}]}
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chargepki.errors import (
    Broken,
    ChargePkiError,
    Conflict,
    Finding,
    LogInconsistent,
    LogUnavailable,
    NeedsStepUp,
    NeedsVotes,
    NotAuthenticated,
    NotAuthorised,
    NotFound,
    Refused,
    StoreUnavailable,
    TooMany,
    VaultUnavailable,
)

MEDIA_TYPE: Final = "application/problem+json"
FINDINGS_MAX: Final = 64  # a hostile body of many wrong fields does not make a long answer

_log = structlog.get_logger("chargepki.api")


class TooLarge(Refused):
    """The body is longer than the API reads."""


class WrongMediaType(Refused):
    """The body is not JSON."""


class StillRunning(Conflict):
    """The first call with this Idempotency-Key has not been answered yet."""


class FindingView(BaseModel):
    """One thing seen in an input or an output; `code` is stable."""

    code: str
    message: str
    severity: str
    path: str
    clause: str
    hint: str


class Problem(BaseModel):
    """RFC 9457. `findings` lists everything that was wrong, at once."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    findings: list[FindingView]


class Waiting(Problem):
    """Nothing was done yet (202): `missing` have to agree to `proposal` first."""

    proposal: str
    missing: list[str]


@dataclass(frozen=True, slots=True)
class _Kind:
    status: int
    slug: str
    title: str


_WRONG_METHOD: Final = _Kind(405, "method-not-allowed", "Method not allowed")
_UNREADABLE: Final = _Kind(400, "unreadable", "The request cannot be read")
_INTERNAL: Final = _Kind(500, "internal", "This is our bug")
_BY_ERROR: Final[Mapping[type[ChargePkiError], _Kind]] = {
    NeedsStepUp: _Kind(401, "needs-step-up", "A fresh second factor is needed"),
    NeedsVotes: _Kind(202, "needs-votes", "Others have to agree"),
    NotAuthenticated: _Kind(401, "not-authenticated", "Not authenticated"),
    NotAuthorised: _Kind(403, "not-authorised", "Not authorised"),
    NotFound: _Kind(404, "not-found", "Not found"),
    Conflict: _Kind(409, "conflict", "In conflict with what exists"),
    TooMany: _Kind(429, "too-many", "Too many requests"),
    TooLarge: _Kind(413, "too-large", "The body is too large"),
    WrongMediaType: _Kind(415, "wrong-media-type", "The body is not JSON"),
    Refused: _Kind(422, "refused", "This request was refused"),
    StoreUnavailable: _Kind(503, "store-unavailable", "The store is unavailable"),
    VaultUnavailable: _Kind(503, "vault-unavailable", "The key vault is unavailable"),
    LogUnavailable: _Kind(503, "log-unavailable", "The log is unavailable"),
    LogInconsistent: _Kind(503, "log-inconsistent", "The store and the log contradict each other"),
    Broken: _Kind(500, "broken", "The platform failed"),
    ChargePkiError: _INTERNAL,
}
_RETRY_AFTER_SECONDS: Final = 5  # a restart or a database failover


def install(app: FastAPI, allowed_methods: Callable[[str], str]) -> None:
    """Every error of `app` leaves as a problem document. `allowed_methods` knows what a path offers."""
    app.add_exception_handler(ChargePkiError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http(allowed_methods))
    app.add_exception_handler(Exception, _on_bug)


def problem_response(error: ChargePkiError, *, instance: str, request_id: str) -> Response:
    kind = next(_BY_ERROR[family] for family in type(error).__mro__ if family in _BY_ERROR)
    headers: dict[str, str] = {}
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="chargepki"'  # RFC 6750 3
    if isinstance(error, NeedsStepUp):
        headers["WWW-Authenticate"] += ', error="insufficient_user_authentication", max_age=900'  # RFC 9470 3
    if isinstance(error, NeedsVotes):
        headers["Location"] = f"/api/v1/approvals/{error.proposal}"
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after)
    elif kind.status == 503 or isinstance(error, StillRunning):
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    findings = error.findings if isinstance(error, Refused) else (_breakdown(error),)
    if isinstance(error, Broken):
        _log.error("request broken", request_id=request_id, path=instance, error=str(error))
    return _render(kind, findings, instance, request_id, headers, waits=error if isinstance(error, NeedsVotes) else None)


def _breakdown(error: ChargePkiError) -> Finding:
    return Finding("platform.broken", str(error), hint=error.hint if isinstance(error, Broken) else "")


def _render(
    kind: _Kind,
    findings: Sequence[Finding],
    instance: str,
    request_id: str,
    headers: Mapping[str, str],
    waits: NeedsVotes | None = None,
) -> Response:
    body = Problem(
        type=f"urn:chargepki:problem:{kind.slug}",
        title=kind.title,
        status=kind.status,
        detail="; ".join(f.message for f in findings[:3]),
        instance=instance,
        request_id=request_id,
        findings=show_findings(findings),
    )
    if waits is not None:
        body = Waiting(**dict(body), proposal=waits.proposal, missing=list(waits.missing))
    return Response(body.model_dump_json(), kind.status, dict(headers), MEDIA_TYPE)


def show_findings(findings: Sequence[Finding]) -> list[FindingView]:
    return [FindingView(**asdict(finding)) for finding in findings[:FINDINGS_MAX]]


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChargePkiError)
    return problem_response(error, instance=request.url.path, request_id=_request_id(request))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    findings = [_finding_of(fault) for fault in error.errors()[:FINDINGS_MAX]]
    return _render(_BY_ERROR[Refused], findings, request.url.path, _request_id(request), {})


def _finding_of(fault: Mapping[str, Any]) -> Finding:
    """Names the place and the rule; never repeats the value, which may be a secret."""
    if fault["type"] == "json_invalid":
        return Finding("request.json_invalid", f"the body is not JSON: {fault.get('ctx', {}).get('error', '')}", hint="see RFC 8259")
    place = [str(part) for part in fault["loc"]]
    path = ".".join(place[1:] if place[0] in ("body", "query", "path") and len(place) > 1 else place)
    return Finding(
        f"request.{fault['type']}", f"{path}: {fault['msg']}", path=path, hint="see /api/v1/openapi.json for the request's shape"
    )


def _on_http(allowed_methods: Callable[[str], str]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """What the router says: no such path, no such method, a body that no parser could read."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind, message, headers = _UNREADABLE, str(error.detail), dict(error.headers or {})
        if error.status_code == 404:
            kind, message = _BY_ERROR[NotFound], "there is nothing at this path"
        elif error.status_code == 405:
            kind, message = _WRONG_METHOD, f"{request.method} is not offered at this path"
            headers = {"Allow": allowed_methods(request.url.path)}
        finding = Finding(f"request.{kind.slug.replace('-', '_')}", message, hint="the paths are listed in /api/v1/openapi.json")
        return _render(kind, [finding], request.url.path, _request_id(request), headers)

    return on_http


async def _on_bug(request: Request, error: Exception) -> Response:
    request_id = _request_id(request)
    _log.error("unexpected exception", request_id=request_id, path=request.url.path, exc_info=error)
    hint = f"report this with the request id {request_id}; the server's log has the cause"
    finding = Finding("platform.bug", "an unexpected error happened", hint=hint)
    headers = {"X-Request-Id": request_id, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return _render(_INTERNAL, [finding], request.url.path, request_id, headers)


def _request_id(request: Request) -> str:
    return str(request.scope.get("chargepki.request_id", ""))
