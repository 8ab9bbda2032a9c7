"""Whether the people there are can fill the quorums there are: asked before a production platform is made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from chargepki.core.access.conflicts import CEREMONY_ROLES, PLATFORM_ROLES
from chargepki.core.access.model import ActorKind, Policy, QuorumRule, Role, Seat
from chargepki.core.access.policy import people_needed
from chargepki.core.access.quorum import match_seats
from chargepki.core.access.roles import ROLES, find_conflicts, may_hold
from chargepki.errors import Finding, Severity

Staff = Mapping[str, frozenset[Role]]
OFFICES: Final = PLATFORM_ROLES | CEREMONY_ROLES


def find_staffing_faults(policy: Policy, roles_by_person: Staff) -> tuple[Finding, ...]:
    """Why these people could not run a platform under this policy: too few, duties in conflict, quorums that nobody fills.

    An office that nobody holds and no quorum needs is a warning.
    """
    return (
        *_find_head_count_faults(policy, roles_by_person),
        *_find_person_faults(roles_by_person),
        *(fault for rule in policy.rules for fault in _find_rule_faults(rule, roles_by_person)),
        *_find_empty_offices(policy, roles_by_person),
    )


def smallest_head_count(policy: Policy) -> int:
    """No platform under this policy can have fewer people: its largest quorum."""
    return max(people_needed(policy).values(), default=1)


def holders_of(seat: Seat) -> tuple[Role, ...]:
    """The roles of people who may take a seat."""
    held = (role for role, definition in ROLES.items() if seat.permission in definition.permissions and may_hold(ActorKind.PERSON, role))
    return tuple(sorted(role for role in held if role is not Role.DEVELOPER and (not seat.roles or role in seat.roles)))


def _find_head_count_faults(policy: Policy, staff: Staff) -> Iterable[Finding]:
    needed, there = smallest_head_count(policy), len(staff)
    if there < needed:
        largest = ", ".join(rule for rule, count in people_needed(policy).items() if count == needed)
        yield Finding(
            "access.staff.people",
            f"{there} {'person is' if there == 1 else 'people are'} named; {largest} needs {needed} at once",
            path="people",
            hint=f"name {needed - there} more",
        )


def _find_person_faults(staff: Staff) -> Iterable[Finding]:
    for person, roles in sorted(staff.items()):
        for one, other in find_conflicts(roles):
            yield Finding(
                "access.conflict",
                f"{person} cannot be {one} and {other} at once",
                path=f"people.{person}",
                clause="CIMC FMT_SMR.2.3",
                hint=f"give {other} to somebody else",
            )
        for role in sorted(roles):
            if role is Role.DEVELOPER or not may_hold(ActorKind.PERSON, role):
                yield Finding("access.staff.role", f"{person} cannot be {role}: it is no office of a person", path=f"people.{person}")


def _find_rule_faults(rule: QuorumRule, staff: Staff) -> Iterable[Finding]:
    slots = [seat for seat in rule.seats for _ in range(seat.count)]
    seated = match_seats(len(slots), {person: _chairs(slots, roles) for person, roles in staff.items()})
    for seat in rule.seats:
        empty = sum(1 for number, slot in enumerate(slots) if slot == seat and number not in seated)
        if empty:
            yield Finding(
                "access.staff.quorum",
                f"the rule {rule.id} asks for {seat.count} who hold {seat.permission}, and {empty} of these seats stay empty",
                path=f"rules.{rule.id}",
                hint=f"make {empty} more of the people {' or '.join(holders_of(seat))}",
            )


def _chairs(slots: Sequence[Seat], roles: frozenset[Role]) -> set[int]:
    if find_conflicts(roles):
        return set()
    return {number for number, seat in enumerate(slots) if not roles.isdisjoint(holders_of(seat))}


def _find_empty_offices(policy: Policy, staff: Staff) -> Iterable[Finding]:
    held = frozenset[Role]().union(*staff.values())
    for role in sorted(OFFICES - held) if not policy.is_development else ():
        yield Finding("access.staff.office", f"nobody is {role}: {ROLES[role].title}", Severity.WARNING, "people")
