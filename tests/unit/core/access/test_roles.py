"""The tables: every permission has a holder, every seat somebody, and nobody judges their own proposal."""

from datetime import timedelta
from itertools import combinations

import pytest

from chargepki.core.access.conflicts import CEREMONY_ROLES, CONFLICTS, PARTY_ROLES, PLATFORM_ROLES
from chargepki.core.access.model import EVERYWHERE, ActorKind, Assurance, Plane, Role
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, POLICIES, PRODUCTION, people_needed
from chargepki.core.access.roles import ROLES, find_conflicts, find_grant_faults, may_hold
from chargepki.core.access.staffing import find_staffing_faults, holders_of, smallest_head_count
from tests.unit.core.access.people import AT_ACME, LATER, NOW

P = Permission
SMALLEST = {
    "anna": frozenset({Role.ADMINISTRATOR, Role.OPERATOR, Role.CEREMONY_ADMINISTRATOR}),
    "bert": frozenset({Role.SECURITY_OFFICER, Role.CA_OFFICER, Role.REGISTRATION_OFFICER, Role.REVOCATION_OFFICER}),
    "cora": frozenset({Role.KEY_CUSTODIAN, Role.CA_OFFICER, Role.REGISTRATION_OFFICER, Role.REVOCATION_OFFICER}),
    "dirk": frozenset({Role.KEY_CUSTODIAN}),
    "emma": frozenset({Role.KEY_CUSTODIAN, Role.REVOCATION_OFFICER}),
    "finn": frozenset({Role.WITNESS, Role.OPERATOR}),
    "gina": frozenset({Role.WITNESS, Role.AUDITOR}),
}


def test_every_role_is_defined_once() -> None:
    assert set(ROLES) == set(Role)
    assert all(definition.role is role for role, definition in ROLES.items())


@pytest.mark.parametrize("permission", P)
def test_every_permission_has_a_holder_besides_the_developer(permission: Permission) -> None:
    assert any(permission in d.permissions for role, d in ROLES.items() if role is not Role.DEVELOPER)


def test_no_role_but_the_developer_may_do_everything() -> None:
    assert [role for role, definition in ROLES.items() if definition.permissions == set(P)] == [Role.DEVELOPER]


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.DEVELOPER}))
def test_no_role_proposes_and_approves_the_same_but_bulk_revocation(role: Role) -> None:
    for rule in PRODUCTION.rules:
        held = {seat.permission for seat in rule.seats} & ROLES[role].permissions
        assert len(held) <= 1 or (rule.id, role) == ("bulk-revocation", Role.REVOCATION_OFFICER)


@pytest.mark.parametrize("seat", sorted({seat for rule in PRODUCTION.rules for seat in rule.seats}, key=str), ids=str)
def test_every_seat_can_be_filled_by_a_person(seat: object) -> None:
    assert holders_of(seat)  # type: ignore[arg-type]


def test_the_platform_s_roles_keep_to_the_planes_of_the_conflicts() -> None:
    def plane(wanted: Plane) -> set[Role]:
        return {role for role, definition in ROLES.items() if definition.plane is wanted}

    assert (plane(Plane.PLATFORM), plane(Plane.CEREMONY), plane(Plane.PARTY)) == (PLATFORM_ROLES, CEREMONY_ROLES, PARTY_ROLES)


def test_only_the_auditors_read_the_log() -> None:
    assert {r for r, d in ROLES.items() if P.AUDIT_ENTRY_READ in d.permissions} == {Role.AUDITOR, Role.PARTY_AUDITOR, Role.DEVELOPER}


def test_an_auditor_changes_nothing() -> None:
    assert {p for p in ROLES[Role.AUDITOR].permissions if not p.endswith(":read")} == {P.AUDIT_EXPORT_CREATE, P.AUDIT_REVIEW_SIGN}
    assert all(p.endswith(":read") for p in ROLES[Role.PARTY_AUDITOR].permissions)


@pytest.mark.clause("CIMC FMT_SMR.2.3")
@pytest.mark.parametrize("officer", [Role.CA_OFFICER, Role.REGISTRATION_OFFICER, Role.REVOCATION_OFFICER])
def test_administrator_officer_and_auditor_are_three(officer: Role) -> None:
    for one, other in combinations((Role.ADMINISTRATOR, officer, Role.AUDITOR), 2):
        assert find_conflicts({one, other})


def test_conflicts_are_told_in_one_order_and_only_where_they_are() -> None:
    roles = [Role.AUDITOR, Role.ADMINISTRATOR, Role.WITNESS]
    assert find_conflicts(roles) == find_conflicts(reversed(roles)) == ((Role.ADMINISTRATOR, Role.AUDITOR),)
    assert all(len(pair) == 2 for pair in CONFLICTS)
    assert not any(Role.DEVELOPER in pair for pair in CONFLICTS)


def test_three_people_hold_all_offices() -> None:
    hands = [
        {Role.ADMINISTRATOR, Role.OPERATOR, Role.CEREMONY_ADMINISTRATOR},
        {Role.SECURITY_OFFICER, Role.CA_OFFICER, Role.REGISTRATION_OFFICER, Role.REVOCATION_OFFICER, Role.KEY_CUSTODIAN},
        {Role.AUDITOR, Role.WITNESS},
    ]
    assert set().union(*hands) == PLATFORM_ROLES | CEREMONY_ROLES
    assert not any(map(find_conflicts, hands))


