"""Narrowings: put on top of each other, compared with each other, spelt and read.

A deployment offers a built-in profile within the change that people agreed on while it ran, and both within its configuration. Each
layer only takes away: whatever the layers say, what is offered lies within every one of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.station import parse_host
from chargepki.core.names import UPPER_BOUND
from chargepki.core.profiles.model import EffectiveProfile, Narrowing, Profile, Source, narrow
from chargepki.core.records import ProfileId, ProposalId
from chargepki.errors import Finding, Refused, refuse_errors

NAMES_MAX: Final = 64  # organizations, and host suffixes: whoever serves more of them is not bounded by a list
NARROWING_OCTETS_MAX: Final = 4 * 1024  # all of it stands in the log, beside the decision about it, in an entry of at most 16 KiB
DAYS_MAX: Final = 36_500  # a profile says less
CONFIGURATION: Final = "config"
_FIELDS: Final = frozenset({"validity_days", "validity_days_max", "keys", "organizations", "host_suffixes"})


@dataclass(frozen=True, slots=True)
class ProfileVersion:
    """A change of a profile that was agreed on. `number` counts the changes of this profile from 1; the newest is in force."""

    profile: ProfileId
    number: int
    narrowing: Narrowing
    created_by: str  # actor id of who proposed it
    created_at: datetime
    proposal: ProposalId | None = None  # None on a development platform, where nobody else was asked

    @property
    def name(self) -> str:
        return self.proposal or f"change {self.number}"


def lay(under: EffectiveProfile, by: Narrowing, name: str) -> EffectiveProfile:
    """`under` within `by`: never more than `under` offers, whatever `by` says. `name` tells people where a field's value comes from."""
    profile = under.profile
    days_max = profile.validity_days_max if by.validity_days_max is None else min(profile.validity_days_max, by.validity_days_max)
    days = min(profile.validity_days if by.validity_days is None else by.validity_days, days_max)
    keys = profile.keys if by.keys is None else profile.keys & by.keys
    above = replace(
        under,
        profile=replace(profile, validity_days=days, validity_days_max=days_max, keys=keys),
        organizations=_both(under.organizations, by.organizations),
        host_suffixes=_meet(under.host_suffixes, by.host_suffixes),
    )
    return replace(above, sources=(*under.sources, *(Source(field, name) for field in _find_changed(under, above))))


def within_version(under: EffectiveProfile, version: ProfileVersion) -> EffectiveProfile:
    return replace(lay(under, version.narrowing, version.name), change=version.number)


def find_newly_allowed(profile: Profile, before: Narrowing | None, after: Narrowing | None) -> tuple[str, ...]:
    """Everything that `after` allows and `before` did not, one line each. None: what is built in, without a narrowing.

    The days that a certificate gets when nobody names a number are no limit: they are not among it.
    """
    none = Narrowing(profile.id)
    old, new = lay(EffectiveProfile(profile), before or none, ""), lay(EffectiveProfile(profile), after or none, "")
    found = []
    if new.profile.validity_days_max > old.profile.validity_days_max:
        found.append(f"validity_days_max: {old.profile.validity_days_max} -> {new.profile.validity_days_max}")
    found += [f"keys: {key}" for key in sorted(new.profile.keys - old.profile.keys)]
    if old.organizations is not None:
        found += ["organizations: any"] if new.organizations is None else _each("organizations", new.organizations - old.organizations)
    if old.host_suffixes is not None:
        covered = old.host_suffixes
        beyond = None if new.host_suffixes is None else {s for s in new.host_suffixes if not any(is_below(s, known) for known in covered)}
        found += ["host_suffixes: any"] if beyond is None else _each("host_suffixes", beyond)
    return tuple(found)


def check_narrowing(profile: Profile, by: Narrowing) -> None:
    """`Refused` with everything in which `by` goes beyond the built-in profile, or leaves nothing of it."""
    refuse_errors(
        Finding("profile.narrowing.empty", f"{field} must name one at least", path=field, hint="leave it out: then there is no limit")
        for field, names in (("organizations", by.organizations), ("host_suffixes", by.host_suffixes))
        if names is not None and not names
    )
    length = len(canonical_json.encode(spell_narrowing(by)))
    if length > NARROWING_OCTETS_MAX:
        message = f"this takes {length} octets of the log, the limit is {NARROWING_OCTETS_MAX}"
        raise Refused.because("profile.narrowing.too_long", message, path="narrowing", hint="name fewer, or what they have in common")
    narrow(profile, by)


