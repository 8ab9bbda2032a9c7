"""OCSP on HTTP: how a GET carries its request, and how answers are spelt. Pure."""

import base64
import binascii
from typing import Final
from urllib.parse import unquote_to_bytes

from chargepki.core.ocsp import INTERNAL_ERROR, REQUEST_OCTETS_MAX, TRY_LATER
from chargepki.errors import Broken, Refused, StoreUnavailable, VaultUnavailable
from chargepki.protocols.plain_http import HttpAnswer, caching_headers
from chargepki.services.answer_cache import OcspAnswer

REQUEST_TYPE: Final = "application/ocsp-request"
RESPONSE_TYPE: Final = "application/ocsp-response"
PATH_CHARACTERS_MAX: Final = 3 * (REQUEST_OCTETS_MAX // 3 * 4 + 4)  # base64 whose every character is percent-encoded
_NO_STORE: Final = ((b"cache-control", b"no-store"),)


def parse_get_path(raw: bytes) -> bytes:
    """The request in the path of a GET behind `/ocsp/` (RFC 6960 A.1): percent-encoded base64 of DER.

    Clients differ in what they escape: `/`, `+` and `=` come either way, some double the first slash, some drop the padding,
    and some that decode a query string turn `+` into a space. `Refused` when no base64 is left.
    """
    if len(raw) > PATH_CHARACTERS_MAX:
        raise Refused.because("ocsp.get.too_long", f"the path has {len(raw)} characters", clause="RFC 6960 A.1")
    # The base64 of a SEQUENCE begins with M: a leading slash is never part of it.
    text = unquote_to_bytes(raw).replace(b" ", b"+").lstrip(b"/").rstrip(b"=")
    try:
        request = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise Refused.because("ocsp.get.base64", f"the path is not base64: {error}", clause="RFC 6960 A.1") from error
    if not request:
        raise Refused.because("ocsp.get.empty", "the path carries no request", clause="RFC 6960 A.1")
    return request


def spell_answer(answer: OcspAnswer, *, is_get: bool) -> HttpAnswer:
    """The HTTP answer; only a GET without a nonce may be kept by caches (RFC 5019 6.2)."""
    if not is_get or not answer.is_cacheable or answer.this_update is None or answer.next_update is None:
        return HttpAnswer(200, answer.der, RESPONSE_TYPE, _NO_STORE)
    headers = caching_headers(
        etag=answer.etag,
        max_age_seconds=answer.max_age_seconds,
        last_modified=answer.this_update,
        expires=answer.next_update,
    )
    return HttpAnswer(200, answer.der, RESPONSE_TYPE, headers)


def spell_breakdown(broken: Broken) -> HttpAnswer:
    """Our failure in the words of RFC 6960 2.3: never a status, always an error that clients retry."""
    is_passing = isinstance(broken, StoreUnavailable | VaultUnavailable)
    return HttpAnswer(200, TRY_LATER if is_passing else INTERNAL_ERROR, RESPONSE_TYPE, _NO_STORE)
