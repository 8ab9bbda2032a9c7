"""The words of authorisation as JSON: they read back, and anything else is refused with its place."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from chargepki.core import canonical_json
from chargepki.core.access.encode import (
    GRANTS_MAX,
    decode_actor,
    decode_ballot,
    decode_decision,
    decode_grant,
    decode_resource,
    encode_actor,
    encode_ballot,
    encode_decision,
    encode_grant,
    encode_resource,
)
from chargepki.core.access.model import Allow, Ballot, Deny, Grant, NeedsApproval, Resource, Role, Scope, Seat, StandingApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.access.quorum import VOTES_MAX
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import dns_name
from chargepki.errors import Refused
from tests.unit.core.access.people import AT_ACME, LATER, NOW, STATION, ballot, grant, judged, person, spaces

P = Permission


def through_json(value: JsonValue) -> JsonValue:
    return json.loads(canonical_json.encode(value))  # type: ignore[no-any-return]


def test_an_actor_reads_back() -> None:
    actor = person("ann", Role.REQUESTER, Role.PARTY_ADMIN, scope=Scope(frozenset({"acme"}), None, frozenset(), spaces("dns:acme.example")))
    assert decode_actor(through_json(encode_actor(actor))) == actor


def test_what_has_its_default_is_left_out() -> None:
    assert encode_grant(Grant("g", Role.MONITOR)) == {"id": "g", "role": "monitor"}
    assert encode_resource(Resource()) == {}


def test_no_bound_and_a_bound_to_nothing_are_different() -> None:
    for scope in (Scope(), Scope(parties=frozenset(), names=frozenset())):
        held = Grant("g", Role.MONITOR, scope)
        assert decode_grant(through_json(encode_grant(held))) == held
    empty = Grant("g", Role.MONITOR, narrowed_to=frozenset())
    assert decode_grant(through_json(encode_grant(empty))).narrowed_to == frozenset()


@pytest.mark.parametrize("resource", [Resource(), STATION, Resource("acme", count=0, role="auditor", subject="per_a", spaces=frozenset())])
def test_a_resource_reads_back(resource: Resource) -> None:
    assert decode_resource(through_json(encode_resource(resource))) == resource


def test_a_ballot_reads_back() -> None:
    standing = StandingApproval("sta_1", "acme", frozenset({"ocpp/station"}), spaces("station:*"), frozenset({"ed25519"}), 5, LATER, 2)
    votes = ballot(person("ann", Role.CA_OFFICER), against=(person("bob", Role.CA_OFFICER),))
    full = Ballot(votes.digest, votes.votes, NOW, (standing,))
    for one in (Ballot(), full):
        assert decode_ballot(through_json(encode_ballot(one))) == one


@pytest.mark.parametrize(
    "decision",
    [
        Allow("grt_1"),
        Allow("grt_1 standing sta_1", "sta_1"),
        Deny((("access.scope.name", "no"), ("access.space.name", "no"))),
        Deny((("access.assurance", "no"),), is_step_up=True),
        NeedsApproval("sub-ca", (Seat(P.CA_CERTIFICATE_APPROVE, 2),), ((P.CA_AUTHORITY_CREATE, "per_a"),)),
        NeedsApproval("profile-widen", (Seat(P.PROFILE_DEFINITION_ACTIVATE, roles=frozenset({Role.CA_OFFICER})),), (), NOW),
    ],
)
def test_a_decision_reads_back(decision: Allow | Deny | NeedsApproval) -> None:
    assert decode_decision(through_json(encode_decision(decision))) == decision


def test_the_longest_reasons_read_back() -> None:
    long = Scope(names=spaces(*(f"dns:{letter * 60}.{'x' * 60}.{'y' * 60}.{'z' * 50}.example" for letter in "abcdef")))
    hosts = tuple(dns_name(f"{letter * 60}.{'x' * 60}.{'y' * 60}.{'z' * 50}.other.example") for letter in "abcdef")
    decision = judged(person("a" * 300, Role.REVOCATION_OFFICER, scope=long), P.CERTIFICATE_REVOKE, Resource("acme", names=hosts))
    assert decode_decision(through_json(encode_decision(decision))) == decision


def test_times_read_back_to_the_microsecond() -> None:
    at = datetime(2026, 11, 22, 9, 0, 0, 1, tzinfo=UTC) + timedelta(days=1)
    assert decode_grant(encode_grant(grant(Role.MONITOR, AT_ACME, until=at))).until == at


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (None, "actor"),
        ([], "actor"),
        ({}, "actor.id"),
        ({"id": 1}, "actor.id"),
        ({"id": "x" * 2000}, "actor.id"),
        ({"id": "a", "kind": "ghost"}, "actor.kind"),
        ({"id": "a", "kind": "person", "grants": "many"}, "actor.grants"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "monitor"}] * (GRANTS_MAX + 1)}, "actor.grants"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "root"}]}, "grant.role"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "monitor", "until": "2026-11-22T09:00:00"}]}, "grant.until"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "monitor", "until": None}]}, "grant.until"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "monitor", "scope": None}]}, "scope"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "monitor", "scope": {"parties": None}}]}, "scope.parties"),
        ({"id": "a", "kind": "person", "grants": [{"id": "g", "role": "monitor", "scope": {"names": ["dns:"]}}]}, "host"),
        ({"id": "a", "kind": "person", "assurance": 9}, "actor.assurance"),
        ({"id": "a", "kind": "person", "assurance": True}, "actor.assurance"),
    ],
)
def test_a_malformed_actor_is_refused_with_its_place(value: JsonValue, path: str) -> None:
    with pytest.raises(Refused) as refused:
        decode_actor(value)
    assert refused.value.findings[0].path == path


@pytest.mark.parametrize(
    "value",
    [
        {"digest": "11"},
        {"digest": "1" * 63 + "G"},
        {"digest": ("aa" * 32).upper()},
        {"digest": "11" * 32, "votes": [{"voter": {"id": "a", "kind": "person"}, "digest": "", "for": 1}]},
        {"digest": "", "votes": [{"voter": {"id": "a", "kind": "person"}, "digest": "", "for": True}] * (VOTES_MAX + 1)},
        {"digest": "", "standing": [{"id": "sta_1"}]},
        {"digest": "", "opened_at": "9999-12-31T23:59:59-23:59"},
    ],
)
def test_a_malformed_ballot_is_refused(value: JsonValue) -> None:
    with pytest.raises(Refused):
        decode_ballot(value)


@pytest.mark.parametrize("value", [{}, {"deny": []}, {"deny": ["no"]}, {"needs": "x", "missing": [{"permission": "a:b:c"}]}, {"allow": 1}])
def test_a_malformed_decision_is_refused(value: JsonValue) -> None:
    with pytest.raises(Refused):
        decode_decision(value)
