"""Name spaces and the identifiers in them: what is accepted is its own normal form, and lies in itself."""

from collections.abc import Callable

from chargepki.core.identifiers.name_spaces import (
    ALL,
    NameKind,
    NameSpace,
    ScopedName,
    contains,
    covers,
    emaid_provider,
    evse_operator,
    intersect,
    parse_name_space,
    parse_scoped_name,
    wmi,
)
from chargepki.core.identifiers.party import parse_party_id, parse_username
from chargepki.errors import Refused

SEEDS = (
    b"evse-operator:DE*ABC",
    b"emaid-provider:de-8aa",
    b"wmi:WDB",
    b"station-serial:ACME-2026 B7/1",
    b"dns:*.csms.example.org",
    b"station:DE*ABC*E45*6",
    b"station-serial:*",
    b"DE*ABC*E45*6",
    b"DE-8AA-C12345678-9",
    b"WDB12345678901234",
    b"demo-cpo",
    b"anna.berg",
)
_NAMES: tuple[Callable[[str], ScopedName], ...] = (evse_operator, emaid_provider, wmi)
_SLUGS: tuple[Callable[[str], str], ...] = (parse_party_id, parse_username)


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    _check_space(text)
    _check_name(text)
    for parse in _SLUGS:
        try:
            accepted = parse(text)
        except Refused:
            continue
        assert parse(accepted) == accepted
    for parse_name in _NAMES:
        try:
            name = parse_name(text)
        except Refused:
            continue
        assert parse_scoped_name(str(name)) == name


def _check_space(text: str) -> None:
    try:
        space = parse_name_space(text)
    except Refused:
        return
    assert parse_name_space(str(space)) == space
    assert contains(space, space)
    everything = NameSpace(space.kind, ALL)
    assert contains(everything, space)
    assert intersect(frozenset({space}), frozenset({everything})) == {space}
    assert space.value == ALL or covers(space, ScopedName(space.kind, space.value))
    assert not any(covers(NameSpace(kind, ALL), ScopedName(space.kind, space.value)) for kind in NameKind if kind is not space.kind)


def _check_name(text: str) -> None:
    try:
        name = parse_scoped_name(text)
    except Refused:
        return
    assert parse_scoped_name(str(name)) == name
    assert name.value != ALL


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
