"""The only gate: may this actor do this, to this, now? A pure function of its arguments, so that anybody can make a decision again.

The order: an unknown permission, a development role in production, a conflict of duties, a machine of several roles: no. Then somebody
must hold the permission by a live grant whose scope covers party, authority, profile and every name, in the party's own name spaces,
and must be known surely enough. Then come the others whom the policy asks for.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from chargepki.core.access.model import (
    EVERYBODY,
    NO_BALLOT,
    Actor,
    ActorKind,
    Allow,
    Assurance,
    Ballot,
    Decision,
    Deny,
    Grant,
    Plane,
    Policy,
    Resource,
    Role,
    Scope,
    Seat,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.quorum import find_rule, judge_quorum
from chargepki.core.access.roles import ROLES, find_conflicts, pattern_covers, permissions_of
from chargepki.core.identifiers.name_spaces import NameSpace, ScopedName, intersect, is_covered

__all__ = [
    "SYSTEM",
    "decide",
    "find_rule",
    "held_permissions",
    "intersect_scopes",
    "may_fill",
    "narrow_grants",
    "pattern_covers",
    "reaches_party",
    "visible_parties",
]

SYSTEM: Final = Actor("system", ActorKind.SYSTEM, (Grant("system", Role.PLATFORM),))
SHOWN_MAX: Final = 4  # names and spaces that a reason repeats
SHOWN_CHARACTERS_MAX: Final = 64  # of each of them: a host may have 253

Reason = tuple[str, str]
_DEVELOPMENT: Final = frozenset(role for role, definition in ROLES.items() if definition.plane is Plane.DEVELOPMENT)


def decide(actor: Actor, permission: Permission, resource: Resource, now: datetime, policy: Policy, ballot: Ballot = NO_BALLOT) -> Decision:
    """Allow, Deny with every reason, or NeedsApproval with the empty seats."""
    if not isinstance(permission, Permission):
        return Deny((("access.permission.unknown", f"there is no permission {permission!r}"),))
    if barred := _find_bars(actor, now, policy):
        return Deny(barred)
    holding = _holding(actor, permission, now)
    covering = [grant for grant in holding if _is_within(resource, grant.scope)]
    reasons = [] if covering else [*_find_grant_faults(actor, permission, resource, holding)]
    if any(_is_party_within(resource.party, grant.scope) for grant in holding):  # a stranger learns nothing of a party's names
        reasons += _find_space_faults(resource)
    is_sure = _is_sure(actor, permission, policy)
    if reasons or not is_sure:
        unsure = [] if is_sure else [_unsure(actor, permission, policy)]
        return Deny(tuple(sorted({*reasons, *unsure})), is_step_up=not reasons)
    via = covering[0].id
    rule = find_rule(permission, resource, policy)
    if rule is None:
        return Allow(via)
    if rule.alone and resource.party == "" and any(grant.role in rule.alone for grant in covering):
        return Allow(via)

    def fills(voter: Actor, seat: Seat) -> bool:
        return _fills(voter, seat, resource, now, policy)

    return judge_quorum(rule, actor, resource, now, ballot, fills, via)


def may_fill(voter: Actor, seat: Permission | Seat, resource: Resource, now: datetime, policy: Policy) -> bool:
    """Whether this person could take this seat: role, scope, assurance, no conflict. A machine takes none."""
    wanted = seat if isinstance(seat, Seat) else Seat(seat)
    return bool(voter.person) and _fills(voter, wanted, resource, now, policy)


def visible_parties(actor: Actor, permission: Permission, now: datetime, policy: Policy) -> frozenset[str] | None:
    """Whose objects a list shows to this actor; None: everybody's; empty: nobody's. A list is of all names: a grant for some shows none."""
    if _find_bars(actor, now, policy) or not _is_sure(actor, permission, policy):
        return frozenset()
    seen: frozenset[str] = frozenset()
    for grant in _holding(actor, permission, now):
        if grant.scope.names is not None:
            continue
        if grant.scope.parties is None:
            return None
        seen |= grant.scope.parties
    return seen


def reaches_party(actor: Actor, permission: Permission, party: str, now: datetime) -> bool:
    """Whether a live grant with this permission extends to the party; what else it is bounded by is not asked."""
    return any(_is_party_within(party, grant.scope) for grant in _holding(actor, permission, now))


def held_permissions(actor: Actor, now: datetime, policy: Policy) -> frozenset[Permission]:
    """Everything this actor may do somewhere, alone or with others."""
    if _find_bars(actor, now, policy):
        return frozenset()
    return frozenset().union(*(permissions_of(grant.role, actor.kind, grant.narrowed_to) for grant in _live(actor, now)))


def narrow_grants(
    grants: Iterable[Grant], *, patterns: frozenset[str] | None, scope: Scope, until: datetime, now: datetime
) -> tuple[Grant, ...]:
    """The grants within `patterns` and `scope`, no longer than `until`; what becomes empty is dropped. Never more than before.

    A holder's other roles still conflict: whoever makes an actor of these sets `other_roles` to the roles of all their grants.
    """
    narrowed = (_narrow(grant, patterns, scope, until) for grant in grants if _is_live(grant, now))
    return tuple(grant for grant in narrowed if _is_live(grant, now) and not _is_empty(grant))


def intersect_scopes(one: Scope, other: Scope) -> Scope:
    """What lies in both."""
    return Scope(
        _both(one.parties, other.parties),
        _both(one.authorities, other.authorities),
        _both(one.profiles, other.profiles),
        one.names if other.names is None else other.names if one.names is None else intersect(one.names, other.names),
    )


def _is_live(grant: Grant, now: datetime) -> bool:
    return grant.until is None or grant.until > now


def _live(actor: Actor, now: datetime) -> list[Grant]:
    return [grant for grant in actor.grants if _is_live(grant, now)]


def _holding(actor: Actor, permission: Permission, now: datetime) -> list[Grant]:
    """The live grants with this permission; by id, so that their order never matters."""
    kind = actor.kind
    held = [g for g in actor.grants if _is_live(g, now) and permission in permissions_of(g.role, kind, g.narrowed_to)]
    return sorted(held, key=_by_id) if len(held) > 1 else held


def _by_id(grant: Grant) -> str:
    return grant.id


def _is_within(resource: Resource, scope: Scope) -> bool:
    """Whether the scope covers party, authority, profile and every name. An authority or profile that a resource does not name needs
    no cover; a grant bounded by names covers nothing that has none."""
    return (
        _is_party_within(resource.party, scope)
        and _is_one_within(resource.authority, scope.authorities)
        and _is_one_within(resource.profile, scope.profiles)
        and _are_names_within(resource, scope.names)
    )


def _are_names_within(resource: Resource, spaces: frozenset[NameSpace] | None) -> bool:
    """What names nothing could be about anybody's names: there the bound holds, but for what is everybody's or the actor's own."""
    if spaces is None:
        return True
    if not resource.names:
        return resource.is_own or resource.party == EVERYBODY
    return all(is_covered(name, spaces) for name in resource.names)


