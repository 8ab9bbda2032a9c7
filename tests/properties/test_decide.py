"""The laws of the gate. Whatever is held, asked and voted: less never allows more, order never matters, and a record tells all."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from chargepki.core import canonical_json
from chargepki.core.access.conflicts import find_conflicts
from chargepki.core.access.decide import SYSTEM, decide, held_permissions, may_fill, narrow_grants, visible_parties
from chargepki.core.access.encode import (
    decode_actor,
    decode_ballot,
    decode_decision,
    decode_resource,
    encode_actor,
    encode_ballot,
    encode_decision,
    encode_resource,
)
from chargepki.core.access.model import EVERYBODY, Actor, ActorKind, Allow, Ballot, Deny, NeedsApproval, Resource, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.access.quorum import match_seats
from chargepki.core.canonical_json import JsonValue
from chargepki.core.identifiers.name_spaces import NameSpace, contains, covers, intersect, is_covered, parse_name_space, parse_scoped_name
from tests.properties.access_worlds import (
    NAMES,
    NOW,
    PATTERNS,
    SPACES,
    Case,
    cases,
    narrower,
    officers,
    scopes,
    untils,
)

law = settings(max_examples=120)


def live_roles(actor: Actor) -> frozenset[Role]:
    return frozenset(g.role for g in actor.grants if g.until is None or g.until > NOW)


def judged(case: Case, **changes: object) -> object:
    actor, permission, resource, policy, ballot = case
    asked = {"actor": actor, "resource": resource, "ballot": ballot, **changes}
    return decide(asked["actor"], permission, asked["resource"], NOW, policy, asked["ballot"])  # type: ignore[arg-type]


@given(cases)
@law
def test_it_always_answers_and_always_the_same(case: Case) -> None:
    decision = judged(case)
    assert decision == judged(case)
    assert isinstance(decision, Allow | Deny | NeedsApproval)
    if isinstance(decision, Deny):
        assert decision.reasons
        assert list(decision.reasons) == sorted(set(decision.reasons))


@given(cases, st.data())
@law
def test_a_removed_vote_never_allows_unless_it_was_against(case: Case, data: st.DataObject) -> None:
    ballot = case[-1]
    assume(ballot.votes)
    absent = data.draw(st.integers(0, len(ballot.votes) - 1))
    fewer = replace(ballot, votes=ballot.votes[:absent] + ballot.votes[absent + 1 :])
    if ballot.votes[absent].is_for and isinstance(judged(case, ballot=fewer), Allow):
        assert isinstance(judged(case), Allow)


@given(cases)
@law
def test_without_votes_and_standing_approvals_nothing_is_allowed_that_others_must_allow(case: Case) -> None:
    if isinstance(judged(case), NeedsApproval):
        assert not isinstance(judged(case, ballot=Ballot()), Allow)


@given(cases, st.data())
@law
def test_a_removed_grant_allows_only_where_roles_were_in_each_other_s_way(case: Case, data: st.DataObject) -> None:
    actor = case[0]
    assume(actor.grants)
    absent = data.draw(st.integers(0, len(actor.grants) - 1))
    fewer = replace(actor, grants=actor.grants[:absent] + actor.grants[absent + 1 :])
    before = judged(case)
    if isinstance(judged(case, actor=fewer), Allow) and not isinstance(before, Allow):
        assert isinstance(before, Deny)
        assert {code for code, _ in before.reasons} <= {"access.conflict", "access.machine.roles", "access.role.development"}


@given(cases, st.data())
@law
def test_a_narrowed_scope_never_allows(case: Case, data: st.DataObject) -> None:
    actor = case[0]
    assume(actor.grants)
    at = data.draw(st.integers(0, len(actor.grants) - 1))
    smaller = data.draw(narrower(actor.grants[at].scope))
    narrowed = replace(actor, grants=tuple(replace(g, scope=smaller) if n == at else g for n, g in enumerate(actor.grants)))
    if isinstance(judged(case, actor=narrowed), Allow):
        assert isinstance(judged(case), Allow)


@given(cases, st.data())
@law
def test_fewer_name_spaces_of_the_party_never_allow(case: Case, data: st.DataObject) -> None:
    resource = case[2]
    kept = SPACES if resource.spaces is None else tuple(sorted(resource.spaces, key=str))
    assume(kept)
    fewer = replace(resource, spaces=data.draw(st.frozensets(st.sampled_from(kept))))
    if isinstance(judged(case, resource=fewer), Allow):
        assert isinstance(judged(case), Allow)


@given(cases, st.sampled_from(NAMES))
@law
def test_one_name_more_never_allows(case: Case, name: object) -> None:
    resource = case[2]
    assume(resource.names)  # the first name is another matter: without any, a grant bounded by names reaches nothing
    more = replace(resource, names=(*resource.names, name))
    if isinstance(judged(case, resource=more), Allow):
        assert isinstance(judged(case), Allow)


@given(cases, st.frozensets(st.sampled_from(SPACES)))
@law
def test_grants_bounded_by_names_reach_nothing_without_a_name(case: Case, spaces: frozenset[NameSpace]) -> None:
    """A token narrowed to one station is no way to a whole party, whatever it holds and whoever votes."""
    actor, permission, resource, policy, _ = case
    bounded = replace(actor, grants=tuple(replace(g, scope=replace(g.scope, names=g.scope.names or spaces)) for g in actor.grants))
    assert visible_parties(bounded, permission, NOW, policy) == frozenset()
    nameless = replace(resource, names=(), is_own=False)
    if nameless.party != EVERYBODY:
        assert isinstance(judged(case, actor=bounded, resource=nameless), Deny)


@given(cases, st.data())
@law
def test_order_never_matters(case: Case, data: st.DataObject) -> None:
    actor, _, resource, _, ballot = case
    shuffled = {
        "actor": replace(actor, grants=tuple(data.draw(st.permutations(actor.grants)))),
        "resource": replace(resource, names=tuple(data.draw(st.permutations(resource.names)))),
        "ballot": replace(
            ballot, votes=tuple(data.draw(st.permutations(ballot.votes))), standing=tuple(data.draw(st.permutations(ballot.standing)))
        ),
    }
    assert judged(case, **shuffled) == judged(case)


@given(cases)
@law
def test_an_ended_grant_is_no_grant(case: Case) -> None:
    actor, _, _, _, ballot = case

    def without_ended(who: Actor) -> Actor:
        return replace(who, grants=tuple(g for g in who.grants if g.until is None or g.until > NOW))

    votes = tuple(replace(vote, voter=without_ended(vote.voter)) for vote in ballot.votes)
    assert judged(case, actor=without_ended(actor), ballot=replace(ballot, votes=votes)) == judged(case)


@given(cases)
@law
def test_a_decision_can_be_made_again_from_its_record(case: Case) -> None:
    actor, permission, resource, policy, ballot = case

    def again(value: JsonValue) -> JsonValue:
        return json.loads(canonical_json.encode(value))  # type: ignore[no-any-return]

    read = (decode_actor(again(encode_actor(actor))), decode_resource(again(encode_resource(resource))))
    votes = decode_ballot(again(encode_ballot(ballot)))
    assert (*read, votes) == (actor, resource, ballot)
    decision = decide(actor, permission, resource, NOW, policy, ballot)
    assert decide(read[0], permission, read[1], NOW, policy, votes) == decision
    assert decode_decision(again(encode_decision(decision))) == decision


@given(cases, st.one_of(st.none(), st.frozensets(st.sampled_from(PATTERNS), max_size=3)), scopes, untils)
@law
def test_narrowed_grants_do_no_more_than_those_they_were_narrowed_from(
    case: Case, patterns: frozenset[str] | None, scope: Scope, until: datetime | None
) -> None:
    actor, permission, _, policy, _ = case
    ends = until or NOW + timedelta(days=1000)
    narrow = narrow_grants(actor.grants, patterns=patterns, scope=scope, until=ends, now=NOW)
    token = replace(actor, grants=narrow, other_roles=actor.other_roles | live_roles(actor))
    if isinstance(judged(case, actor=token), Allow):
        assert isinstance(judged(case), Allow)
    assert held_permissions(token, NOW, policy) <= held_permissions(actor, NOW, policy)
    seen, shown = visible_parties(actor, permission, NOW, policy), visible_parties(token, permission, NOW, policy)
    assert seen is None or (shown is not None and shown <= seen)
    assert narrow_grants(narrow, patterns=patterns, scope=scope, until=ends + timedelta(days=1), now=NOW) == narrow


@given(cases)
@law
def test_whoever_is_let_through_holds_the_permission_there_without_conflict(case: Case) -> None:
    actor, permission, resource, policy, _ = case
    if isinstance(judged(case), Deny):
        return
    assert permission in held_permissions(actor, NOW, policy)
    seen = visible_parties(actor, permission, NOW, policy)
    is_by_name = any(grant.scope.names is not None for grant in actor.grants)  # such a grant reads one by one, and lists nothing
    assert is_by_name or seen is None or resource.party in seen or (resource.party == "*" and seen)
    assert not find_conflicts(live_roles(actor) | actor.other_roles)
    assert policy.is_development or Role.DEVELOPER not in live_roles(actor)


@given(cases)
@law
def test_what_several_must_agree_to_was_agreed_to_by_different_people(case: Case) -> None:
    decision = judged(case)
    if isinstance(decision, Allow) and not decision.standing and decision.via.count(" ") == 2:
        _, rule_id, people = decision.via.split(" ")
        (rule,) = [rule for rule in PRODUCTION.rules if rule.id == rule_id]
        seated = people.split(",")
        assert len(seated) == len(set(seated)) == sum(seat.count for seat in rule.seats)
    if isinstance(decision, NeedsApproval):
        seated = [person for _, person in decision.filled]
        assert len(seated) == len(set(seated))


@given(cases, officers())
@law
def test_who_may_take_a_missing_seat_brings_the_act_forward(case: Case, officer: Actor) -> None:
    actor, _, resource, policy, ballot = case
    decision = judged(case)
    if not isinstance(decision, NeedsApproval) or not decision.missing or not ballot.digest:
        return
    said = {actor.person, *(vote.voter.person for vote in ballot.votes)}
    if officer.person in said or not may_fill(officer, decision.missing[0], resource, NOW, policy):
        return
    vote = replace(ballot.votes[0], voter=officer, digest=ballot.digest, is_for=True) if ballot.votes else None
    if vote is None:
        return
    after = judged(case, ballot=replace(ballot, votes=(*ballot.votes, vote)))
    if isinstance(after, NeedsApproval):
        assert sum(seat.count for seat in after.missing) < sum(seat.count for seat in decision.missing)
    else:
        assert isinstance(after, Allow)


@given(st.dictionaries(st.sampled_from("abcdefg"), st.frozensets(st.integers(0, 4)), max_size=7))
def test_the_matching_is_as_large_as_any(chairs: dict[str, frozenset[int]]) -> None:
    def largest(people: tuple[str, ...], taken: frozenset[int]) -> int:
        if not people:
            return len(taken)
        here = [largest(people[1:], taken | {seat}) for seat in chairs[people[0]] - taken]
        return max([largest(people[1:], taken), *here])

    seated = match_seats(5, chairs)
    assert len(seated) == largest(tuple(chairs), frozenset())
    assert len(set(seated.values())) == len(seated)
    assert all(seat in chairs[person] for seat, person in seated.items())


@given(st.frozensets(st.sampled_from(SPACES)), st.frozensets(st.sampled_from(SPACES)), st.sampled_from(NAMES))
def test_the_intersection_of_spaces_covers_what_both_cover(one: frozenset[NameSpace], other: frozenset[NameSpace], name: object) -> None:
    both = is_covered(name, one) and is_covered(name, other)  # type: ignore[arg-type]
    assert is_covered(name, intersect(one, other)) == both  # type: ignore[arg-type]


serials = st.from_regex(r"[A-Za-z0-9 ./_-]{1,12}", fullmatch=True)
hosts = st.from_regex(r"[a-z]{1,3}(\.[a-z]{1,3}){1,4}", fullmatch=True)


@given(st.sampled_from(["station-serial", "dns"]), st.one_of(serials, hosts), st.one_of(serials, hosts), st.one_of(serials, hosts))
@example("station-serial", "ACME", "ACME-1", "ACME-1-2")
def test_covering_is_a_tree(kind: str, a: str, b: str, c: str) -> None:
    def parsed(parse: Callable[[str], object], value: str) -> object:
        try:
            return parse(f"{kind}:{value}")
        except Exception:
            assume(False)  # not of this kind
            raise

    one, two = parsed(parse_name_space, a), parsed(parse_name_space, b)
    name = parsed(parse_scoped_name, c)
    assert contains(one, one)  # type: ignore[arg-type]
    if contains(one, two) and covers(two, name):  # type: ignore[arg-type]
        assert covers(one, name)  # type: ignore[arg-type]
    if covers(one, name) and covers(two, name):  # type: ignore[arg-type]
        assert contains(one, two) or contains(two, one)  # type: ignore[arg-type]


@pytest.mark.parametrize("permission", Permission)
def test_nobody_does_alone_what_the_table_gives_to_several(permission: Permission) -> None:
    for role in set(Role) - {Role.DEVELOPER, Role.PLATFORM}:
        grant = replace(SYSTEM.grants[0], id="grt_1", role=role)
        actor = Actor("person:1", ActorKind.PERSON, (grant,), "per_1", max(PRODUCTION.assurance.values()))
        resource = Resource(profile="sub/operator", count=101, role=Role.CA_OFFICER)
        decision = decide(actor, permission, resource, NOW, PRODUCTION)
        if any(rule.permission is permission for rule in PRODUCTION.rules):
            assert not isinstance(decision, Allow)
