"""Quorums: how many different people an act takes, and which words count."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chargepki.core.access.decide import find_rule
from chargepki.core.access.model import (
    Actor,
    Allow,
    Assurance,
    Ballot,
    Decision,
    Deny,
    NeedsApproval,
    Resource,
    Role,
    Scope,
    Seat,
    StandingApproval,
    Vote,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.access.quorum import VOTES_MAX, match_seats
from chargepki.core.identifiers.name_spaces import station_serial
from tests.unit.core.access.people import (
    ACME_SPACES,
    AT_ACME,
    LATER,
    NOW,
    STATION,
    ballot,
    judged,
    machine,
    person,
)

P = Permission
SUB_CA = Resource(authority="operator-sub-2", profile="sub/operator")
ADMIN = person("adm", Role.ADMINISTRATOR)
CAO_1, CAO_2, CAO_3 = (person(f"cao{n}", Role.CA_OFFICER) for n in range(3))
PROPOSE = P.CA_AUTHORITY_CREATE


def missing(decision: Decision) -> tuple[Seat, ...]:
    assert isinstance(decision, NeedsApproval), decision
    return decision.missing


def codes(decision: Decision) -> list[str]:
    assert isinstance(decision, Deny), decision
    return [code for code, _ in decision.reasons]


@pytest.mark.clause("EN 319 411-1 GEN-6.4.3-02")
def test_a_sub_ca_takes_three_people() -> None:
    assert missing(judged(ADMIN, PROPOSE, SUB_CA)) == (Seat(P.CA_CERTIFICATE_APPROVE, 2),)
    two = judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1))
    assert missing(two) == (Seat(P.CA_CERTIFICATE_APPROVE, 1),)
    assert isinstance(two, NeedsApproval)
    assert two.filled == ((PROPOSE, "per_adm"), (P.CA_CERTIFICATE_APPROVE, "per_cao0"))
    assert judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, CAO_2)) == Allow("grt_adm_administrator sub-ca per_adm,per_cao0,per_cao1")


def test_one_person_with_two_accounts_fills_one_seat() -> None:
    again = person("cao0", Role.CA_OFFICER, account="cao0-second")
    assert missing(judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, again))) == (Seat(P.CA_CERTIFICATE_APPROVE, 1),)


def test_a_vote_said_twice_is_one_vote() -> None:
    assert missing(judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, CAO_1))) == (Seat(P.CA_CERTIFICATE_APPROVE, 1),)


def test_the_proposer_does_not_approve_with_a_second_account() -> None:
    second = replace(person("adm", Role.CA_OFFICER, account="adm-2"), grants=CAO_1.grants)
    assert isinstance(judged(ADMIN, PROPOSE, SUB_CA, ballot(second, CAO_2)), NeedsApproval)


def test_one_vote_against_stops_it() -> None:
    assert codes(judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, CAO_2, against=(CAO_3,)))) == ["access.vote.against"]


def test_who_changes_their_mind_to_no_said_no() -> None:
    assert codes(judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, CAO_2, against=(CAO_2,)))) == ["access.vote.against"]


def test_a_vote_against_from_somebody_without_a_seat_stops_nothing() -> None:
    stranger = person("ann", Role.REQUESTER, scope=AT_ACME)
    assert isinstance(judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, CAO_2, against=(stranger,))), Allow)


def test_a_vote_for_other_bytes_does_not_count() -> None:
    edited = Ballot(b"\x22" * 32, ballot(CAO_1, CAO_2).votes, NOW)
    assert missing(judged(ADMIN, PROPOSE, SUB_CA, edited)) == (Seat(P.CA_CERTIFICATE_APPROVE, 2),)


def test_a_ballot_without_a_digest_has_no_votes() -> None:
    blank = Ballot(b"", tuple(Vote(voter, b"", True) for voter in (CAO_1, CAO_2)), NOW)
    assert missing(judged(ADMIN, PROPOSE, SUB_CA, blank)) == (Seat(P.CA_CERTIFICATE_APPROVE, 2),)


@pytest.mark.parametrize(
    "voter",
    [
        replace(CAO_2, grants=tuple(replace(held, until=NOW) for held in CAO_2.grants)),
        person("cao1", Role.CA_OFFICER, scope=Scope(authorities=frozenset({"another"}))),
        person("cao1", Role.CA_OFFICER, Role.AUDITOR),
        replace(CAO_2, other_roles=frozenset({Role.ADMINISTRATOR})),
        replace(CAO_2, assurance=Assurance.TOKEN),
        replace(CAO_2, person=""),
        person("cao1", Role.REGISTRATION_OFFICER),
    ],
    ids=["ended", "scope", "conflict", "conflict elsewhere", "password alone", "no person", "other role"],
)
def test_a_voter_is_judged_as_they_are_now(voter: Actor) -> None:
    assert missing(judged(ADMIN, PROPOSE, SUB_CA, ballot(CAO_1, voter))) == (Seat(P.CA_CERTIFICATE_APPROVE, 1),)


def test_a_root_is_made_in_a_ceremony_by_seven() -> None:
    people = (
        person("sec", Role.SECURITY_OFFICER),
        person("cer", Role.CEREMONY_ADMINISTRATOR),
        *(person(f"cus{n}", Role.KEY_CUSTODIAN) for n in range(3)),
        *(person(f"wit{n}", Role.WITNESS) for n in range(2)),
    )
    root = Resource(authority="root-2026", profile="root/operator")
    assert isinstance(judged(ADMIN, PROPOSE, root, ballot(*people)), Allow)
    assert isinstance(judged(people[2], P.CA_KEY_GENERATE, root, ballot(*people)), Allow)
    for absent in range(len(people)):
        some = ballot(*people[:absent], *people[absent + 1 :])
        assert isinstance(judged(ADMIN, PROPOSE, root, some), NeedsApproval)
    assert isinstance(judged(ADMIN, PROPOSE, root, ballot(CAO_1, CAO_2)), NeedsApproval)


def test_a_profile_that_widens_needs_both_officers_and_a_night() -> None:
    sec, other_sec = person("sec", Role.SECURITY_OFFICER), person("sec2", Role.SECURITY_OFFICER)
    profile = Resource(profile="ocpp/station")
    only_sec = judged(ADMIN, P.PROFILE_DEFINITION_PROPOSE, profile, ballot(sec, other_sec))
    assert missing(only_sec) == (Seat(P.PROFILE_DEFINITION_ACTIVATE, 1, frozenset({Role.CA_OFFICER})),)
    early = judged(ADMIN, P.PROFILE_DEFINITION_PROPOSE, profile, ballot(sec, CAO_1))
    assert isinstance(early, NeedsApproval)
    assert (early.missing, early.not_before) == ((), NOW + timedelta(hours=24))
    assert isinstance(judged(ADMIN, P.PROFILE_DEFINITION_PROPOSE, profile, ballot(sec, CAO_1), now=NOW + timedelta(hours=24)), Allow)


def test_a_profile_that_only_narrows_needs_one_other() -> None:
    profile = Resource(profile="ocpp/station", count=0)
    assert isinstance(judged(ADMIN, P.PROFILE_DEFINITION_PROPOSE, profile, ballot(CAO_1)), Allow)


def test_waiting_cannot_be_skipped_by_not_saying_when_it_began() -> None:
    sec = person("sec", Role.SECURITY_OFFICER)
    decision = judged(ADMIN, P.PROFILE_DEFINITION_PROPOSE, Resource(), ballot(sec, CAO_1, opened_at=None))
    assert isinstance(decision, NeedsApproval)


def test_a_vote_closes() -> None:
    votes = ballot(CAO_1, CAO_2)
    assert isinstance(judged(ADMIN, PROPOSE, SUB_CA, votes, now=NOW + timedelta(hours=71)), Allow)
    assert codes(judged(ADMIN, PROPOSE, SUB_CA, votes, now=NOW + timedelta(hours=72))) == ["access.vote.closed"]


def test_trusted_roles_need_the_security_officer_and_party_roles_do_not() -> None:
    sec = person("sec", Role.SECURITY_OFFICER)
    officer = Resource(role=Role.CA_OFFICER)
    assert missing(judged(ADMIN, P.ACCESS_GRANT_PROPOSE, officer)) == (Seat(P.ACCESS_GRANT_APPROVE),)
    assert isinstance(judged(ADMIN, P.ACCESS_GRANT_PROPOSE, officer, ballot(sec)), Allow)
    assert isinstance(judged(ADMIN, P.ACCESS_GRANT_PROPOSE, Resource("acme", role=Role.REQUESTER)), Allow)
    assert isinstance(judged(ADMIN, P.ACCESS_GRANT_PROPOSE, Resource(role="")), NeedsApproval)  # a role nobody knows


def test_nobody_votes_on_their_own_grant() -> None:
    sec = person("sec", Role.SECURITY_OFFICER)
    own = Resource(role=Role.CA_OFFICER, subject="per_sec")
    assert missing(judged(ADMIN, P.ACCESS_GRANT_PROPOSE, own, ballot(sec))) == (Seat(P.ACCESS_GRANT_APPROVE),)
    assert codes(judged(ADMIN, P.ACCESS_GRANT_PROPOSE, replace(own, subject="per_adm"), ballot(sec))) == ["access.seat.none"]


def test_a_party_s_administrator_proposes_no_officer() -> None:
    admin = person("ann", Role.PARTY_ADMIN, scope=AT_ACME)
    assert isinstance(judged(admin, P.ACCESS_GRANT_PROPOSE, Resource("acme", role=Role.REQUESTER)), Allow)
    assert codes(judged(admin, P.ACCESS_GRANT_PROPOSE, Resource("acme", role=Role.CA_OFFICER))) == ["access.seat.none"]


def test_a_name_space_takes_two_registration_officers_and_a_rename_none() -> None:
    regs = [person(f"reg{n}", Role.REGISTRATION_OFFICER) for n in range(2)]
    assert isinstance(judged(ADMIN, P.ACCESS_PARTY_WRITE, Resource("acme", count=1), ballot(regs[0])), NeedsApproval)
    assert isinstance(judged(ADMIN, P.ACCESS_PARTY_WRITE, Resource("acme", count=2), ballot(*regs)), Allow)
    assert isinstance(judged(ADMIN, P.ACCESS_PARTY_WRITE, Resource("acme", count=0)), Allow)


@pytest.mark.parametrize(
    ("permission", "role"), [(P.REVOCATION_BULK_PROPOSE, Role.REVOCATION_OFFICER), (P.REGISTRATION_BATCH_CREATE, Role.OPERATOR)]
)
def test_a_hundred_at_once_alone_and_more_with_two_others(permission: Permission, role: Role) -> None:
    ann = person("ann", role)
    assert isinstance(judged(ann, permission, Resource(count=100)), Allow)
    assert [seat.count for seat in missing(judged(ann, permission, Resource(count=101)))] == [2]


def test_an_order_of_nothing_is_not_free() -> None:
    assert isinstance(judged(machine(Role.CSMS), P.CERTIFICATE_ISSUE, replace(STATION, count=0)), NeedsApproval)


def test_firmware_takes_two_ca_officers_and_no_standing_approval() -> None:
    firmware = Resource("acme", profile="firmware/signer", key="ecdsa-p256")
    ann = person("ann", Role.REQUESTER, scope=AT_ACME)
    standing = Ballot(standing=(_standing(profiles=frozenset({"firmware/signer"})),))
    assert missing(judged(ann, P.CERTIFICATE_ISSUE, firmware, standing)) == (Seat(P.FIRMWARE_IMAGE_APPROVE, 2),)
    assert isinstance(judged(ann, P.CERTIFICATE_ISSUE, firmware, ballot(CAO_1, CAO_2)), Allow)


def _standing(**changes: object) -> StandingApproval:
    usual = StandingApproval("sta_1", "acme", frozenset({"ocpp/station"}), ACME_SPACES, frozenset({"ecdsa-p256"}), 100, LATER, 0)
    return replace(usual, **changes)  # type: ignore[arg-type]


def test_a_standing_approval_lets_a_machine_work() -> None:
    decision = judged(machine(Role.CSMS), P.CERTIFICATE_ISSUE, STATION, Ballot(standing=(_standing(),)))
    assert decision == Allow("grt_csms standing sta_1", "sta_1")


@pytest.mark.parametrize(
    "changes",
    [
        {"party": "other"},
        {"profiles": frozenset({"ocpp/csms-server"})},
        {"names": frozenset()},
        {"keys": frozenset({"ecdsa-p384"})},
        {"used": 100},
        {"until": NOW},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_outside_any_of_its_bounds_a_standing_approval_stands_for_nothing(changes: dict[str, object]) -> None:
    decision = judged(machine(Role.CSMS), P.CERTIFICATE_ISSUE, STATION, Ballot(standing=(_standing(**changes),)))
    assert missing(decision) == (Seat(P.CERTIFICATE_REQUEST_APPROVE),)


def test_a_standing_approval_covers_every_name_or_nothing() -> None:
    two = replace(STATION, names=(*STATION.names, station_serial("BETA-1")), spaces=None)
    assert isinstance(judged(machine(Role.CSMS), P.CERTIFICATE_ISSUE, two, Ballot(standing=(_standing(),))), NeedsApproval)


def test_a_standing_approval_does_not_ask_by_itself() -> None:
    ann = person("ann", Role.REVOCATION_OFFICER)
    assert isinstance(judged(ann, P.CERTIFICATE_ISSUE, STATION, Ballot(standing=(_standing(),))), Deny)


def test_a_machine_asks_and_a_person_approves() -> None:
    approver = person("ann", Role.APPROVER, scope=AT_ACME)
    assert isinstance(judged(machine(Role.CSMS), P.CERTIFICATE_ISSUE, STATION, ballot(approver)), Allow)


def test_a_machine_takes_no_seat_where_people_are_asked_for() -> None:
    line = machine(Role.FACTORY_LINE)
    assert isinstance(judged(line, P.CERTIFICATE_ISSUE, STATION), NeedsApproval)  # where standing approvals work, it may ask
    assert codes(judged(line, P.CERTIFICATE_ISSUE, replace(STATION, count=101))) == ["access.seat.none"]


def test_an_emergency_hold_is_one_person_s() -> None:
    for role in (Role.SECURITY_OFFICER, Role.CA_OFFICER, Role.REVOCATION_OFFICER):
        assert isinstance(judged(person("ann", role), P.REVOCATION_EMERGENCY_SUSPEND, STATION), Allow)


def test_it_lasts_when_two_others_say_so_and_its_maker_is_none_of_them() -> None:
    held = replace(STATION, subject="per_carl")
    carl, cora, rune = person("carl", Role.CA_OFFICER), person("cora", Role.CA_OFFICER), person("rune", Role.REVOCATION_OFFICER)
    confirm = P.REVOCATION_EMERGENCY_CONFIRM
    assert isinstance(judged(carl, confirm, held, ballot(cora)), NeedsApproval)
    assert isinstance(judged(carl, confirm, held, ballot(cora, rune)), Allow)
    assert isinstance(judged(cora, confirm, held, ballot(rune)), Allow)
    assert isinstance(judged(cora, confirm, held, ballot(carl)), NeedsApproval)


def test_a_stuffed_ballot_is_refused_whole() -> None:
    crowd = ballot(*(person(f"cao{n}", Role.CA_OFFICER) for n in range(VOTES_MAX + 1)))
    assert codes(judged(ADMIN, PROPOSE, SUB_CA, crowd)) == ["access.vote.many"]


def test_development_asks_nobody_else() -> None:
    assert find_rule(PROPOSE, SUB_CA, DEVELOPMENT) is None
    assert isinstance(judged(ADMIN, PROPOSE, SUB_CA, policy=DEVELOPMENT), Allow)


def test_seats_are_filled_even_when_the_first_choice_was_wrong() -> None:
    assert match_seats(2, {"a": {0, 1}, "b": {0}}) == {1: "a", 0: "b"}
    assert match_seats(3, {"a": {0, 1, 2}, "b": {0, 1}, "c": {0}}) == {0: "c", 1: "b", 2: "a"}
    assert match_seats(2, {"a": {0}, "b": {0}}) == {0: "a"}


def test_a_rule_is_found_by_the_narrowest() -> None:
    found = {
        profile: rule.id
        for profile in ("root/operator", "sub/operator", "")
        if (rule := find_rule(PROPOSE, Resource(profile=profile), PRODUCTION)) is not None
    }
    assert found == {"root/operator": "root", "sub/operator": "sub-ca", "": "sub-ca"}
