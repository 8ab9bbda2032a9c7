"""HTTP to a provider: TLS verified, no redirects, a bound on every answer and on the time it may take."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from chargepki.errors import Broken

ANSWER_OCTETS_MAX: Final = 128 * 1024  # a discovery document has 5 KiB, a key set of many tenants 20 KiB
SECONDS_MAX: Final = 10.0  # a person waits for it
URL_CHARS_MAX: Final = 2048
JSON_DEPTH_MAX: Final = 16
_HINT: Final = "is the provider up, and does its certificate verify? see sign_in.oidc in the configuration"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    document: Mapping[str, Any]


class Fetch:
    """One provider's HTTP client. `ca_file` replaces the system's roots; `may_be_plain` allows http:// to this machine alone."""

    def __init__(self, *, ca_file: Path | None = None, may_be_plain: bool = False) -> None:
        try:
            context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise Broken(f"{ca_file} cannot be read as PEM roots: {error}", hint="sign_in.oidc.ca_file names them") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._verify, self._may_be_plain = context, may_be_plain

    def check_url(self, url: str, what: str) -> str:
        """An https URL, or in development a plain one of this machine. `Broken` for anything else."""
        if not self._may_talk_to(url):
            raise Broken(f"the OpenID provider's {what} is no https URL", hint=_HINT)
        return url

    def _may_talk_to(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port  # both may be unreadable
        except ValueError:
            return False
        is_plain = self._may_be_plain and parts.scheme == "http" and _is_loopback(host)
        is_bare = parts.username is None and not parts.fragment and url.isascii() and url.isprintable()
        return len(url) <= URL_CHARS_MAX and bool(host) and is_bare and (parts.scheme == "https" or is_plain)

    async def get(self, url: str) -> Answer:
        return await self._call("GET", url)

    async def post(self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None) -> Answer:
        return await self._call("POST", url, data=dict(form), auth=None if basic is None else httpx.BasicAuth(*basic))

    async def _call(self, method: str, url: str, **options: Any) -> Answer:
        headers = {"Accept": "application/json"}
        try:
            async with (
                asyncio.timeout(SECONDS_MAX),
                httpx.AsyncClient(verify=self._verify, trust_env=False, follow_redirects=False, timeout=SECONDS_MAX) as http,
                http.stream(method, url, headers=headers, **options) as response,
            ):
                return Answer(response.status_code, parse_answer(await _read(response)))
        except (httpx.HTTPError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise Broken(f"the OpenID provider does not answer: {reason}", hint=_HINT) from error


def parse_answer(octets: bytes) -> Mapping[str, Any]:
    """A JSON object of bounded depth. `Broken` for anything else."""
    try:
        document = json.loads(octets)
        if not isinstance(document, dict) or not _is_shallow(document, JSON_DEPTH_MAX):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:
        raise Broken("the OpenID provider's answer is no JSON object", hint=_HINT) from error
    return document


async def _read(response: httpx.Response) -> bytes:
    octets = bytearray()
    async for chunk in response.aiter_bytes(16 * 1024):  # after decompression: the bound holds for what was packed, too
        octets += chunk
        if len(octets) > ANSWER_OCTETS_MAX:
            raise Broken(f"the OpenID provider's answer has more than {ANSWER_OCTETS_MAX} octets", hint=_HINT)
    return bytes(octets)


def _is_shallow(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in inner)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
