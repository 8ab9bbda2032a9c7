"""The doors for CRLs and for issuer certificates: two raw ASGI applications over one shape, a file per authority."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from chargepki.core.records import AuthorityId
from chargepki.errors import Broken, NotFound
from chargepki.protocols.plain_http import (
    AsgiApp,
    HttpAnswer,
    Receive,
    Scope,
    Send,
    caching_headers,
    explain,
    has_validator,
    send_answer,
)
from chargepki.services.authorities import Authorities
from chargepki.services.status import Status

CRL_MAX_AGE_SECONDS: Final = 300  # a cache on the way hides a revocation no longer than this
ISSUER_MAX_AGE_SECONDS: Final = 86_400  # an authority's certificate never changes
ID_CHARACTERS_MAX: Final = 64
_METHODS: Final = (b"allow", b"GET, HEAD")
_RETRY: Final = (b"retry-after", b"10")

_Load = Callable[[AuthorityId], Awaitable[HttpAnswer]]


def crl_app(status: Status, *, prefix: str = "/crl") -> AsgiApp:
    """GET `prefix`/{authority}.crl: the newest CRL in DER (RFC 2585 4.2)."""

    async def load(id: AuthorityId) -> HttpAnswer:
        crl = await status.current_crl(id)
        headers = caching_headers(
            etag=f"{id}-{crl.number}",
            max_age_seconds=CRL_MAX_AGE_SECONDS,
            last_modified=crl.this_update,
            expires=crl.next_update,
        )
        return HttpAnswer(200, crl.der, "application/pkix-crl", headers)

    return _files(prefix, ".crl", load)


def issuer_app(authorities: Authorities, *, prefix: str = "/ca") -> AsgiApp:
    """GET `prefix`/{authority}.cer: the authority's certificate in DER (RFC 5280 4.2.2.1)."""

    async def load(id: AuthorityId) -> HttpAnswer:
        view = await authorities.view(id)
        headers = (
            (b"cache-control", b"max-age=%d, public" % ISSUER_MAX_AGE_SECONDS),
            (b"etag", f'"{hashlib.sha256(view.certificate_der).hexdigest()}"'.encode()),
        )
        return HttpAnswer(200, view.certificate_der, "application/pkix-cert", headers)

    return _files(prefix, ".cer", load)


def _files(prefix: str, suffix: str, load: _Load) -> AsgiApp:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        answer = await _serve(scope, prefix, suffix, load)
        etag = dict(answer.headers).get(b"etag", b"").decode().strip('"')
        if etag and has_validator(scope, etag):
            answer = HttpAnswer(304, headers=answer.headers)
        await send_answer(send, answer, is_head=scope["method"] == "HEAD")

    return app


async def _serve(scope: Scope, prefix: str, suffix: str, load: _Load) -> HttpAnswer:
    path: str = scope["path"]
    if scope["method"] not in ("GET", "HEAD"):
        return explain(405, "only GET and HEAD are answered here", _METHODS)
    id = path.removeprefix(f"{prefix}/").removesuffix(suffix)
    if path != f"{prefix}/{id}{suffix}" or not 0 < len(id) <= ID_CHARACTERS_MAX:
        return explain(404, f"files here are {prefix}/{{authority}}{suffix}")
    try:
        return await load(AuthorityId(id))
    except NotFound as missing:
        return explain(404, "; ".join(f"{f.message} ({f.hint})" for f in missing.findings))
    except Broken:
        return explain(503, "this cannot be served right now; ask again soon", _RETRY)
