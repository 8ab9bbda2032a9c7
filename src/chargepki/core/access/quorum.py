"""Quorums: different persons in all the seats of a rule, found by maximum matching, so that the order of the votes never matters."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.model import (
    Actor,
    Allow,
    Ballot,
    Decision,
    Deny,
    NeedsApproval,
    Policy,
    QuorumRule,
    Resource,
    Role,
    Seat,
    StandingApproval,
    Vote,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.identifiers.name_spaces import is_covered

VOTES_MAX: Final = 64  # the largest quorum has eight seats; nobody has eight times as many officers

Fills = Callable[[Actor, Seat], bool]  # whether somebody's role, scope, assurance and freedom from conflict fit a seat
_ROLES: Final = frozenset(Role)


def find_rule(permission: Permission, resource: Resource, policy: Policy) -> QuorumRule | None:
    """The rule that this act falls under; None: the actor may do it alone."""
    return next((rule for rule in policy.rules if rule.permission is permission and _applies(rule, resource)), None)


def judge_quorum(rule: QuorumRule, actor: Actor, resource: Resource, now: datetime, ballot: Ballot, fills: Fills, via: str) -> Decision:
    """What the actor's own word (held by the grant `via`) and those on the ballot come to."""
    if barred := _find_bars(rule, now, ballot):
        return Deny(barred)
    slots = [seat for seat in rule.seats for _ in range(seat.count)]
    chairs = _find_chairs(rule, slots, actor, ballot, fills)
    against = {_key(vote.voter) for vote in _counted(ballot) if not vote.is_for and chairs[_key(vote.voter)]}
    if against:
        others = f" and {len(against) - 1} more" if len(against) > 1 else ""
        return Deny((("access.vote.against", f"{min(against)}{others} voted against"),))
    own = _key(actor)
    if not chairs[own] and any(seat.permission is rule.permission for seat in rule.seats):
        return Deny((("access.seat.none", f"{actor.id} can take no seat of the rule {rule.id}"),))
    seated = match_seats(len(slots), chairs, first=own)
    return _conclude(rule, slots, seated, resource, now, ballot, via)


def match_seats(count: int, chairs: Mapping[str, Set[int]], *, first: str = "") -> dict[int, str]:
    """As many of `count` seats as can be filled, each by another person: seat to person. `chairs`: the seats each person could take.

    Augmenting paths (Kuhn): at most persons times seats times seats steps.
    """
    seated: dict[int, str] = {}
    for person in sorted(chairs, key=lambda name: (name != first, name)):
        if len(seated) == count:
            break
        _seat(person, chairs, seated, set())
    return seated


def stands_for(approval: StandingApproval, resource: Resource, now: datetime) -> bool:
    """Whether a standing approval is in force for exactly this."""
    return (
        approval.until > now
        and approval.party == resource.party
        and resource.profile in approval.profiles
        and resource.key in approval.keys
        and approval.used + max(resource.count, 1) <= approval.per_hour_max
        and all(is_covered(name, approval.names) for name in resource.names)
    )


def _applies(rule: QuorumRule, resource: Resource) -> bool:
    """A role that nobody knows counts as one of those that the rule is about."""
    return (
        resource.count > rule.over
        and (not rule.profiles or any(_is_profile(resource.profile, wanted) for wanted in rule.profiles))
        and (not rule.roles or resource.role in rule.roles or resource.role not in _ROLES)
    )


def _is_profile(profile: str, wanted: str) -> bool:
    return profile.startswith(wanted) if wanted.endswith("/") else profile == wanted


def _find_bars(rule: QuorumRule, now: datetime, ballot: Ballot) -> tuple[tuple[str, str], ...]:
    if len(ballot.votes) > VOTES_MAX:
        return (("access.vote.many", f"a ballot has at most {VOTES_MAX} votes, this has {len(ballot.votes)}"),)
    if ballot.opened_at is not None and now >= ballot.opened_at + timedelta(hours=rule.open_hours):
        return (("access.vote.closed", f"the vote under the rule {rule.id} was open for {rule.open_hours} hours"),)
    return ()


def _counted(ballot: Ballot) -> Iterable[Vote]:
    """A vote speaks of exactly the bytes whose digest it names."""
    return (vote for vote in ballot.votes if vote.digest == ballot.digest) if ballot.digest else ()


def _key(actor: Actor) -> str:
    """Who takes a seat: the person behind the account, or a machine as itself."""
    return actor.person or actor.id


def _find_chairs(rule: QuorumRule, slots: Sequence[Seat], actor: Actor, ballot: Ballot, fills: Fills) -> dict[str, set[int]]:
    """Which seats everybody who said something could take. Two accounts of one person are that person."""
    chairs: dict[str, set[int]] = {}
    for voter in (actor, *(vote.voter for vote in _counted(ballot))):
        fitting = {seat for seat in rule.seats if _may_sit(voter, seat, rule) and fills(voter, seat)}
        chairs.setdefault(_key(voter), set()).update(number for number, seat in enumerate(slots) if seat in fitting)
    return chairs


def _may_sit(voter: Actor, seat: Seat, rule: QuorumRule) -> bool:
    """A machine speaks for nobody; where standing approvals work it may ask, and no more."""
    return bool(voter.person) or (rule.may_stand and seat.permission is rule.permission)


def _seat(person: str, chairs: Mapping[str, Set[int]], seated: dict[int, str], tried: set[int]) -> bool:
    for number in sorted(chairs[person]):
        if number in tried:
            continue
        tried.add(number)
        if number not in seated or _seat(seated[number], chairs, seated, tried):
            seated[number] = person
            return True
    return False


def _conclude(
    rule: QuorumRule, slots: Sequence[Seat], seated: Mapping[int, str], resource: Resource, now: datetime, ballot: Ballot, via: str
) -> Decision:
    empty = [number for number in range(len(slots)) if number not in seated]
    if empty and rule.may_stand and all(slots[number].permission is not rule.permission for number in empty):
        standing = sorted(approval.id for approval in ballot.standing if stands_for(approval, resource, now))
        if standing:
            return Allow(f"{via} standing {standing[0]}", standing[0])
    not_before = None
    if rule.cool_down_hours:
        not_before = (ballot.opened_at or now) + timedelta(hours=rule.cool_down_hours)
    if empty or (not_before is not None and now < not_before):
        filled = tuple((slots[number].permission, seated[number]) for number in sorted(seated))
        return NeedsApproval(rule.id, _gather(slots, empty), filled, not_before)
    return Allow(f"{via} {rule.id} {','.join(sorted(seated.values()))}")


def _gather(slots: Sequence[Seat], empty: Iterable[int]) -> tuple[Seat, ...]:
    """The empty seats, those of one kind counted together."""
    counts: dict[Seat, int] = {}
    for number in empty:
        counts[slots[number]] = counts.get(slots[number], 0) + 1
    return tuple(Seat(seat.permission, count, seat.roles) for seat, count in counts.items())
