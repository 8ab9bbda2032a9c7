"""Name spaces: who may speak for a name is decided on its components, never on how the text begins."""

import pytest

from chargepki.core.identifiers.name_spaces import (
    NameKind,
    NameSpace,
    ScopedName,
    contains,
    covers,
    dns_name,
    emaid_provider,
    evse_operator,
    intersect,
    overlaps,
    parse_name_space,
    parse_scoped_name,
    station_name,
    station_serial,
    wmi,
)
from chargepki.core.identifiers.party import parse_party_id, parse_username
from chargepki.errors import Refused
from tests.unit.core.access.people import spaces


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("evse-operator:de*abc", "evse-operator:DE*ABC"),
        ("evse-operator:DEABC", "evse-operator:DE*ABC"),
        ("emaid-provider:de-8aa", "emaid-provider:DE-8AA"),
        ("emaid-provider:DE8AA", "emaid-provider:DE-8AA"),
        ("wmi:wdb", "wmi:WDB"),
        ("station-serial:Acme-20", "station-serial:Acme-20"),
        ("dns:CSMS.Example.ORG.", "dns:csms.example.org"),
        ("station:CS-1", "station:CS-1"),
        ("station:DE*ABC*E1", "station:DE*ABC*E1"),
        ("dns:*", "dns:*"),
        ("station:*", "station:*"),
    ],
)
def test_a_space_has_one_normal_form(text: str, normal: str) -> None:
    assert str(parse_name_space(text)) == normal
    assert parse_name_space(normal) == parse_name_space(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dns",
        "dns:",
        ":x",
        "DNS:example.org",
        "colour:red",
        "dns:*.example.org",
        "dns:org",
        "dns:192.0.2.1",
        "dns:a..example.org",
        "evse-operator:DE*ABCD",
        "evse-operator:DE*AB",
        "evse-operator:DE-ABC",
        "evse-operator:DE*ABC*E1",
        "evse-operator:D\u0130*ABC",
        "emaid-provider:DE*ABC",
        "emaid-provider:\u017f\u017f-ABC",
        "wmi:WD",
        "wmi:W_B",
        "station-serial:",
        "station-serial: ACME",
        "station:a/b",
        "station:" + "x" * 400,
    ],
)
def test_what_is_no_space_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_name_space(text)


@pytest.mark.parametrize("kind", NameKind)
def test_there_is_no_name_that_reads_as_every_name(kind: NameKind) -> None:
    with pytest.raises(Refused):
        parse_scoped_name(f"{kind}:*")


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("evse-operator:DE*ABC", evse_operator("de*abc*e45*6")),
        ("evse-operator:DE*ABC", evse_operator("DEABCE456")),
        ("emaid-provider:DE-8AA", emaid_provider("DE8AAC12345678")),
        ("emaid-provider:DE-8AA", emaid_provider("de-8aa-c12345678-9")),
        ("wmi:WDB", wmi("WDB12345678901234")),
        ("wmi:hub", wmi("hubUsEaTest000003")),
        ("dns:example.org", dns_name("example.org")),
        ("dns:example.org", dns_name("A.B.Example.org")),
        ("dns:example.org", dns_name("*.example.org")),
        ("station-serial:ACME", station_serial("ACME")),
        ("station-serial:ACME", station_serial("ACME7")),
        ("station-serial:ACME", station_serial("ACME-7")),
        ("station-serial:ACME-20", station_serial("ACME-20-0001")),
        ("station-serial:ACME-20", station_serial("ACME-20B")),
        ("station-serial:ACME-", station_serial("ACME-7")),
        ("station:CS-1", station_name("CS-1")),
    ],
)
def test_a_space_covers_what_lies_in_it(space: str, name: ScopedName) -> None:
    assert covers(parse_name_space(space), name)
    assert covers(NameSpace(name.kind, "*"), name)


