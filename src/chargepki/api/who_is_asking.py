"""Who sends a request: a bearer secret, a browser's session cookie, or a machine's certificate, looked at in this order.

A request that brings a secret is judged by it alone: a wrong one is not made good by a certificate underneath.
"""

from collections.abc import Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from chargepki.api.services import ApiServices
from chargepki.core.access.model import Actor
from chargepki.core.tls_peer import tls_peer
from chargepki.errors import Finding, NotAuthenticated, NotAuthorised
from chargepki.services.audit import Caller
from chargepki.services.sessions import PREFIX, signing_in

BEARER_CHARS_MAX: Final = 512  # our tokens have some 60
COOKIES_CHARS_MAX: Final = 8192  # what one browser sends to one site
SESSION_PREFIX: Final = f"{PREFIX}_"
# `__Host-`: from this very host, over TLS, for all of it, and no sister domain can plant one (RFC 6265bis 4.1.3.2).
SESSION_COOKIE: Final = "__Host-chargepki-session"
FLOW_COOKIE: Final = "__Host-chargepki-sign-in"
SIGN_IN_PATH: Final = "/api/v1/sign-in"  # and below: nobody has to be known there
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1
STRANGER: Final = signing_in(None)


def is_for_strangers(path: str) -> bool:
    """Where people prove who they are."""
    return path == SIGN_IN_PATH or path.startswith(f"{SIGN_IN_PATH}/")


async def identify(scope: Scope, headers: Headers, services: ApiServices, caller: Caller) -> tuple[Actor, str]:
    """Who is asking, and the bearer secret they came with ("" with a certificate). Raises `NotAuthenticated`, and `NotAuthorised` for a
    write that another site made a browser send."""
    if headers.getlist("authorization"):
        bearer = parse_bearer(headers.getlist("authorization"))
        return await _of_secret(services, bearer), bearer
    if cookie := read_cookie(headers, SESSION_COOKIE):
        check_own_page(scope["method"], headers)
        return await services.sessions.authenticate(cookie), cookie
    peer = tls_peer(scope)
    if peer is not None and peer.certificate_der is not None:
        return await services.machine_sign_in.authenticate(caller, peer.certificate_der), ""
    return await _of_secret(services, parse_bearer(())), ""


async def _of_secret(services: ApiServices, bearer: str) -> Actor:
    if bearer.startswith(SESSION_PREFIX):
        return await services.sessions.authenticate(bearer)
    return await services.access.authenticate(bearer)


def parse_bearer(values: Sequence[str]) -> str:
    """The secret. Two headers are none: a proxy in front may have looked at the other one (RFC 9110 5.3)."""
    scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > BEARER_CHARS_MAX or not token.isascii():
        hint = "chargepki login signs you in; a program sends 'Authorization: Bearer <token>', or its client certificate"
        raise NotAuthenticated(Finding("access.token.missing", "there is no bearer token in this request", hint=hint))
    return token.strip()


def session_secret(headers: Headers) -> str:
    """The session's secret of an authenticated request, "" when it came with something else."""
    values = headers.getlist("authorization")
    secret = parse_bearer(values) if values else read_cookie(headers, SESSION_COOKIE)
    return secret if secret.startswith(SESSION_PREFIX) else ""


def read_cookie(headers: Headers, name: str) -> str:
    """The cookie's value, "" when there is none. Two of one name are none."""
    lines = headers.getlist("cookie")
    text = "; ".join(lines)
    if not text or len(text) > COOKIES_CHARS_MAX or text.count(f"{name}=") != 1:
        return ""
    return cookie_parser(text).get(name, "")


def check_own_page(method: str, headers: Headers) -> None:
    """A browser sends its cookies with what other sites make it send. `NotAuthorised` for a write that is not from a page of ours."""
    if method in SAFE_METHODS:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    is_own = site == "same-origin" if site is not None else origin == f"https://{headers.get('host')}"
    if not is_own:
        hint = "a program sends 'Authorization: Bearer <token>' instead of a cookie"
        raise NotAuthorised(Finding("access.cookie.cross_site", "this write was not sent by a page of this platform", hint=hint))


def set_cookie(response: Response, name: str, value: str, *, seconds: int, is_strict: bool) -> None:
    """A cookie that scripts cannot read. `is_strict`: never sent from another site, not even when a link there is followed."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="strict" if is_strict else "lax")


def drop_cookie(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