def find_nothing_left(offered: EffectiveProfile) -> tuple[Finding, ...]:
    """Layers that have nothing in common: nothing could be issued."""
    fields = {"keys": offered.profile.keys, "organizations": offered.organizations, "host_suffixes": offered.host_suffixes}
    return tuple(
        Finding(
            "profile.narrowing.nothing_left",
            f"with this platform's configuration no {field} of {offered.profile.id} would be left",
            path=field,
            hint=f'compare with [profiles."{offered.profile.id}"] in config.toml',
        )
        for field, names in fields.items()
        if names is not None and not names
    )


def is_below(host: str, suffix: str) -> bool:
    """Whether a host name, or another suffix, is `suffix` itself or lies below it; label by label."""
    return host == suffix or host.endswith("." + suffix)


def spell_narrowing(by: Narrowing) -> dict[str, JsonValue]:
    """What it says, and nothing else: canonical JSON values, for proposals and columns."""
    raw: dict[str, JsonValue] = {}
    if by.validity_days is not None:
        raw["validity_days"] = by.validity_days
    if by.validity_days_max is not None:
        raw["validity_days_max"] = by.validity_days_max
    sets = {"keys": by.keys, "organizations": by.organizations, "host_suffixes": by.host_suffixes}
    return raw | {name: sorted(members) for name, members in sets.items() if members is not None}


def parse_narrowing(profile: ProfileId, raw: JsonValue) -> Narrowing:
    """Reads what `spell_narrowing` wrote, or what somebody typed into an edited proposal. Raises `Refused`."""
    if not isinstance(raw, Mapping) or not set(raw) <= _FIELDS:
        raise _unreadable("narrowing", f"it is an object of {', '.join(sorted(_FIELDS))}")
    hosts, keys = _texts(raw, "host_suffixes"), _texts(raw, "keys")
    unknown = sorted((keys or frozenset()) - frozenset(KeySpec))
    if unknown:
        raise _unreadable("keys", f"there is no kind of key {unknown[0][:40]!r}")
    return Narrowing(
        profile,
        _days(raw, "validity_days"),
        _days(raw, "validity_days_max"),
        None if keys is None else frozenset(map(KeySpec, keys)),
        _texts(raw, "organizations"),
        None if hosts is None else frozenset(map(parse_host, hosts)),
    )


def _find_changed(before: EffectiveProfile, after: EffectiveProfile) -> Iterable[str]:
    values = {
        "validity_days": (before.profile.validity_days, after.profile.validity_days),
        "validity_days_max": (before.profile.validity_days_max, after.profile.validity_days_max),
        "keys": (before.profile.keys, after.profile.keys),
        "organizations": (before.organizations, after.organizations),
        "host_suffixes": (before.host_suffixes, after.host_suffixes),
    }
    return (field for field, (old, new) in values.items() if old != new)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _meet(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """The suffixes below which lies what is below one of each."""
    if one is None or other is None:
        return one if other is None else other
    return frozenset({s for s in one if any(is_below(s, o) for o in other)} | {o for o in other if any(is_below(o, s) for s in one)})


def _each(field: str, names: Iterable[str]) -> list[str]:
    return [f"{field}: {name}" for name in sorted(names)]


def _days(raw: Mapping[str, JsonValue], field: str) -> int | None:
    value = raw.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= DAYS_MAX:
        raise _unreadable(field, f"a number of days is 1 to {DAYS_MAX}")
    return value


def _texts(raw: Mapping[str, JsonValue], field: str) -> frozenset[str] | None:
    value = raw.get(field)
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= NAMES_MAX:
        raise _unreadable(field, f"it is a list of 1 to {NAMES_MAX} texts")
    texts = frozenset(text for text in value if isinstance(text, str) and text.strip() and text.isprintable())
    longest = UPPER_BOUND["O"] if field == "organizations" else 253  # RFC 1035 2.3.4: a host name
    if len(texts) != len(value) or any(len(text) > longest for text in texts):
        raise _unreadable(field, f"each is a different text of 1 to {longest} printable characters")
    return texts


def _unreadable(path: str, what: str) -> Refused:
    return Refused.because("profile.narrowing.unreadable", f"{path} cannot be read: {what}", path=path, hint="chargepki profile propose")