def test_seven_people_are_enough_and_six_are_not() -> None:
    assert find_staffing_faults(PRODUCTION, SMALLEST) == ()
    assert smallest_head_count(PRODUCTION) == 7
    for absent in SMALLEST:
        assert any(fault.is_error for fault in find_staffing_faults(PRODUCTION, {p: r for p, r in SMALLEST.items() if p != absent}))


def test_what_is_wrong_with_a_staff_is_said_in_words() -> None:
    faults = find_staffing_faults(
        PRODUCTION, {**SMALLEST, "gina": frozenset({Role.WITNESS, Role.KEY_CUSTODIAN}), "csms": frozenset({Role.CSMS})}
    )
    said = {fault.code: fault.message for fault in faults}
    assert said["access.conflict"] == "gina cannot be key-custodian and witness at once"
    assert said["access.staff.role"] == "csms cannot be csms: it is no office of a person"
    assert "nobody is auditor" in said["access.staff.office"]
    assert "ceremony:transcript:witness" in said["access.staff.quorum"]
    few = find_staffing_faults(PRODUCTION, {"anna": SMALLEST["anna"]})
    assert few[0].message == "1 person is named; root-key, root, key-destroy needs 7 at once"


def test_a_development_platform_needs_one_person() -> None:
    assert find_staffing_faults(DEVELOPMENT, {"anna": frozenset({Role.ADMINISTRATOR})}) == ()


def test_the_quorums_are_those_of_the_governance_table() -> None:
    assert people_needed(PRODUCTION) == {
        "root-key": 7,
        "root": 7,
        "key-restore": 6,
        "key-destroy": 7,
        "sub-ca": 3,
        "profile-widen": 3,
        "profile-narrow": 2,
        "trusted-role": 2,
        "party-role": 2,
        "name-space": 3,
        "standing-approval": 3,
        "certificate": 2,
        "certificate-bulk": 3,
        "factory-batch": 3,
        "bulk-revocation": 3,
        "authority-revocation": 3,
        "emergency-hold": 2,
        "firmware": 3,
        "backup-restore": 3,
    }
    assert {rule.id: rule.cool_down_hours for rule in PRODUCTION.rules if rule.cool_down_hours} == {"key-destroy": 72, "profile-widen": 24}


def test_a_rule_waits_no_longer_than_it_is_open() -> None:
    assert all(rule.cool_down_hours < rule.open_hours for rule in PRODUCTION.rules)


def test_a_proposer_can_take_a_seat_wherever_there_is_one_for_proposers() -> None:
    for rule in PRODUCTION.rules:
        assert any(rule.permission in ROLES[role].permissions for role in Role)


def test_reading_and_signing_in_ask_for_a_password_and_everything_else_for_a_second_factor() -> None:
    assert set(PRODUCTION.assurance) == set(P)
    for permission, asked in PRODUCTION.assurance.items():
        assert (asked is Assurance.TOKEN) == (permission.endswith(":read") or permission is P.ACCESS_SESSION_CREATE)


def test_policies_are_found_by_their_names() -> None:
    assert POLICIES == {"production-1": PRODUCTION, "development-1": DEVELOPMENT}
    assert DEVELOPMENT.is_development
    assert not PRODUCTION.is_development


def test_a_grant_is_refused_where_it_could_not_work() -> None:
    def codes(kind: ActorKind, role: Role, *held: Role, scope: object = AT_ACME, until: object = LATER) -> set[str]:
        return {fault.code for fault in find_grant_faults(kind, role, scope, until, held)}  # type: ignore[arg-type]

    assert codes(ActorKind.PERSON, Role.REQUESTER, Role.PARTY_ADMIN) == set()
    assert codes(ActorKind.PERSON, Role.REQUESTER, Role.APPROVER) == {"access.conflict"}
    assert codes(ActorKind.PERSON, Role.REQUESTER, scope=EVERYWHERE) == {"access.grant.party"}
    assert codes(ActorKind.PERSON, Role.AUDITOR, scope=EVERYWHERE) == set()
    assert codes(ActorKind.PERSON, Role.REQUESTER, until=None) == {"access.grant.endless"}
    assert codes(ActorKind.PERSON, Role.REQUESTER, until=NOW + timedelta(days=1)) == set()
    assert codes(ActorKind.MACHINE, Role.CA_OFFICER) == {"access.grant.holder"}
    assert codes(ActorKind.MACHINE, Role.CSMS, Role.MONITOR) == {"access.machine.roles"}
    assert codes(ActorKind.MACHINE, Role.CSMS, Role.CSMS) == set()


def test_a_machine_role_is_for_machines_and_an_office_for_people() -> None:
    for role, definition in ROLES.items():
        if role in (Role.PLATFORM, Role.DEVELOPER):
            continue
        assert may_hold(ActorKind.PERSON, role) == (definition.plane is not Plane.MACHINE)
        assert may_hold(ActorKind.MACHINE, role) == (definition.plane is Plane.MACHINE)
