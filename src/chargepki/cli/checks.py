"""The doctor's checks. Each looks at one thing over the network and says what it saw and how to put it right."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from chargepki.client import Client, Connection
from chargepki.client.transport import Unreachable
from chargepki.errors import Broken, ChargePkiError

SECONDS: Final = 5.0
SKEW_MAX: Final = timedelta(seconds=60)  # OCSP and CRL times are compared with the clock of whoever reads them
DAYS_LEFT_MIN: Final = 14
ANSWER_OCTETS_MAX: Final = 64 * 1024 * 1024  # a CRL of a million entries


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    is_well: bool
    seen: str
    fix: str = ""


async def run_checks(connection: Connection) -> AsyncIterator[Check]:
    """All checks, in the order of what depends on what; stops where nothing more can be seen."""
    if not connection.url.startswith("https://"):
        yield Check("reach", False, f"{connection.url} is not https", "the API speaks TLS only")
        return
    try:
        leaf = await _peer_certificate(connection)
    except (OSError, ssl.SSLError, TimeoutError) as error:
        yield Check("reach", False, f"{connection.url}: {error or type(error).__name__}", _reach_fix(error))
        return
    yield Check("reach", True, f"{connection.url} answers with a trusted certificate")
    yield _check_validity(leaf)
    async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as http:
        yield await _check_clock(connection)
        yield await _check_token(connection)
        yield await _check_readiness(http, connection.endpoints.get("metrics", ""))
        async for check in _check_crls(http, connection):
            yield check
        yield await _check_ocsp(http, leaf)


async def _peer_certificate(connection: Connection) -> x509.Certificate:
    """The server's certificate after a handshake that checks chain and name."""
    parts = urlsplit(connection.url)
    context = ssl.create_default_context(cafile=connection.ca_file)
    opening = asyncio.open_connection(parts.hostname, parts.port or 443, ssl=context, server_hostname=parts.hostname)
    _, writer = await asyncio.wait_for(opening, SECONDS)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
    return x509.load_der_x509_certificate(der)


def _reach_fix(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "name the roots of its certificate with --ca-file (chargepki ca export operator-root)"
    return "is it running? chargepki up --data DIR"


def _check_validity(leaf: x509.Certificate) -> Check:
    days = (leaf.not_valid_after_utc - datetime.now(UTC)).days
    seen = f"the server's certificate ends in {days} days"
    return Check("tls", days >= DAYS_LEFT_MIN, seen, "restart the platform: it renews its own certificates at the start")


async def _check_clock(connection: Connection) -> Check:
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
        async with httpx.AsyncClient(timeout=SECONDS, trust_env=False, verify=context) as http:
            answer = await http.get(f"{connection.url}/api/v1/openapi.json")
        there = parsedate_to_datetime(answer.headers["date"])
    except (httpx.HTTPError, KeyError, ValueError) as error:
        return Check("clock", False, f"the server shows no time: {error!r}", "look at the server's log")
    skew = abs(datetime.now(UTC) - there)
    return Check("clock", skew <= SKEW_MAX, f"the clocks differ by {int(skew.total_seconds())} s", "start NTP on both machines")


async def _check_token(connection: Connection) -> Check:
    try:
        async with Client(connection.url, connection.token, connection.ca_file) as client:
            identity = await client.tokens.whoami()
    except ChargePkiError as error:
        return Check("token", False, str(error), "chargepki token create, or name another with --token-file")
    return Check("token", True, f"you are {identity.actor} ({identity.kind})")


async def _check_readiness(http: httpx.AsyncClient, metrics: str) -> Check:
    if not metrics:
        return Check("ready", True, "not looked at: no metrics URL in endpoints.json")
    try:
        answer = await http.get(f"{metrics.rstrip('/')}/readyz")
    except httpx.HTTPError as error:
        return Check("ready", False, f"{metrics} does not answer: {error!r}", "the metrics port listens on loopback: run doctor there")
    return Check(
        "ready", answer.status_code == 200, f"/readyz says {answer.status_code} {answer.text.strip()[:60]}", "see the server's log"
    )


async def _check_crls(http: httpx.AsyncClient, connection: Connection) -> AsyncIterator[Check]:
    status = connection.endpoints.get("status", "").rstrip("/")
    if not status:
        yield Check("crl", True, "not looked at: no status URL in endpoints.json")
        return
    try:
        async with Client(connection.url, connection.token, connection.ca_file) as client:
            authorities = await client.authorities.list()
    except ChargePkiError as error:
        yield Check("crl", False, str(error), "a token with the scope ca:authority:read")
        return
    for authority in authorities:
        yield await _check_crl(http, f"{status}/crl/{authority.id}.crl", authority.id)


async def _check_crl(http: httpx.AsyncClient, url: str, id: str) -> Check:
    fix = f"chargepki crl publish {id}"
    try:
        octets = await fetch(http, "GET", url)
        crl = x509.load_der_x509_crl(octets)
    except (Broken, ValueError) as error:
        return Check("crl", False, f"{url}: {error}", fix)
    until = crl.next_update_utc
    if until is None or until <= datetime.now(UTC):
        return Check("crl", False, f"{url} ended {until}", fix)
    return Check("crl", True, f"{id}: {len(crl)} entries, good until {until:%Y-%m-%d %H:%M}Z")


async def _check_ocsp(http: httpx.AsyncClient, leaf: x509.Certificate) -> Check:
    """Asks about the server's own certificate, with the URLs that stand in it."""
    fix = "is the status port reachable under the URL in the certificates? chargepki config explain"
    try:
        issuer = x509.load_der_x509_certificate(await fetch(http, "GET", access_url(leaf, AuthorityInformationAccessOID.CA_ISSUERS)))
        request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA256()).build()
        url = access_url(leaf, AuthorityInformationAccessOID.OCSP)
        body = request.public_bytes(serialization.Encoding.DER)
        answer = ocsp.load_der_ocsp_response(await fetch(http, "POST", url, body))
    except (Broken, ValueError) as error:
        return Check("ocsp", False, str(error), fix)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Check("ocsp", False, f"{url} says {answer.response_status.name.lower()}", fix)
    status = answer.certificate_status.name.lower()
    return Check("ocsp", status == "good", f"{url} says {status}", "restart the platform: it orders itself a new certificate")


def access_url(leaf: x509.Certificate, method: x509.ObjectIdentifier) -> str:
    try:
        descriptions = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound as error:
        raise Broken("the server's certificate names no status service") from error
    urls = [str(d.access_location.value) for d in descriptions if d.access_method == method]
    if not urls:
        raise Broken(f"the server's certificate names no URL for {method.dotted_string}")
    return urls[0]


async def fetch(http: httpx.AsyncClient, method: str, url: str, body: bytes = b"") -> bytes:
    headers = {"Content-Type": "application/ocsp-request"} if body else {}
    try:
        answer = await http.request(method, url, content=body, headers=headers)
    except httpx.HTTPError as error:
        raise Unreachable(f"{url} does not answer: {error!r}") from error
    if answer.status_code != 200 or len(answer.content) > ANSWER_OCTETS_MAX:
        raise Broken(f"{url} answers {answer.status_code}")
    return answer.content
