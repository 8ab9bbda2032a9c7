"""Name spaces: which identifiers a party may speak for. Compared on parsed components, never on raw text.

| kind | a space | a name in it | compared |
|---|---|---|---|
| evse-operator | `DE*ABC` | the operator of an EVSE id | as a whole: `DE*ABC` is not the beginning of anything |
| emaid-provider | `DE-ABC` | the provider of an eMAID | as a whole |
| wmi | `WDB` | the manufacturer of a PCID | as a whole |
| station-serial | `ACME-2026` | a serial number | by components, from the left; exact case, as the label has it |
| dns | `example.org` | a host | by labels, from the right |
| station | `CS-17` | an OCPP identity | as a whole, exact case |

A serial number's components are its runs of letters, its runs of digits, and every other character by itself: `ACME-20` covers
`ACME-20-1` and `ACME-20B`, and does not cover `ACME-2026`; `ACME` covers `ACME7` and not `ACMEX7`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from chargepki.core.identifiers.roaming import (
    emaid_provider_of,
    evse_operator_of,
    parse_emaid_provider,
    parse_evse_operator,
    parse_wmi,
    wmi_of,
)
from chargepki.core.identifiers.station import parse_host, parse_serial_number, parse_station_id
from chargepki.errors import Refused

ALL: Final = "*"  # every name of a kind; no identifier of any kind is spelt so
TEXT_MAX: Final = 300  # the longest kind, a colon and the longest value, a host name
KNOWN_MAX: Final = 8_192  # values held apart in their components: the names of a busy hour

_COMPONENT: Final = re.compile(r"[A-Za-z]+|[0-9]+|.", re.DOTALL)


class NameKind(StrEnum):
    EVSE_OPERATOR = "evse-operator"  # DE*ABC
    EMAID_PROVIDER = "emaid-provider"  # DE-ABC: country and provider of an eMAID
    WMI = "wmi"  # world manufacturer identifier, the first three characters of a VIN or PCID
    STATION_SERIAL = "station-serial"
    DNS = "dns"
    STATION = "station"  # one station, by its OCPP identity


@dataclass(frozen=True, slots=True)
class ScopedName:
    """A name that an act is about, in normal form."""

    kind: NameKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class NameSpace:
    """All names of a kind at or below `value`; `*` is every name of the kind, said on purpose."""

    kind: NameKind
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def parse_name_space(text: str) -> NameSpace:
    """From `kind:value`: `dns:example.org`, `evse-operator:DE*ABC`, `station-serial:*`."""
    kind, value = _split(text)
    return NameSpace(kind, ALL if value == ALL else _parse_value(kind, value))


def parse_scoped_name(text: str) -> ScopedName:
    """From `kind:value`. There is no name `*`."""
    kind, value = _split(text)
    if kind is NameKind.DNS:
        return dns_name(value)
    return ScopedName(kind, _parse_value(kind, value))


def evse_operator(evse_id: str) -> ScopedName:
    return ScopedName(NameKind.EVSE_OPERATOR, evse_operator_of(evse_id))


def emaid_provider(emaid: str) -> ScopedName:
    return ScopedName(NameKind.EMAID_PROVIDER, emaid_provider_of(emaid))


def wmi(pcid: str) -> ScopedName:
    return ScopedName(NameKind.WMI, wmi_of(pcid))


def station_serial(text: str) -> ScopedName:
    return ScopedName(NameKind.STATION_SERIAL, _parse_serial(text))


def dns_name(host: str) -> ScopedName:
    """A host, or a wildcard over the labels below one (`*.example.org` lies in `example.org`)."""
    return ScopedName(NameKind.DNS, parse_host(host, wildcard=True))


def station_name(id: str) -> ScopedName:
    return ScopedName(NameKind.STATION, parse_station_id(id))


def covers(space: NameSpace, name: ScopedName) -> bool:
    """Whether `name` lies at or below `space`."""
    if space.kind is not name.kind:
        return False
    if space.value == ALL:
        return True
    have = _components(space.kind, space.value)
    return bool(have) and _components(name.kind, name.value)[: len(have)] == have


def is_covered(name: ScopedName, spaces: Iterable[NameSpace]) -> bool:
    return any(covers(space, name) for space in spaces)


def contains(outer: NameSpace, inner: NameSpace) -> bool:
    """Whether every name of `inner` lies in `outer`."""
    if inner.value == ALL:
        return inner == outer
    return covers(outer, ScopedName(inner.kind, inner.value))


def overlaps(one: NameSpace, other: NameSpace) -> bool:
    """Whether a name can lie in both. Spaces are trees: then one contains the other."""
    return contains(one, other) or contains(other, one)


def intersect(some: frozenset[NameSpace], others: frozenset[NameSpace]) -> frozenset[NameSpace]:
    """The names that lie in a space of each."""
    return frozenset(one if contains(other, one) else other for one in some for other in others if overlaps(one, other))


def _split(text: str) -> tuple[NameKind, str]:
    kind, colon, value = text.partition(":")
    if len(text) > TEXT_MAX or not colon or kind not in _PARSERS:
        message = f"{text[:80]!r} is no name space"
        raise Refused.because("name_space.kind", message, path="name_space", hint=f"KIND:VALUE; kinds: {', '.join(NameKind)}")
    return NameKind(kind), value


def _parse_value(kind: NameKind, value: str) -> str:
    return _PARSERS[kind](value)


def _parse_serial(text: str) -> str:
    """Below a prefix lies all that begins with its components, so a `*` behind it would be a serial number's own character."""
    if text.endswith("*"):
        hint = f"station-serial:{text.rstrip('*')} covers what begins so; station-serial:* is every one" if text.strip("*") else ""
        message = "`*` is every serial number and ends none" if text == "*" else f"a serial number does not end in `*`: {text[:40]!r}"
        raise Refused.because("name_space.value", message, path="station.serial_number", hint=hint)
    return parse_serial_number(text)


_PARSERS: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType(
    {
        NameKind.EVSE_OPERATOR: parse_evse_operator,
        NameKind.EMAID_PROVIDER: parse_emaid_provider,
        NameKind.WMI: parse_wmi,
        NameKind.STATION_SERIAL: _parse_serial,
        NameKind.DNS: parse_host,
        NameKind.STATION: parse_station_id,
    }
)


@lru_cache(maxsize=KNOWN_MAX)
def _components(kind: NameKind, value: str) -> tuple[str, ...]:
    """What is compared, from the most general part on."""
    if kind is NameKind.DNS:
        return tuple(reversed(value.split(".")))
    if kind is NameKind.STATION_SERIAL:
        return tuple(_COMPONENT.findall(value))
    return (value,)
