"""Laws of narrowings: what is laid on top only takes away, and a change that allows nothing new is exactly a narrowing."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.profiles.backend import TLS_SERVER
from chargepki.core.profiles.model import EffectiveProfile, Narrowing
from chargepki.core.profiles.narrowing import find_newly_allowed, is_below, lay, parse_narrowing, spell_narrowing
from chargepki.core.profiles.registry import built_in
from chargepki.errors import Refused

PROFILE = built_in(TLS_SERVER)
KEYS = (KeySpec.P256, KeySpec.P384, KeySpec.RSA3072)
NAMES = ("a", "b", "c")
HOSTS = ("example.org", "csms.example.org", "a.csms.example.org", "myexample.org", "example.com")
# One of everything that could be asked for: a limit between any two days, and an organization and a host that no list names.
UNIVERSE = tuple(product((1, 30, 31, 90, 91, PROFILE.validity_days_max), sorted(PROFILE.keys), (*NAMES, "other"), (*HOSTS, "other.net")))

narrowings = st.builds(
    Narrowing,
    st.just(PROFILE.id),
    st.none() | st.sampled_from((1, 30)),
    st.none() | st.sampled_from((30, 90, PROFILE.validity_days_max)),
    st.none() | st.frozensets(st.sampled_from(KEYS), min_size=1),
    st.none() | st.frozensets(st.sampled_from(NAMES), min_size=1),
    st.none() | st.frozensets(st.sampled_from(HOSTS), min_size=1),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from((*KEYS, *HOSTS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("keys", "host_suffixes", "validity_days")), inner),
    max_leaves=8,
)

Asked = tuple[int, KeySpec, str, str]


def allowed(offered: EffectiveProfile) -> frozenset[Asked]:
    profile, organizations, suffixes = offered.profile, offered.organizations, offered.host_suffixes
    return frozenset(
        (days, key, organization, host)
        for days, key, organization, host in UNIVERSE
        if days <= profile.validity_days_max
        and key in profile.keys
        and (organizations is None or organization in organizations)
        and (suffixes is None or any(is_below(host, suffix) for suffix in suffixes))
    )


def offer(*layers: Narrowing) -> EffectiveProfile:
    offered = EffectiveProfile(PROFILE)
    for number, by in enumerate(layers):
        offered = lay(offered, by, str(number))
    return offered


@given(narrowings, narrowings)
def test_a_change_without_newly_allowed_things_is_exactly_a_narrowing(before: Narrowing, after: Narrowing) -> None:
    newly = find_newly_allowed(PROFILE, before, after)
    assert (not newly) == (allowed(offer(after)) <= allowed(offer(before)))


@given(narrowings, narrowings)
def test_what_is_laid_on_top_allows_what_both_allow(stored: Narrowing, configured: Narrowing) -> None:
    assert allowed(offer(stored, configured)) == allowed(offer(stored)) & allowed(offer(configured))
    both = offer(stored, configured).profile
    assert both.validity_days <= both.validity_days_max <= PROFILE.validity_days_max


@given(narrowings)
def test_nothing_is_new_that_was_there_and_back_to_what_is_built_in_names_every_limit(by: Narrowing) -> None:
    assert find_newly_allowed(PROFILE, by, by) == ()
    assert find_newly_allowed(PROFILE, None, by) == ()
    assert bool(find_newly_allowed(PROFILE, by, None)) == (allowed(offer(by)) != allowed(offer()))


@given(narrowings, narrowings)
def test_a_field_names_the_layers_that_changed_it_and_no_others(stored: Narrowing, configured: Narrowing) -> None:
    offered = offer(stored, configured)
    for source in offered.sources:
        layer = (stored, configured)[int(source.by)]
        assert getattr(layer, source.field) is not None or source.field == "validity_days"  # the days follow their limit
    built = EffectiveProfile(PROFILE)
    unnamed = {"organizations", "host_suffixes"} - {source.field for source in offered.sources}
    assert all(getattr(offered, field) == getattr(built, field) for field in unnamed)


@given(narrowings)
def test_what_is_spelt_is_read_back(by: Narrowing) -> None:
    assert parse_narrowing(PROFILE.id, spell_narrowing(by)) == by


@given(json_values)
def test_whatever_is_read_is_a_narrowing_or_refused(raw: JsonValue) -> None:
    try:
        read = parse_narrowing(PROFILE.id, raw)
    except Refused:
        return
    assert parse_narrowing(PROFILE.id, spell_narrowing(read)) == read


@pytest.mark.parametrize(
    "raw",
    [
        {"validity_days_max": True},
        {"validity_days_max": 0},
        {"keys": []},
        {"keys": ["ec-p256", "ec-p256"]},
        {"keys": "ec-p256"},
        {"organizations": ["x" * 65]},
        {"organizations": ["a\x1b[2J"]},
        {"host_suffixes": ["*.example.org"]},
        {"host_suffixes": ["192.0.2.1"]},
        {"host_suffixes": [f"h{n}.example.org" for n in range(65)]},
        {"subject": ["O"]},
        [],
    ],
)
def test_what_is_no_narrowing_is_refused(raw: JsonValue) -> None:
    with pytest.raises(Refused):
        parse_narrowing(PROFILE.id, raw)