def _is_party_within(party: str, scope: Scope) -> bool:
    return scope.parties is None or party in scope.parties or (party == EVERYBODY and bool(scope.parties))


def _is_one_within(value: str, bound: frozenset[str] | None) -> bool:
    return bound is None or not value or value in bound


def _find_bars(actor: Actor, now: datetime, policy: Policy) -> tuple[Reason, ...]:
    """What bars an actor from everything, whatever they hold."""
    roles = frozenset(grant.role for grant in actor.grants if _is_live(grant, now)) | actor.other_roles
    found = [
        ("access.conflict", f"{actor.person or actor.id} is {one} and {other}: nobody may be both") for one, other in find_conflicts(roles)
    ]
    if not policy.is_development and not roles.isdisjoint(_DEVELOPMENT):
        found.append(("access.role.development", f"{actor.id} holds a role for development platforms, and this is none"))
    if actor.kind is not ActorKind.PERSON and len(roles) > 1:
        found.append(("access.machine.roles", f"{actor.id} holds {', '.join(sorted(roles))}: a machine has one role"))
    return tuple(sorted(found))


def _is_sure(actor: Actor, permission: Permission, policy: Policy) -> bool:
    return actor.assurance >= _assurance_for(actor, permission, policy)


def _assurance_for(actor: Actor, permission: Permission, policy: Policy) -> Assurance:
    """A machine has no second factor: only where hardware is asked for, it is asked too. What the policy forgot asks for the most."""
    asked = policy.assurance.get(permission, Assurance.HARDWARE)
    return Assurance.TOKEN if asked is Assurance.MFA and actor.kind is not ActorKind.PERSON else asked


def _unsure(actor: Actor, permission: Permission, policy: Policy) -> Reason:
    asked = _assurance_for(actor, permission, policy).name.lower()
    return ("access.assurance", f"{permission} asks for {asked}, and {actor.id} is known by {actor.assurance.name.lower()}")


