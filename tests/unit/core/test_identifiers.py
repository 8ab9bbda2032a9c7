"""Station identities, serial numbers and host names: accepted as people use them, refused where they would mislead."""

import pytest

from chargepki.core.identifiers.station import parse_host, parse_serial_number, parse_station_id
from chargepki.errors import Refused


@pytest.mark.clause("OCPP 2.0.1 identifierString")
@pytest.mark.parametrize("text", ["CS-17", "a", "x" * 48, "DE*ABC*E1", "cs_1=2+3|4@5.6", "..a"])
def test_ocpp_identities_are_accepted_as_they_are(text: str) -> None:
    assert parse_station_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 49, "a/b", "../x", ".", "..", "a b", "a\n", "ä", "a%2f", "a\\b", "a?b", "\0"])
def test_what_is_no_identity_or_would_break_a_path_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_station_id(text)


@pytest.mark.parametrize("text", ["SN-0017", "0017", "ABB Terra 54/7", "12.34.56", "x" * 64])
def test_serial_numbers_are_what_makers_print_on_labels(text: str) -> None:
    assert parse_serial_number(text) == text


@pytest.mark.clause("OCPP A00.FR.511")
@pytest.mark.parametrize(
    "text", ["http://x.org", "wss://x", "www.example.org", "192.0.2.1", "192.0.2.1:8443", "2001:db8::1", "[2001:db8::1]:80"]
)
def test_a_serial_number_does_not_look_like_a_url_or_an_address(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_serial_number(text)
    assert refusal.value.findings[0].code == "station.serial_number.address"
    assert refusal.value.findings[0].clause == "OCPP A00.FR.511"


@pytest.mark.parametrize("text", ["", "x" * 65, " a", "a ", "a\tb", "a\x1b[0m", "é"])
def test_a_serial_number_that_people_cannot_type_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_serial_number(text)


@pytest.mark.clause("OCPP A00.FR.510", "RFC 1123 2.1")
@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("csms.example.org", "csms.example.org"),
        ("CSMS.Example.ORG.", "csms.example.org"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.a", "1.a"),
    ],
)
def test_hosts_become_lower_case_without_the_last_dot(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "csms",
        "a..b",
        "-a.b",
        "a-.b",
        "a_b.c",
        "*.example.org",
        "a.*.org",
        "192.0.2.1",
        "1.2.3.4567",
        "::1",
        "bücher.example",
        "a b.c",
        "x" * 64 + ".org",
        ".".join(["x" * 60] * 5),
    ],
)
def test_what_is_no_fully_qualified_name_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse_host(text)
    assert refusal.value.findings[0].code == "host.name"


def test_wildcards_are_accepted_only_where_asked_for() -> None:
    assert parse_host("*.Example.org", wildcard=True) == "*.example.org"
    with pytest.raises(Refused):
        parse_host("*.*.org", wildcard=True)
