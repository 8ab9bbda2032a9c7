"""The bytes that people vote on."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.access.model import Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.proposals import (
    PAYLOAD_OCTETS_MAX,
    Content,
    assemble_payload,
    diff_payloads,
    digest_payload,
    parse_digest,
    parse_payload,
    spell_digest,
)
from chargepki.errors import Broken, Refused
from chargepki.services import batches, bulk_revocation, standing

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ORDERS = st.dictionaries(TEXT, JSON, max_size=6)


def content(order: dict[str, object], revision: int = 1) -> Content:
    return Content(Permission.CA_AUTHORITY_CREATE, "authority:sub", order, Resource(party="demo-cpo"), revision)  # type: ignore[arg-type]


@given(ORDERS, st.integers(1, 5))
def test_a_payload_says_what_was_put_into_it(order: dict[str, object], revision: int) -> None:
    payload = assemble_payload(content(order, revision))
    assert parse_payload(payload) == content(order, revision)
    assert parse_digest(spell_digest(digest_payload(payload))) == digest_payload(payload)


@given(ORDERS, ORDERS)
def test_two_orders_have_one_digest_only_when_they_are_one(one: dict[str, object], other: dict[str, object]) -> None:
    digests = [digest_payload(assemble_payload(content(order))) for order in (one, other)]
    assert (digests[0] == digests[1]) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))
    assert bool(diff_payloads(assemble_payload(content(one)), assemble_payload(content(other)))) <= (digests[0] != digests[1])


def test_the_next_revision_of_the_same_order_has_another_digest() -> None:
    assert digest_payload(assemble_payload(content({}, 1))) != digest_payload(assemble_payload(content({}, 3)))


def test_a_payload_is_bounded() -> None:
    with pytest.raises(Refused):
        assemble_payload(content({"note": "x" * PAYLOAD_OCTETS_MAX}))


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b"\xff", b'{"v":2}', b'{"v":1,"action":"no:such:thing","object":"","order":{}}'])
def test_a_payload_that_is_none_is_a_broken_register(payload: bytes) -> None:
    with pytest.raises(Broken):
        parse_payload(payload)


@given(TEXT | st.from_regex(r"(sha256:)?[0-9a-fA-F]{64}", fullmatch=True))
def test_a_digest_is_read_or_refused(text: str) -> None:
    try:
        assert len(parse_digest(text)) == 32
    except Refused:
        assert len(text) not in (64, 71) or not all(c in "0123456789abcdefABCDEF" for c in text[-64:]) or not text.startswith("sha256:")


@given(JSON | ORDERS)
def test_an_edited_order_is_read_or_refused(order: object) -> None:
    """What comes in with an edit is anybody's JSON object."""
    if not isinstance(order, dict):
        return
    for parse in (standing.parse_order, batches.parse_order, bulk_revocation.parse_order):
        with pytest.raises(Refused):
            parse(order)


FIELDS = st.sampled_from(
    ["party", "profile", "profiles", "names", "keys", "per_hour_max", "until", "prefixes", "count", "certificates", "list_sha256", "reason"]
)
LIKELY = JSON | st.sampled_from(["2027-01-01T00:00:00+00:00", "dns:example.org", "ocpp/station", "keyCompromise", "ec-p256", "SN-"])


@given(st.dictionaries(FIELDS, LIKELY | st.lists(LIKELY, max_size=3), max_size=12))
def test_an_order_of_known_fields_is_read_or_refused(order: dict[str, object]) -> None:
    for parse in (standing.parse_order, batches.parse_order, bulk_revocation.parse_order):
        with suppress(Refused):
            parse(order)  # type: ignore[operator]