@pytest.mark.parametrize(
    ("space", "name"),
    [
        ("evse-operator:DE*ABC", evse_operator("DE*ABD*E1")),
        ("emaid-provider:DE-ABC", evse_operator("DE*ABC*E1")),
        ("dns:example.org", dns_name("badexample.org")),
        ("dns:example.org", dns_name("example.org.evil.net")),
        ("dns:a.example.org", dns_name("*.example.org")),
        ("dns:a.example.org", dns_name("example.org")),
        ("station-serial:ACME", station_serial("ACMEX7")),
        ("station-serial:ACME", station_serial("acme7")),
        ("station-serial:ACME-20", station_serial("ACME-2026-1")),
        ("station-serial:ACME-20", station_serial("ACME-2")),
        ("station-serial:ACME-20", station_serial("XACME-20")),
        ("station:CS-1", station_name("CS-17")),
        ("station:CS-1", station_name("cs-1")),
        ("station:*", station_serial("CS-1")),
    ],
)
def test_a_space_does_not_cover_what_only_looks_alike(space: str, name: ScopedName) -> None:
    assert not covers(parse_name_space(space), name)


def test_an_operator_id_is_not_the_beginning_of_a_longer_one() -> None:
    assert not covers(parse_name_space("evse-operator:DE*ABC"), ScopedName(NameKind.EVSE_OPERATOR, "DE*ABCD"))


@pytest.mark.parametrize("text", ["DE*ABC*X1", "DE*ABC*E", "DE*ABC", "49*ABC*E1", "DE**ABC*E1", "DE*ABC*E" + "1" * 60])
def test_an_evse_id_names_an_operator_or_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        evse_operator(text)


@pytest.mark.parametrize("text", ["DE-ABC-C1234567", "DE-ABC", "DE--ABC-C12345678", "DE_ABC_C12345678", "DE-AB_-C12345678"])
def test_a_refused_emaid_is_not_repeated(text: str) -> None:
    with pytest.raises(Refused) as refused:
        emaid_provider(text)
    assert text not in str(refused.value)


@pytest.mark.parametrize("text", ["WDB1234567890123", "WDB1234567890123456", "WDB_2345678901234"])
def test_a_pcid_has_17_or_18_characters(text: str) -> None:
    with pytest.raises(Refused):
        wmi(text)


def test_an_empty_space_covers_nothing() -> None:
    for kind in NameKind:
        assert not covers(NameSpace(kind, ""), ScopedName(kind, "x"))


def test_spaces_contain_and_overlap_as_trees_do() -> None:
    outer, inner, beside = map(parse_name_space, ("dns:example.org", "dns:a.example.org", "dns:b.example.org"))
    everything = parse_name_space("dns:*")
    assert contains(outer, inner)
    assert contains(everything, outer)
    assert not contains(outer, everything)
    assert overlaps(inner, outer)
    assert not overlaps(inner, beside)
    assert not overlaps(everything, parse_name_space("station:*"))


def test_the_intersection_keeps_the_smaller_of_each_pair() -> None:
    one = spaces("dns:example.org", "station:*", "wmi:WDB", "station-serial:ACME-20")
    other = spaces("dns:a.example.org", "station:CS-1", "wmi:WVW", "station-serial:ACME")
    assert intersect(one, other) == intersect(other, one) == spaces("dns:a.example.org", "station:CS-1", "station-serial:ACME-20")


@pytest.mark.parametrize("text", ["acme", "demo-cpo", "x" * 48, "9"])
def test_party_ids_are_slugs(text: str) -> None:
    assert parse_party_id(text) == text


@pytest.mark.parametrize("text", ["", "*", "Acme", "a--b", "-a", "a-", "a b", "x" * 49, "ä", "a/b", "a\n"])
def test_what_is_no_slug_is_no_party(text: str) -> None:
    with pytest.raises(Refused):
        parse_party_id(text)


def test_user_names_are_one_whatever_their_case() -> None:
    assert parse_username("Anna.Berg") == "anna.berg"


@pytest.mark.parametrize("text", ["", ".anna", "anna..berg", "anna berg", "\u212aurt", "x" * 65, "a@b", "anna\n"])
def test_what_is_no_user_name_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse_username(text)
