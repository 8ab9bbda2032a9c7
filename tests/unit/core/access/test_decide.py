"""The gate: who is let through, who is not, and what they are told."""

from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from chargepki.core.access.decide import SYSTEM, held_permissions, may_fill, narrow_grants, visible_parties
from chargepki.core.access.model import (
    EVERYBODY,
    EVERYWHERE,
    PUBLIC_RESOURCE,
    Actor,
    ActorKind,
    Allow,
    Assurance,
    Decision,
    Deny,
    NeedsApproval,
    Policy,
    Resource,
    Role,
    Scope,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.identifiers.name_spaces import dns_name, station_serial
from tests.unit.core.access.people import ACME, AT_ACME, LATER, NOW, STATION, grant, judged, machine, person, spaces

P = Permission
REVOKE = P.CERTIFICATE_REVOKE


def codes(decision: Decision) -> list[str]:
    assert isinstance(decision, Deny), decision
    return [code for code, _ in decision.reasons]


def test_a_role_within_its_scope_is_enough() -> None:
    assert judged(person("ann", Role.REQUESTER, scope=AT_ACME), REVOKE, STATION) == Allow("grt_ann_requester")


def test_who_holds_nothing_is_told_so() -> None:
    assert codes(judged(person("ann"), REVOKE)) == ["access.permission.missing"]


def test_an_unknown_permission_is_refused() -> None:
    assert codes(judged(SYSTEM, cast(Permission, "certificate:object:forge"))) == ["access.permission.unknown"]


@pytest.mark.parametrize("policy", [PRODUCTION, DEVELOPMENT])
@pytest.mark.clause("CIMC FMT_SMR.2.3")
def test_a_conflict_of_duties_bars_from_everything(policy: Policy) -> None:
    both = person("eve", Role.REVOCATION_OFFICER, Role.AUDITOR)
    assert codes(judged(both, P.AUDIT_ENTRY_READ, policy=policy)) == ["access.conflict"]
    assert held_permissions(both, NOW, policy) == frozenset()
    assert visible_parties(both, P.AUDIT_ENTRY_READ, NOW, policy) == frozenset()


def test_a_conflict_counts_through_another_account_of_the_same_person() -> None:
    eve = replace(person("eve", Role.REVOCATION_OFFICER), other_roles=frozenset({Role.AUDITOR}))
    assert codes(judged(eve, REVOKE)) == ["access.conflict"]


def test_the_conflict_is_gone_with_the_grant_that_made_it() -> None:
    eve = person("eve", Role.REVOCATION_OFFICER)
    former = replace(eve, grants=(*eve.grants, grant(Role.AUDITOR, until=NOW)))
    assert isinstance(judged(former, REVOKE), Allow)


def test_the_developer_may_do_everything_on_a_development_platform_and_nothing_elsewhere() -> None:
    developer = machine(Role.DEVELOPER, scope=EVERYWHERE)
    for permission in P:
        assert isinstance(judged(developer, permission, STATION, policy=DEVELOPMENT), Allow)
        assert codes(judged(developer, permission, STATION)) == ["access.role.development"]


def test_a_machine_has_one_role() -> None:
    assert codes(judged(machine(Role.CSMS, Role.MONITOR), REVOKE, STATION)) == ["access.machine.roles"]


def test_an_office_gives_a_machine_nothing_and_a_machine_role_gives_a_person_nothing() -> None:
    assert codes(judged(machine(Role.REVOCATION_OFFICER, scope=EVERYWHERE), REVOKE)) == ["access.permission.missing"]
    assert codes(judged(person("ann", Role.CSMS, scope=AT_ACME), REVOKE, STATION)) == ["access.permission.missing"]


def test_nobody_but_the_system_is_the_platform() -> None:
    assert codes(judged(machine(Role.PLATFORM, scope=EVERYWHERE), P.CERTIFICATE_ISSUE)) == ["access.permission.missing"]


def test_a_password_alone_reads_and_a_second_factor_acts() -> None:
    ann = person("ann", Role.REVOCATION_OFFICER, assurance=Assurance.TOKEN)
    assert isinstance(judged(ann, P.CERTIFICATE_READ), Allow)
    decision = judged(ann, REVOKE)
    assert codes(decision) == ["access.assurance"]
    assert isinstance(decision, Deny)
    assert decision.is_step_up


def test_step_up_is_not_offered_to_who_would_be_refused_all_the_same() -> None:
    decision = judged(person("ann", Role.REQUESTER, scope=AT_ACME, assurance=Assurance.TOKEN), REVOKE, Resource("other"))
    assert codes(decision) == ["access.assurance", "access.scope.party"]
    assert isinstance(decision, Deny)
    assert not decision.is_step_up


def test_a_machine_needs_no_second_factor_but_hardware_where_hardware_is_asked() -> None:
    assert isinstance(judged(machine(Role.CSMS), REVOKE, STATION), Allow)
    strict = replace(PRODUCTION, assurance={**PRODUCTION.assurance, REVOKE: Assurance.HARDWARE})
    assert codes(judged(machine(Role.CSMS), REVOKE, STATION, policy=strict)) == ["access.assurance"]


def test_what_a_policy_forgot_asks_for_hardware() -> None:
    empty = replace(PRODUCTION, assurance={})
    assert codes(judged(person("ann", Role.REVOCATION_OFFICER), P.CERTIFICATE_READ, policy=empty)) == ["access.assurance"]


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        (Scope(parties=frozenset({"other"})), "access.scope.party"),
        (Scope(parties=frozenset()), "access.scope.party"),
        (Scope(authorities=frozenset({"manufacturer-sub"})), "access.scope.authority"),
        (Scope(profiles=frozenset({"backend/tls-server"})), "access.scope.profile"),
        (Scope(names=spaces("station:CS-1")), "access.scope.name"),
        (Scope(names=frozenset()), "access.scope.name"),
    ],
)
def test_every_bound_of_a_scope_holds(scope: Scope, code: str) -> None:
    assert codes(judged(person("ann", Role.REVOCATION_OFFICER, scope=scope), REVOKE, STATION)) == [code]


