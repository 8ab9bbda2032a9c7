"""The rules a monitor holds every entry against: each broken one is found, and an honest log breaks none."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chargepki.core import canonical_json
from chargepki.core.access.decide import decide
from chargepki.core.access.model import NO_BALLOT, Actor, ActorKind, Assurance, Ballot, Grant, Policy, Resource, Role, Vote
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.audit import Act, Effect, Judgement, assemble_entry
from chargepki.core.identifiers.name_spaces import parse_name_space, parse_scoped_name
from chargepki.core.leaves import find_id, parse_leaf
from chargepki.core.oversight import Oversight
from chargepki.core.oversight_notes import decode_oversight, encode_oversight
from chargepki.core.records import AuditId, Outcome

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DIGEST = b"\x11" * 32
SUB_CA = Resource(authority="operator-root", profile="sub/operator", key="ec-p256")
EFFECT = {"intent": "int_1", "serial": "1f", "tbs_sha256": "aa", "profile": "sub/operator", "issuer": "operator-root"}


def person(name: str, role: Role) -> Actor:
    grant = Grant(f"grt_{name}", role, until=NOW + timedelta(days=30))
    return Actor(f"person:per_{name}", ActorKind.PERSON, (grant,), f"per_{name}", Assurance.MFA)


ANN, CY, CZ = person("ann", Role.ADMINISTRATOR), person("cy", Role.CA_OFFICER), person("cz", Role.CA_OFFICER)
DEVELOPER = Actor("machine:mch_d", ActorKind.MACHINE, (Grant("grt_d", Role.DEVELOPER),))
BALLOT = Ballot(DIGEST, (Vote(CY, DIGEST, is_for=True), Vote(CZ, DIGEST, is_for=True)), NOW)


class Trail:
    """Writes entries as the gate does, and can be told to write them wrongly."""

    def __init__(self, expected: str = "") -> None:
        self.oversight, self.count, self.found = Oversight(expected), 0, list[str]()

    def write(
        self,
        actor: Actor,
        action: Permission,
        outcome: Outcome,
        *,
        object: str = "authority:sub",
        resource: Resource = SUB_CA,
        ballot: Ballot = NO_BALLOT,
        of: str = "",
        effect: Mapping[str, Any] | None = None,
        policy: Policy = PRODUCTION,
        at: datetime = NOW,
        decided_at: datetime | None = None,
        after: bytes = b"",
        change: Mapping[str, Any] | None = None,
        **detail: str,
    ) -> str:
        id = f"aud_{self.count:026}"
        decided = decided_at or at
        judgement = Judgement(decide(actor, action, resource, decided, policy, ballot), resource, policy.id, decided, ballot)
        act = Act(actor, action, object, "test", detail=detail)
        entry = assemble_entry(
            AuditId(id),
            at,
            act,
            outcome,
            judgement=None if of else judgement,
            of=AuditId(of) if of else None,
            effect=Effect(effect, after_sha256=after),
        )
        body = {**json.loads(entry.body), **(change or {})}
        self.read(canonical_json.encode({name: value for name, value in body.items() if value != "-"}))
        return id

    def read(self, octets: bytes) -> None:
        self.found += [finding.code.removeprefix("monitor.") for finding in self.oversight.read(self.count, octets)]
        self.count += 1

    def vote(self, voter: Actor, vote: str = "for") -> None:
        self.write(voter, Permission.CA_CERTIFICATE_APPROVE, Outcome.DONE, object="proposal:p", vote=vote, digest=f"sha256:{DIGEST.hex()}")

    def make_sub_ca(self, ballot: Ballot = BALLOT, **change: Any) -> str:
        given: dict[str, Any] = {"effect": EFFECT, "ballot": ballot, **change}
        intent = self.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.INTENT, **given)
        self.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.DONE, of=intent, after=b"\x01" * 32)
        return intent


def story(expected: str = "") -> Trail:
    trail = Trail(expected)
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.PENDING)
    trail.vote(CY)
    trail.vote(CZ)
    return trail


def test_an_honest_story_has_no_findings() -> None:
    trail = story(PRODUCTION.id)
    trail.make_sub_ca()
    assert trail.found == []
    assert trail.oversight.find_overdue(NOW + timedelta(days=1)) == []


def test_what_an_upgrade_took_in_is_not_judged_and_may_stand_at_the_beginning_only() -> None:
    old = canonical_json.encode({"v": 1, "id": "aud_1", "role": "operator", "decision": {"via": "*:*:*"}, "outcome": "done"})
    trail = Trail()
    assert trail.oversight.read(0, old) == []
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.PENDING)
    assert [finding.code for finding in trail.oversight.read(2, old)] == ["monitor.entry.malformed"]


def test_the_vote_of_somebody_who_never_voted_is_found() -> None:
    trail = Trail()
    trail.vote(CY)
    trail.make_sub_ca()
    assert trail.found == ["vote.unrecorded"]


def test_a_vote_against_that_the_ballot_left_out_is_found() -> None:
    trail = story()
    trail.vote(person("eve", Role.CA_OFFICER), "against")
    trail.make_sub_ca()
    assert trail.found == ["vote.against"]


def test_the_votes_on_one_proposal_make_one_authority() -> None:
    trail = story()
    trail.make_sub_ca()
    trail.make_sub_ca()
    assert trail.found == ["proposal.reused"]


def test_an_authority_that_one_person_made_is_found_whatever_the_entry_says() -> None:
    trail = Trail()
    alone = {"decision": {"allow": "grt_ann sub-ca per_ann,per_cy,per_cz"}}
    judged = _judgement(ANN, Permission.CA_AUTHORITY_CREATE, SUB_CA)
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.INTENT, effect=EFFECT, change={"judgement": {**judged, **alone}})
    assert trail.found == ["decision.differs", "authority.alone"]


def test_a_refused_act_that_took_effect_is_found() -> None:
    trail = Trail()
    trail.write(CY, Permission.CA_AUTHORITY_CREATE, Outcome.DONE, change={"of": "-"})
    assert trail.found == ["decision.not_allowed"]


def test_an_effect_without_any_decision_is_found() -> None:
    trail = Trail()
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.DONE, change={"judgement": "-"})
    assert trail.found == ["decision.missing"]


def test_a_certificate_of_another_profile_or_issuer_than_was_decided_is_found() -> None:
    trail = story()
    trail.make_sub_ca(effect={**EFFECT, "profile": "sub/manufacturer", "issuer": "manufacturer-root"})
    assert trail.found == ["certificate.other", "certificate.other"]


def test_a_certificate_that_nothing_announced_is_found() -> None:
    trail = Trail()
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.DONE, of="aud_none", after=b"\x01" * 32)
    resource = Resource(party="acme", profile="backend/tls-server")
    trail.write(DEVELOPER, Permission.CERTIFICATE_ISSUE, Outcome.DONE, object="certificate:crt_1", resource=resource, policy=DEVELOPMENT)
    assert trail.found == ["intent.unknown", "intent.missing"]


def test_an_intent_is_followed_once_and_by_its_own_actor() -> None:
    trail = story()
    intent = trail.make_sub_ca()
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.DONE, of=intent, after=b"\x02" * 32)
    other = trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.INTENT, effect=EFFECT, ballot=BALLOT)
    trail.write(CY, Permission.CA_AUTHORITY_CREATE, Outcome.BROKEN, of=other)
    assert trail.found == ["intent.unknown", "intent.other"]


def test_an_intent_without_an_end_is_overdue_after_five_minutes_and_closed_by_the_next_start() -> None:
    trail = story()
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.INTENT, effect=EFFECT, ballot=BALLOT)
    assert trail.oversight.find_overdue(NOW + timedelta(minutes=5)) == []
    (late,) = trail.oversight.find_overdue(NOW + timedelta(minutes=5, seconds=1))
    assert late.code == "monitor.intent.open"
    assert "authority:sub" in late.message
    assert trail.oversight.find_overdue() == []  # a copy that ends here
    review = {"object": "intent:int_1", "resource": Resource(), "policy": DEVELOPMENT}
    trail.write(DEVELOPER, Permission.SYSTEM_INTENT_REVIEW, Outcome.BROKEN, **review)
    assert trail.oversight.find_overdue(NOW + timedelta(days=1)) == []


def test_a_platform_in_production_never_decides_as_a_development_platform_again() -> None:
    trail = Trail()
    trail.write(DEVELOPER, Permission.ACCESS_PARTY_WRITE, Outcome.DONE, object="party:a", resource=Resource(), policy=DEVELOPMENT)
    assert trail.found == []
    trail.vote(CY)
    trail.write(DEVELOPER, Permission.ACCESS_PARTY_WRITE, Outcome.DONE, object="party:b", resource=Resource(), policy=DEVELOPMENT)
    assert trail.found == ["policy.weakened"]
    strict = Trail(PRODUCTION.id)
    strict.write(DEVELOPER, Permission.ACCESS_PARTY_WRITE, Outcome.DONE, object="party:a", resource=Resource(), policy=DEVELOPMENT)
    assert strict.found == ["policy.other"]


def test_a_name_outside_the_partys_name_spaces_is_found_even_when_it_was_allowed() -> None:
    trail = Trail()
    spaces, names = frozenset({parse_name_space("dns:acme.example")}), (parse_scoped_name("dns:evil.example"),)
    resource = Resource(party="acme", profile="backend/tls-server", names=names, spaces=spaces)
    judged = _judgement(DEVELOPER, Permission.ACCESS_PARTY_WRITE, resource, DEVELOPMENT)
    change = {"judgement": {**judged, "decision": {"allow": "grt_d"}}}
    trail.write(DEVELOPER, Permission.ACCESS_PARTY_WRITE, Outcome.DONE, resource=resource, policy=DEVELOPMENT, change=change)
    assert trail.found == ["decision.differs", "name.outside"]


def test_a_decision_of_another_day_is_found_and_so_is_a_clock_that_goes_back() -> None:
    trail = Trail()
    trail.write(CY, Permission.CA_CERTIFICATE_APPROVE, Outcome.DONE, at=NOW, decided_at=NOW - timedelta(days=1))
    trail.write(CY, Permission.CA_CERTIFICATE_APPROVE, Outcome.DONE, at=NOW - timedelta(minutes=6))
    assert trail.found == ["time.dated", "time.backwards"]


def test_an_entry_about_one_actor_with_the_decision_about_another_is_found() -> None:
    trail = Trail()
    judged = _judgement(CY, Permission.CA_CERTIFICATE_APPROVE, SUB_CA)
    trail.write(CZ, Permission.CA_CERTIFICATE_APPROVE, Outcome.DONE, change={"judgement": judged})
    assert trail.found == ["actor.other"]


def test_a_standing_approval_that_nobody_made_is_found() -> None:
    from chargepki.core.access.model import StandingApproval

    resource = Resource(party="acme", profile="ocpp/station", key="ec-p256")
    approval = StandingApproval(
        "sta_1", "acme", frozenset({"ocpp/station"}), frozenset(), frozenset({"ec-p256"}), 9, NOW + timedelta(days=1)
    )
    csms = Actor("machine:mch_1", ActorKind.MACHINE, (Grant("grt_1", Role.CSMS),), assurance=Assurance.HARDWARE)
    effect = {"intent": "int_1", "serial": "1", "tbs_sha256": "aa", "profile": "ocpp/station"}
    trail = Trail()
    given: dict[str, Any] = {"resource": resource, "ballot": Ballot(standing=(approval,)), "effect": effect}
    trail.write(csms, Permission.CERTIFICATE_ISSUE, Outcome.INTENT, **given)
    made = {"object": "standing:sta_1", "resource": Resource(party="acme"), "policy": DEVELOPMENT}
    known = Trail()
    known.write(DEVELOPER, Permission.APPROVAL_STANDING_PROPOSE, Outcome.DONE, **made)
    known.write(csms, Permission.CERTIFICATE_ISSUE, Outcome.INTENT, **given)
    assert (trail.found, known.found) == (["standing.unrecorded"], [])


@pytest.mark.parametrize("octets", [b"", b"{}", b"[" * 50_000, b'{"v":2}', b'{"v": 2}', b"\xff", b'{"v":1}'])
def test_what_is_no_entry_is_a_finding_and_never_an_error(octets: bytes) -> None:
    trail = Trail()
    trail.read(octets)
    assert trail.found == ["entry.malformed"]


def test_findings_name_the_entry_and_its_id() -> None:
    oversight = Oversight()
    (finding,) = oversight.read(7, b"{}")
    assert finding.message.startswith("entry 7:")
    trail = Trail()
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.DONE, change={"judgement": "-"})
    assert trail.count == 1


def test_what_was_learnt_is_written_down_and_taken_up_again() -> None:
    trail = story()
    trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.INTENT, effect=EFFECT, ballot=BALLOT)
    written = json.loads(canonical_json.encode(encode_oversight(trail.oversight)))
    assert decode_oversight(written) == trail.oversight
    for broken in ({}, {**written, "intents": 3}, {**written, "votes": {"x": 1}}, {**written, "latest": "never"}):
        with pytest.raises(ValueError, match="monitor"):
            decode_oversight(broken)


def test_a_leaf_is_read_in_its_one_spelling_only() -> None:
    entry = assemble_entry(
        AuditId("aud_00000000000000000000000001"), NOW, Act(ANN, Permission.CA_AUTHORITY_CREATE, "x"), Outcome.REFUSED, judgement=None
    )
    assert parse_leaf(entry.body).id == entry.id == find_id(entry.body) == find_id(entry.body[:-9] + b"\xff")
    trail = Trail()
    trail.read(entry.body.replace(b'":', b'": ', 1))
    assert trail.found == ["entry.malformed"]


def _judgement(actor: Actor, action: Permission, resource: Resource, policy: Policy = PRODUCTION) -> Any:
    from chargepki.core.audit import encode_judgement

    decision = decide(actor, action, resource, NOW, policy)
    value = encode_judgement(Act(actor, action, ""), Judgement(decision, resource, policy.id, NOW))
    return json.loads(canonical_json.encode(value))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepki.core.oversight.INTENTS_MAX", 3)
    trail = story()
    for _ in range(5):
        trail.write(ANN, Permission.CA_AUTHORITY_CREATE, Outcome.INTENT, effect=EFFECT, ballot=replace(BALLOT))
    assert len(trail.oversight.intents) == 3
