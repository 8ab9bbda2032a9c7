"""One HTTP call: bearer token, idempotency key, deadline, repetition, and problems as errors."""

import asyncio
import secrets
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from chargepki import __version__
from chargepki.client.connection import Connection
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
    Severity,
    StoreUnavailable,
    TooMany,
    VaultUnavailable,
)

API: Final = "/api/v1"
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 30.0
_PAUSES: Final = (0.2, 0.8)  # seconds before the second and the third attempt of a call whose connection broke
_REFUSALS: Final[Mapping[str, type[Refused]]] = {
    "not-authenticated": NotAuthenticated,
    "needs-step-up": NeedsStepUp,
    "not-authorised": NotAuthorised,
    "not-found": NotFound,
    "conflict": Conflict,
}
_BREAKDOWNS: Final[Mapping[str, type[Broken]]] = {
    "store-unavailable": StoreUnavailable,
    "vault-unavailable": VaultUnavailable,
    "log-unavailable": LogUnavailable,
    "log-inconsistent": LogInconsistent,
}


class Unreachable(Broken):
    """The server does not answer, or its certificate cannot be trusted."""


class Transport:
    """Speaks to one server. `transport` replaces the network in in-process use."""

    def __init__(self, connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = connection.url
        self._http = httpx.AsyncClient(
            base_url=connection.url,
            headers={"Authorization": f"Bearer {connection.token}", "User-Agent": f"chargepki/{__version__}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            verify=_context(connection) if transport is None else True,
            transport=transport,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str | int | bool | None) -> Any:
        return (await self.call("GET", path, query=query)).json()

    async def get_bytes(self, path: str, **query: str | int | bool | None) -> bytes:
        return (await self.call("GET", path, query=query)).content

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return (await self.call("POST", path, body=body)).json()

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str | int | bool | None] | None = None, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """The answer, 2xx. Raises what the problem document says, or `Unreachable`."""
        params = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)} if method == "POST" else {}
        for pause in (*_PAUSES, None):
            try:
                response = await self._http.request(method, API + path, params=params, json=body, headers=headers)
                break
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
                # The key makes a repeated POST safe; PATCH and DELETE say themselves when they were done already.
                if pause is None:
                    raise self._unreachable(error) from error
                await asyncio.sleep(pause)
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
        if response.is_success and not response.headers.get("Content-Type", "").startswith("application/problem+json"):
            return response
        raise read_problem(response)

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        reason = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            hint = "name the roots of its certificate with --ca-file; chargepki doctor looks closer"
            return Unreachable(f"{self._url} shows a certificate that is not trusted here: {reason}", hint=hint)
        return Unreachable(f"{self._url} does not answer: {reason}", hint="is it running? chargepki up --data DIR")


def read_problem(response: httpx.Response) -> ChargePkiError:
    """The error a problem document speaks of."""
    try:
        problem = response.json()
        slug = str(problem["type"]).rpartition(":")[2]
        findings = tuple(_finding(raw) for raw in problem["findings"])
    except (ValueError, KeyError, TypeError):
        return Broken(f"the server answered {response.status_code} without a problem document", hint="is this a ChargePKI server?")
    if slug == "needs-votes":
        return NeedsVotes(*findings, proposal=str(problem["proposal"]), missing=tuple(map(str, problem["missing"])))
    if response.status_code >= 500 or not findings:
        request_id, detail = problem.get("request_id", ""), problem.get("detail") or problem.get("title", "")
        return _BREAKDOWNS.get(slug, Broken)(str(detail), hint=f"the server's log names request {request_id}")
    if slug == "too-many":
        return TooMany(*findings, retry_after=int(response.headers.get("Retry-After", "1")))
    return _REFUSALS.get(slug, Refused)(*findings)


def _finding(raw: Mapping[str, str]) -> Finding:
    severity = raw["severity"]
    known = Severity(severity) if severity in list(Severity) else Severity.ERROR
    return Finding(raw["code"], raw["message"], known, raw["path"], raw["clause"], raw["hint"])


def _context(connection: Connection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Refused.because(
            "client.ca_file", f"{connection.ca_file} cannot be read as PEM roots: {error}", hint="--ca-file FILE"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
