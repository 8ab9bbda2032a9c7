"""A recorded decision can be made again from its record alone, and one that was tampered with does not follow."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings

from chargepki.core import canonical_json
from chargepki.core.access.decide import decide
from chargepki.core.access.model import Actor, ActorKind, Allow, Assurance, Ballot, Decision, Grant, Resource, Role, Vote
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.access.replay import Recorded, decode_judgement, find_deviation
from chargepki.core.audit import Act, Judgement, encode_judgement
from chargepki.errors import Refused
from tests.properties.access_worlds import NOW, Case, cases

DIGEST = b"\x11" * 32
SUB_CA = Resource(authority="operator-root", profile="sub/operator", key="ec-p256")


def person(name: str, role: Role) -> Actor:
    grant = Grant(f"grt_{name}", role, until=NOW + timedelta(days=30))
    return Actor(f"person:per_{name}", ActorKind.PERSON, (grant,), f"per_{name}", Assurance.MFA)


ANN, CY, CZ = person("ann", Role.ADMINISTRATOR), person("cy", Role.CA_OFFICER), person("cz", Role.CA_OFFICER)
BALLOT = Ballot(DIGEST, (Vote(CY, DIGEST, is_for=True), Vote(CZ, DIGEST, is_for=True)), NOW - timedelta(hours=1))


def record(actor: Actor, permission: Permission, resource: Resource, ballot: Ballot, decision: Decision | None = None) -> Any:
    """The judgement as it lies in a leaf: through JSON and back."""
    decision = decision or decide(actor, permission, resource, NOW, PRODUCTION, ballot)
    act = Act(actor, permission, "authority:sub", resource=resource)
    return json.loads(canonical_json.encode(encode_judgement(act, Judgement(decision, resource, PRODUCTION.id, NOW, ballot))))


def recorded(value: Any, permission: Permission = Permission.CA_AUTHORITY_CREATE) -> Recorded:
    return decode_judgement(permission, value)


def test_a_sub_ca_by_three_replays_to_the_same_allow() -> None:
    found = recorded(record(ANN, Permission.CA_AUTHORITY_CREATE, SUB_CA, BALLOT))
    assert found.decision == Allow("grt_ann sub-ca per_ann,per_cy,per_cz")
    assert find_deviation(found) is None


def test_an_allow_that_two_people_came_to_does_not_follow() -> None:
    two = replace(BALLOT, votes=BALLOT.votes[:1])
    forged = recorded(record(ANN, Permission.CA_AUTHORITY_CREATE, SUB_CA, two, Allow("grt_ann sub-ca per_ann,per_cy,per_cz")))
    finding = find_deviation(forged)
    assert finding is not None
    assert finding.code == "monitor.decision.differs"
    assert "waiting under sub-ca for 1 x ca:certificate:approve" in finding.message


@pytest.mark.parametrize(
    "change",
    [
        {"policy": "production-0"},
        {"at": "2027-11-22T09:00:00Z"},  # the grants have ended by then
        {"resource": {"authority": "operator-root", "profile": "root/operator"}},
        {"ballot": {"digest": "22" * 32}},
        {"actor": {"id": "person:per_ann", "kind": "person", "person": "per_ann", "assurance": 1, "grants": []}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_input_of_a_decision_can_be_exchanged(change: dict[str, Any]) -> None:
    value = record(ANN, Permission.CA_AUTHORITY_CREATE, SUB_CA, BALLOT)
    assert find_deviation(recorded({**value, **change})) is not None


@pytest.mark.parametrize("value", [None, [], "x", {}, {"policy": 1}, {"policy": "production-1", "at": "yesterday"}])
def test_what_is_no_judgement_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        recorded(value)


@settings(max_examples=150, deadline=None)
@given(cases)
def test_every_decision_survives_the_log(case: Case) -> None:
    _, permission, _, _, _ = case
    assert find_deviation(decode_judgement(permission, write(case))) is None


@settings(max_examples=150, deadline=None)
@given(cases)
def test_no_denial_can_be_written_as_an_allow(case: Case) -> None:
    actor, permission, resource, policy, ballot = case
    assume(not isinstance(decide(actor, permission, resource, NOW, policy, ballot), Allow))
    forged = {**write(case), "decision": {"allow": "grt_1"}}
    assert find_deviation(decode_judgement(permission, forged)) is not None


def write(case: Case) -> Any:
    actor, permission, resource, policy, ballot = case
    decision = decide(actor, permission, resource, NOW, policy, ballot)
    value = encode_judgement(Act(actor, permission, ""), Judgement(decision, resource, policy.id, NOW, ballot))
    return json.loads(canonical_json.encode(value))