def test_the_reason_names_what_is_missing_and_what_there_is() -> None:
    scope = Scope(names=spaces("evse-operator:DE*ABC", "dns:acme.example"))
    resource = Resource("acme", names=(*map(dns_name, ("a.acme.example", "a.other.example")),))
    decision = judged(machine(Role.CSMS, scope=scope), REVOKE, resource)
    assert decision == Deny((("access.scope.name", "csms does not cover a.other.example (has: acme.example)"),))


def test_a_party_speaks_for_its_own_names_alone_whoever_acts() -> None:
    foreign = replace(STATION, names=(station_serial("OTHER-1"),))
    assert codes(judged(person("ann", Role.REVOCATION_OFFICER), REVOKE, foreign)) == ["access.space.name"]


def test_a_stranger_does_not_learn_a_party_s_names() -> None:
    foreign = replace(STATION, names=(station_serial("OTHER-1"),))
    assert codes(judged(person("eve", Role.REQUESTER, scope=Scope(parties=frozenset({"eve"}))), REVOKE, foreign)) == ["access.scope.party"]


def test_two_halves_of_a_scope_in_two_grants_do_not_make_a_whole() -> None:
    here = grant(Role.REVOCATION_OFFICER, Scope(parties=ACME, profiles=frozenset({"x"})), id="grt_1")
    there = grant(Role.REVOCATION_OFFICER, Scope(parties=frozenset({"other"}), profiles=frozenset({"ocpp/station"})), id="grt_2")
    ann = Actor("person:ann", ActorKind.PERSON, (here, there), "per_ann", Assurance.MFA)
    assert codes(judged(ann, REVOKE, STATION)) == ["access.scope.party", "access.scope.profile"]


def test_what_belongs_to_everybody_is_seen_by_all_who_hold_the_permission() -> None:
    for actor in (person("ann", Role.REQUESTER, scope=AT_ACME), machine(Role.CSMS)):
        assert isinstance(judged(actor, P.PROFILE_READ, PUBLIC_RESOURCE), Allow)
    assert isinstance(judged(machine(Role.DEVICE), P.PROFILE_READ, PUBLIC_RESOURCE), Deny)


def test_the_platform_s_own_is_no_party_s() -> None:
    assert codes(judged(person("ann", Role.REQUESTER, scope=AT_ACME), REVOKE)) == ["access.scope.party"]


def test_a_grant_ends_at_its_end() -> None:
    ann = person("ann", Role.REVOCATION_OFFICER)
    assert isinstance(judged(ann, REVOKE, now=LATER - timedelta(seconds=1)), Allow)
    assert codes(judged(ann, REVOKE, now=LATER)) == ["access.permission.missing"]


@pytest.mark.parametrize("pattern", ["certificate:*", "certificate:object:read", "*:*:*:*", "", "revoke"])
def test_a_pattern_that_does_not_match_gives_nothing(pattern: str) -> None:
    ann = replace(person("ann"), grants=(grant(Role.REVOCATION_OFFICER, only=frozenset({pattern})),))
    assert codes(judged(ann, REVOKE)) == ["access.permission.missing"]


