"""Everything that a decision can be about, drawn so that what is asked and what is held often meet."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import (
    EVERYBODY,
    Actor,
    ActorKind,
    Assurance,
    Ballot,
    Grant,
    Plane,
    Policy,
    Resource,
    Role,
    Scope,
    StandingApproval,
    Vote,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.access.roles import ROLES
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace, ScopedName, parse_name_space, parse_scoped_name

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
DIGESTS = (b"\x11" * 32, b"\x22" * 32, b"")
PARTIES = ("", "acme", "beta")
PROFILES = ("", "ocpp/station", "root/operator", "sub/operator", "firmware/signer")
KEYS = ("", "ecdsa-p256", "ed25519")
PATTERNS = (
    "*:*:*",
    "*:*:read",
    "*:object:*",
    "ca:certificate:*",
    "certificate:*",
    "certificate:*:*",
    "nothing:at:all",
    "revocation:bulk:propose",
)
AUTHORITIES = ("", "op-sub", "man-sub")
SPACES = tuple(
    map(
        parse_name_space,
        (
            *("dns:example.org", "dns:a.example.org", "dns:*", "station-serial:ACME", "station-serial:ACME-20", "station:CS-1"),
            *("station:*", "wmi:WDB", "evse-operator:DE*ABC", "emaid-provider:*"),
        ),
    )
)
NAMES = tuple(
    map(
        parse_scoped_name,
        (
            *("dns:example.org", "dns:x.a.example.org", "dns:*.example.org", "station-serial:ACME-20-1", "station-serial:ACME-2026"),
            *("station:CS-1", "station:CS-2", "wmi:WDB", "evse-operator:DE*ABC", "emaid-provider:DE-8AA"),
        ),
    )
)
# As often as it matters: roles that meet in quorums, and in conflicts.
SEATED = tuple(role for role in Role if ROLES[role].permissions & {seat.permission for rule in PRODUCTION.rules for seat in rule.seats})


def subsets(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str] | None]:
    return st.one_of(st.none(), st.frozensets(st.sampled_from(values), max_size=3))


space_sets: st.SearchStrategy[frozenset[NameSpace] | None] = st.one_of(st.none(), st.frozensets(st.sampled_from(SPACES), max_size=5))
scopes = st.one_of(
    st.just(Scope()),
    st.builds(Scope, parties=subsets(PARTIES), authorities=subsets(AUTHORITIES), profiles=subsets(PROFILES), names=space_sets),
)
untils = st.sampled_from((None, *(NOW + timedelta(days=days) for days in (-1, 0, 1, 30))))
names: st.SearchStrategy[ScopedName] = st.sampled_from(NAMES)
roles = st.one_of(st.sampled_from(SEATED), st.sampled_from(Role))
permissions = st.one_of(st.sampled_from([rule.permission for rule in PRODUCTION.rules]), st.sampled_from(Permission))
policies: st.SearchStrategy[Policy] = st.sampled_from((PRODUCTION, PRODUCTION, DEVELOPMENT))
grants = st.builds(
    Grant,
    st.sampled_from([f"grt_{number}" for number in range(6)]),
    roles,
    scopes,
    untils,
    st.one_of(st.none(), st.none(), subsets(PATTERNS)),
)
resources = st.builds(
    Resource,
    party=st.sampled_from((*PARTIES, EVERYBODY)),
    authority=st.sampled_from(("", "op-sub")),
    profile=st.sampled_from(PROFILES),
    names=st.lists(names, max_size=3).map(tuple),
    spaces=space_sets,
    key=st.sampled_from(KEYS),
    count=st.sampled_from((1, 1, 0, 2, 100, 101)),
    role=st.sampled_from(("", Role.CA_OFFICER, Role.REQUESTER)),
    subject=st.sampled_from(("", "", "per_0")),
    is_own=st.sampled_from((False, False, False, True)),
)


@st.composite
def actors(draw: st.DrawFn) -> Actor:
    kind = draw(st.sampled_from((ActorKind.PERSON, ActorKind.PERSON, ActorKind.PERSON, *ActorKind)))
    who = draw(st.integers(0, 5))
    person = f"per_{who}" if kind is ActorKind.PERSON else ""
    held = tuple(draw(st.lists(grants, max_size=3)))
    others = draw(st.one_of(st.just(frozenset()), st.frozensets(roles, max_size=1)))
    return Actor(f"{kind}:{who}-{draw(st.integers(0, 1))}", kind, held, person, draw(st.sampled_from(Assurance)), others)


@st.composite
def officers(draw: st.DrawFn) -> Actor:
    """Somebody who can do their work."""
    who, role = draw(st.integers(0, 8)), draw(st.sampled_from(SEATED))
    kind = ActorKind.PERSON
    grant = Grant(f"grt_{who}", role, Scope(), NOW + timedelta(days=30))
    return Actor(f"person:{who}", kind, (grant,), f"per_{who}", Assurance.MFA)


voters = st.one_of(officers(), officers(), actors())
digests = st.sampled_from((DIGESTS[0], DIGESTS[0], DIGESTS[0], *DIGESTS))
votes = st.builds(Vote, voters, digests, st.sampled_from((True, True, True, True, False)))
standings = st.builds(
    StandingApproval,
    st.sampled_from(("sta_1", "sta_2", "sta_3")),
    st.sampled_from(PARTIES),
    st.frozensets(st.sampled_from(PROFILES), min_size=1),
    st.frozensets(st.sampled_from(SPACES), max_size=8),
    st.frozensets(st.sampled_from(KEYS), min_size=1),
    st.sampled_from((1, 100)),
    st.sampled_from((NOW, NOW + timedelta(days=1))),
    st.sampled_from((0, 1, 99)),
)
ballots = st.builds(
    Ballot,
    digests,
    st.lists(votes, max_size=8).map(tuple),
    st.sampled_from((None, *(NOW - timedelta(hours=hours) for hours in (0, 25, 73, 1000)))),
    st.lists(standings, max_size=2, unique_by=lambda approval: approval.id).map(tuple),
)


Case = tuple[Actor, Permission, Resource, Policy, Ballot]


@st.composite
def _likely(draw: st.DrawFn) -> Case:
    """An act that waits for others, and about as many votes as it needs."""
    rule = draw(st.sampled_from((*PRODUCTION.rules, *[rule for rule in PRODUCTION.rules if rule.may_stand] * 3)))
    resource = replace(
        draw(st.one_of(st.just(Resource()), resources)),
        profile=draw(st.sampled_from([p for p in PROFILES if not rule.profiles or p.startswith(rule.profiles)])),
        count=max(rule.over + 1, 1),
        role=draw(st.sampled_from(sorted(rule.roles) or [""])),
    )
    actor = draw(_holder(rule.permission, 0))
    slots = [seat for seat in rule.seats for _ in range(seat.count)]
    said = [draw(_holder(seat.permission, draw(st.sampled_from((*[number] * 9, 1))))) for number, seat in enumerate(slots)]
    kept = draw(st.lists(st.sampled_from(said), min_size=len(said) - 1, max_size=len(said) + 1)) if draw(st.booleans()) else said
    is_for = [True] * (len(kept) - 1) + [draw(st.sampled_from((True, True, True, True, False)))]
    said_of = [DIGESTS[0]] * (len(kept) - 1) + [draw(digests)]
    ballot = Ballot(
        DIGESTS[0],
        tuple(map(Vote, kept, said_of, is_for)),
        NOW - timedelta(hours=draw(st.sampled_from((23, 23, 0, 100)) if rule.cool_down_hours < 24 else st.sampled_from((100, 100, 0)))),
        tuple(_fitting(resource, number) for number in range(draw(st.integers(0, 2)))),
    )
    return actor, rule.permission, resource, PRODUCTION, ballot


@st.composite
def _holder(draw: st.DrawFn, permission: Permission, number: int) -> Actor:
    """Somebody who holds this permission, as a rule everywhere."""
    role = draw(st.sampled_from([role for role, d in ROLES.items() if permission in d.permissions and role is not Role.DEVELOPER]))
    kind = ActorKind.SYSTEM if role is Role.PLATFORM else ActorKind.MACHINE if ROLES[role].plane is Plane.MACHINE else ActorKind.PERSON
    scope = draw(st.one_of(*[st.just(Scope())] * 7, scopes))
    more = draw(st.lists(grants, max_size=draw(st.sampled_from((0, 0, 0, 0, 0, 1)))))
    held = (Grant(f"grt_{number}", role, scope, NOW + timedelta(days=30)), *more)
    return Actor(f"{kind}:{number}", kind, held, "" if kind is not ActorKind.PERSON else f"per_{number}", Assurance.MFA)


def _fitting(resource: Resource, number: int) -> StandingApproval:
    names = frozenset(parse_name_space(f"{kind}:*") for kind in NameKind)
    profiles, keys, until = frozenset({resource.profile}), frozenset({resource.key}), NOW + timedelta(days=1)
    return StandingApproval(f"sta_{number}", resource.party, profiles, names, keys, 500, until)


@st.composite
def _any(draw: st.DrawFn) -> Case:
    actor = draw(st.one_of(officers(), actors(), actors(), st.just(SYSTEM)))
    return actor, draw(permissions), draw(resources), draw(policies), draw(ballots)


cases: st.SearchStrategy[Case] = st.one_of(_likely(), _likely(), _any())


@st.composite
def narrower(draw: st.DrawFn, scope: Scope) -> Scope:
    """A scope that reaches less."""

    def fewer(bound: frozenset[str] | None, all_: tuple[str, ...]) -> frozenset[str]:
        held = sorted(all_ if bound is None else bound)
        return draw(st.frozensets(st.sampled_from(held), max_size=3)) if held else frozenset()

    match draw(st.integers(0, 3)):
        case 0:
            return replace(scope, parties=fewer(scope.parties, PARTIES))
        case 1:
            return replace(scope, authorities=fewer(scope.authorities, AUTHORITIES))
        case 2:
            return replace(scope, profiles=fewer(scope.profiles, PROFILES))
        case _:
            kept = SPACES if scope.names is None else tuple(sorted(scope.names, key=str))
            return replace(scope, names=draw(st.frozensets(st.sampled_from(kept), max_size=3)) if kept else frozenset())
