"""Tokens and the one gate."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.access.decide import Actor, ActorKind, Allow, Deny, covers, decide
from chargepki.core.access.permissions import Permission
from chargepki.core.records import ProfileId
from chargepki.errors import NotAuthenticated, NotAuthorised, Refused
from chargepki.testing.workbench import ADMIN, Workbench
from tests.unit.services.test_issuance import add_station, codes

SCOPES = st.frozensets(st.sampled_from(["*:*:*", *Permission, *(f"{p.split(':')[0]}:*:*" for p in Permission), "no:such:thing", "*:*", ""]))


@given(SCOPES, st.sampled_from(list(Permission)))
def test_a_decision_is_allow_exactly_when_one_scope_covers_the_permission(scopes: frozenset[str], permission: Permission) -> None:
    verdict = decide(Actor("a", ActorKind.MACHINE, "operator", scopes), permission)
    assert isinstance(verdict, Allow) == any(covers(scope, permission) for scope in scopes)


@given(SCOPES, SCOPES, st.sampled_from(list(Permission)))
def test_fewer_scopes_never_allow_more(scopes: frozenset[str], fewer: frozenset[str], permission: Permission) -> None:
    if isinstance(decide(Actor("a", ActorKind.MACHINE, "operator", scopes), permission), Deny):
        assert isinstance(decide(Actor("a", ActorKind.MACHINE, "operator", scopes & fewer), permission), Deny)


async def test_a_token_works_until_it_is_revoked_or_expires(bench: Workbench) -> None:
    access = bench.services.access
    token, secret = await access.create_token(ADMIN, name="ci", scopes=frozenset({"certificate:*:*"}), valid_days=1)
    assert (await access.authenticate(secret)).scopes == token.scopes
    bench.clock.advance(timedelta(days=2))
    with pytest.raises(NotAuthenticated):
        await access.authenticate(secret)
    other, other_secret = await access.create_token(ADMIN, name="ci", scopes=frozenset({"certificate:*:*"}))
    await access.revoke_token(ADMIN, other.id)
    with pytest.raises(NotAuthenticated):
        await access.authenticate(other_secret)


async def test_two_tokens_of_one_name_are_two_actors(bench: Workbench) -> None:
    secrets = [(await bench.services.access.create_token(ADMIN, name="ci", scopes=frozenset({"*:*:*"})))[1] for _ in range(2)]
    first, second = [await bench.services.access.authenticate(secret) for secret in secrets]
    assert first.id != second.id


@pytest.mark.parametrize("bearer", ["", "cpat_", "cpat_AAAA", "cpet_AAAA", "x" * 10_000, "\x00", "cpat_\ud800"])
async def test_nonsense_is_nobody(bench: Workbench, bearer: str) -> None:
    with pytest.raises(NotAuthenticated):
        await bench.services.access.authenticate(bearer)


@pytest.mark.parametrize("scopes", [frozenset(), frozenset({"everything"}), frozenset({"no:such:thing"}), frozenset({"*:*:*:*"})])
async def test_a_scope_that_covers_nothing_is_refused(bench: Workbench, scopes: frozenset[str]) -> None:
    with pytest.raises(Refused):
        await bench.services.access.create_token(ADMIN, name="x", scopes=scopes)


async def test_nobody_hands_out_more_than_they_hold(bench: Workbench) -> None:
    own = frozenset({"access:token:create", "certificate:*:*"})
    maker = bench.caller(Actor("token:maker", ActorKind.MACHINE, "operator", own))
    await bench.services.access.create_token(maker, name="less", scopes=frozenset({"certificate:object:read"}))
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.access.create_token(maker, name="more", scopes=frozenset({"*:*:*"}))
    assert codes(refusal) == {"access.token.beyond"}


async def test_an_enrolment_token_may_ask_for_a_certificate_and_for_nothing_else(bench: Workbench) -> None:
    station = await add_station(bench)
    _, secret = await bench.services.inventory.create_enrolment_token(ADMIN, station, profile=ProfileId("ocpp/station"))
    enrolee = await bench.services.access.authenticate(secret)
    allowed = {permission for permission in Permission if isinstance(decide(enrolee, permission), Allow)}
    assert allowed == {Permission.CERTIFICATE_ISSUE}
    assert enrolee.id == "station:CS-17"