def _fills(voter: Actor, seat: Seat, resource: Resource, now: datetime, policy: Policy) -> bool:
    if resource.subject and resource.subject == voter.person:
        return False
    holding = _holding(voter, seat.permission, now)
    if not any((not seat.roles or grant.role in seat.roles) and _is_within(resource, grant.scope) for grant in holding):
        return False  # before what costs more: most voters hold one seat's permission
    return _is_sure(voter, seat.permission, policy) and not _find_bars(voter, now, policy)


def _find_grant_faults(actor: Actor, permission: Permission, resource: Resource, holding: Sequence[Grant]) -> Iterable[Reason]:
    """Why none of the actor's grants is enough."""
    if not holding:
        yield "access.permission.missing", f"{actor.id} does not hold {permission}"
    for grant in holding:
        yield from _find_scope_faults(grant.role, grant.scope, resource)


def _find_scope_faults(role: Role, scope: Scope, resource: Resource) -> Iterable[Reason]:
    if not _is_party_within(resource.party, scope):
        owner = f"the party {resource.party}" if resource.party else "the platform itself"
        yield "access.scope.party", f"{role} does not cover {owner} (has: {_show(scope.parties)})"
    if not _is_one_within(resource.authority, scope.authorities):
        yield "access.scope.authority", f"{role} does not cover the authority {resource.authority} (has: {_show(scope.authorities)})"
    if not _is_one_within(resource.profile, scope.profiles):
        yield "access.scope.profile", f"{role} does not cover the profile {resource.profile} (has: {_show(scope.profiles)})"
    if scope.names is not None and not resource.names and not _are_names_within(resource, scope.names):
        yield "access.scope.name", f"{role} is bounded by names, and this is about none in particular"
    if scope.names is not None and (beyond := _beyond(resource.names, scope.names)):
        yield "access.scope.name", f"{role} does not cover {beyond} (has: {_show_spaces(scope.names, resource.names)})"


def _find_space_faults(resource: Resource) -> list[Reason]:
    """A party speaks for its own names alone, whoever acts for it."""
    if resource.spaces is None or not (beyond := _beyond(resource.names, resource.spaces)):
        return []
    party = resource.party or "the platform"
    return [("access.space.name", f"{party} does not hold {beyond} (has: {_show_spaces(resource.spaces, resource.names)})")]


def _beyond(names: Sequence[ScopedName], spaces: frozenset[NameSpace]) -> str:
    """The names that no space covers, for people to read; "" when all are covered."""
    values = {name.value for name in names if not is_covered(name, spaces)}
    return _show(values) if values else ""


def _show_spaces(spaces: frozenset[NameSpace], names: Sequence[ScopedName]) -> str:
    """Those that could have covered one of the names, by their kind."""
    kinds = {name.kind for name in names}
    return _show({space.value for space in spaces if space.kind in kinds})


def _show(values: Iterable[str] | None) -> str:
    shown = sorted(value[:SHOWN_CHARACTERS_MAX] or "the platform itself" for value in values or ())
    more = f" and {len(shown) - SHOWN_MAX} more" if len(shown) > SHOWN_MAX else ""
    return ", ".join(shown[:SHOWN_MAX]) + more or "none"


def _narrow(grant: Grant, patterns: frozenset[str] | None, scope: Scope, until: datetime) -> Grant:
    ends = until if grant.until is None else min(grant.until, until)
    return Grant(grant.id, grant.role, intersect_scopes(grant.scope, scope), ends, _both_patterns(grant.narrowed_to, patterns))


def _is_empty(grant: Grant) -> bool:
    """Reaches nothing, or may do nothing."""
    scope = grant.scope
    if any(bound is not None and not bound for bound in (scope.parties, scope.authorities, scope.profiles, scope.names)):
        return True
    patterns = grant.narrowed_to
    return patterns is not None and not any(pattern_covers(p, held) for p in patterns for held in ROLES[grant.role].permissions)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _both_patterns(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """The fewest patterns that cover exactly what both cover; those of no permission are left out."""
    if other is None:
        return one
    met = other if one is None else {_meet(left, right) for left in one for right in other}
    known = {pattern for pattern in met if any(pattern_covers(pattern, permission) for permission in Permission)}
    return frozenset(p for p in known if not any(q != p and pattern_covers(q, p) for q in known))


def _meet(left: str, right: str) -> str:
    pairs = list(zip(left.split(":"), right.split(":"), strict=False))
    fits = left.count(":") == right.count(":") and all(a == b or "*" in (a, b) for a, b in pairs)
    return ":".join(b if a == "*" else a for a, b in pairs) if fits else ""
