"""How a GET carries a request: every spelling that clients in the field use, and nothing else."""

import base64
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.ocsp import INTERNAL_ERROR, TRY_LATER
from chargepki.errors import Broken, Refused, StoreUnavailable, VaultUnavailable
from chargepki.protocols.ocsp.wire import PATH_CHARACTERS_MAX, parse_get_path, spell_breakdown

# Octets whose base64 has every awkward character: + and / (twice in a row) and = at the end.
AWKWARD = b"\x30\x42\x42\xfb\xef\xbe\xff\xff\xff\x01"


@pytest.mark.clause("RFC 6960 A.1")
@pytest.mark.parametrize("safe", ["", "/", "+", "=", "/+="])
@pytest.mark.parametrize("lead", ["", "/", "//"])
def test_each_way_of_escaping_is_read(safe: str, lead: str) -> None:
    text = base64.b64encode(AWKWARD).decode()
    assert {"+", "/", "="} <= set(text)
    assert "//" in text
    for spelling in (text, text.rstrip("="), text.replace("+", " ")):
        assert parse_get_path((lead + quote(spelling, safe=safe)).encode()) == AWKWARD


@given(st.binary(min_size=1, max_size=200).map(lambda tail: b"\x30" + tail))
def test_what_was_quoted_comes_back(request_der: bytes) -> None:
    assert parse_get_path(quote(base64.b64encode(request_der), safe="").encode()) == request_der


@pytest.mark.parametrize("path", [b"", b"/", b"%2F", b"MF!x", b"MFM*", b"M", b"\xff\xfe", b"M" * (PATH_CHARACTERS_MAX + 1)])
def test_what_is_no_base64_is_refused(path: bytes) -> None:
    with pytest.raises(Refused):
        parse_get_path(path)


@given(st.binary(max_size=200))
def test_arbitrary_paths_are_read_or_refused_and_nothing_else(path: bytes) -> None:
    with suppress(Refused):
        parse_get_path(path)


@pytest.mark.clause("RFC 6960 2.3")
def test_our_failures_are_said_in_the_words_of_the_protocol() -> None:
    for broken, body in ((StoreUnavailable("x"), TRY_LATER), (VaultUnavailable("x"), TRY_LATER), (Broken("x"), INTERNAL_ERROR)):
        answer = spell_breakdown(broken)
        assert (answer.status, answer.body, answer.headers) == (200, body, ((b"cache-control", b"no-store"),))