def test_lists_show_the_parties_of_all_grants_that_hold_the_permission() -> None:
    ann = replace(
        person("ann"),
        grants=(
            grant(Role.REQUESTER, AT_ACME, id="grt_1"),
            grant(Role.REQUESTER, Scope(parties=frozenset({"beta"})), id="grt_2"),
            grant(Role.REQUESTER, Scope(parties=frozenset({"gone"})), id="grt_3", until=NOW),
            grant(Role.PARTY_ADMIN, Scope(parties=frozenset({"admins"})), id="grt_4"),
        ),
    )
    assert visible_parties(ann, REVOKE, NOW, PRODUCTION) == {"acme", "beta"}
    assert visible_parties(ann, P.AUDIT_ENTRY_READ, NOW, PRODUCTION) == frozenset()
    assert visible_parties(person("rev", Role.REVOCATION_OFFICER), REVOKE, NOW, PRODUCTION) is None


def test_narrowing_keeps_what_lies_in_both_and_ends_with_the_sooner() -> None:
    held = grant(
        Role.CSMS,
        Scope(parties=ACME, names=spaces("dns:acme.example", "station:*", "dns:b.beta.example")),
        only=frozenset({"certificate:*:*"}),
    )
    wanted = Scope(parties=frozenset({"acme", "beta"}), names=spaces("dns:a.acme.example", "dns:beta.example", "station:CS-1", "wmi:WDB"))
    soon = NOW + timedelta(hours=1)
    (narrowed,) = narrow_grants((held,), patterns=frozenset({"*:request:*", "station:*:*"}), scope=wanted, until=soon, now=NOW)
    assert narrowed.id == held.id
    assert narrowed.scope == Scope(parties=ACME, names=spaces("dns:a.acme.example", "dns:b.beta.example", "station:CS-1"))
    assert narrowed.narrowed_to == {"certificate:request:*"}
    assert narrowed.until == soon


@pytest.mark.parametrize(
    ("patterns", "scope", "until"),
    [
        (frozenset({"audit:*:*"}), EVERYWHERE, LATER),
        (frozenset[str](), EVERYWHERE, LATER),
        (None, Scope(parties=frozenset({"other"})), LATER),
        (None, Scope(names=frozenset()), LATER),
        (None, EVERYWHERE, NOW),
    ],
)
def test_narrowing_drops_what_becomes_empty(patterns: frozenset[str] | None, scope: Scope, until: object) -> None:
    assert narrow_grants((grant(Role.CSMS, AT_ACME),), patterns=patterns, scope=scope, until=until, now=NOW) == ()  # type: ignore[arg-type]


def test_the_platform_issues_its_own_certificates_alone_and_nobody_else_s() -> None:
    assert isinstance(judged(SYSTEM, P.CERTIFICATE_ISSUE, Resource(profile="status/ocsp-responder")), Allow)
    assert isinstance(judged(SYSTEM, P.CERTIFICATE_ISSUE, STATION), NeedsApproval)


def test_the_platform_makes_authorities_in_development_only() -> None:
    assert isinstance(judged(SYSTEM, P.CA_AUTHORITY_CREATE, policy=DEVELOPMENT), Allow)
    assert codes(judged(SYSTEM, P.CA_AUTHORITY_CREATE)) == ["access.seat.none"]


def test_the_platform_reads_no_audit_entries_and_exports_no_keys() -> None:
    for permission in (P.AUDIT_ENTRY_READ, P.CERTIFICATE_EXPORT_KEY, P.ACCESS_GRANT_PROPOSE, P.CA_KEY_GENERATE):
        assert isinstance(judged(SYSTEM, permission, Resource(EVERYBODY)), Deny)


def test_who_may_take_a_seat() -> None:
    officer = person("cao", Role.CA_OFFICER)
    may = may_fill(officer, P.CA_CERTIFICATE_APPROVE, Resource(profile="sub/operator"), NOW, PRODUCTION)
    assert may
    weak = replace(officer, assurance=Assurance.TOKEN)
    conflicted = person("cao", Role.CA_OFFICER, Role.AUDITOR)
    elsewhere = person("cao", Role.CA_OFFICER, scope=AT_ACME)
    nobody = replace(officer, person="")
    for voter in (weak, conflicted, elsewhere, nobody):
        assert not may_fill(voter, P.CA_CERTIFICATE_APPROVE, Resource(profile="sub/operator"), NOW, PRODUCTION)
