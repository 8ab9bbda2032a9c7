"""Tokens and the one gate."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.decide import held_permissions
from chargepki.core.access.model import Role
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.records import GrantState, Machine, MachineId, MachineState, ProfileId
from chargepki.errors import Broken, NeedsStepUp, NotAuthenticated, NotAuthorised, Refused
from chargepki.ports import UpdateGrant
from chargepki.services.access import TokenOrder
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.test_issuance import add_station, codes


async def test_a_token_works_until_it_is_revoked_or_expires(bench: Workbench) -> None:
    access = bench.services.access
    token, secret = await access.create_token(ADMIN, TokenOrder("ci", frozenset({"certificate:*:*"}), valid_days=1))
    assert (await access.authenticate(secret)).grants == token.grants
    bench.clock.advance(timedelta(days=2))
    with pytest.raises(NotAuthenticated):
        await access.authenticate(secret)
    other, other_secret = await access.create_token(ADMIN, TokenOrder("ci", frozenset({"certificate:*:*"})))
    await access.revoke_token(ADMIN, other.id)
    with pytest.raises(NotAuthenticated):
        await access.authenticate(other_secret)


async def test_two_tokens_of_one_name_are_two_actors(bench: Workbench) -> None:
    secrets = [(await bench.services.access.create_token(ADMIN, TokenOrder("ci", frozenset({"*:*:*"}))))[1] for _ in range(2)]
    first, second = [await bench.services.access.authenticate(secret) for secret in secrets]
    assert first.id != second.id


@pytest.mark.parametrize("bearer", ["", "cpat_", "cpat_AAAA", "cpet_AAAA", "x" * 10_000, "\x00", "cpat_\ud800"])
async def test_nonsense_is_nobody(bench: Workbench, bearer: str) -> None:
    with pytest.raises(NotAuthenticated):
        await bench.services.access.authenticate(bearer)


@pytest.mark.parametrize("scopes", [frozenset(), frozenset({"everything"}), frozenset({"no:such:thing"}), frozenset({"*:*:*:*"})])
async def test_a_scope_that_covers_nothing_is_refused(bench: Workbench, scopes: frozenset[str]) -> None:
    with pytest.raises(Refused):
        await bench.services.access.create_token(ADMIN, TokenOrder("x", scopes))


async def test_nobody_hands_out_more_than_they_hold(bench: Workbench) -> None:
    access = bench.services.access
    own = frozenset({"access:token:create", "certificate:*:*"})
    _, secret = await access.create_token(ADMIN, TokenOrder("maker", own))
    maker = bench.caller(await access.authenticate(secret))
    less, _ = await access.create_token(maker, TokenOrder("less", frozenset({"certificate:object:read"})))
    assert [grant.narrowed_to for grant in less.grants] == [frozenset({"certificate:object:read"})]
    with pytest.raises(NotAuthorised) as refusal:
        await access.create_token(maker, TokenOrder("more", frozenset({"ca:certificate:propose"})))
    assert codes(refusal) == {"access.token.beyond"}
    _, star = await access.create_token(maker, TokenOrder("star", frozenset({"*:*:*"})))
    holds = held_permissions(await access.authenticate(star), bench.clock.now(), bench.services.audit.policy)
    assert holds == held_permissions(maker.actor, bench.clock.now(), bench.services.audit.policy)


async def test_a_token_ends_with_the_token_it_was_narrowed_from(bench: Workbench) -> None:
    access = bench.services.access
    parent, secret = await access.create_token(ADMIN, TokenOrder("parent", frozenset({"*:*:*"}), valid_days=2))
    maker = bench.caller(await access.authenticate(secret))
    child, child_secret = await access.create_token(maker, TokenOrder("child", frozenset({"*:*:*"}), valid_days=90))
    assert child.expires_at == parent.expires_at
    await access.revoke_token(ADMIN, parent.id)
    with pytest.raises(NotAuthenticated):
        await access.authenticate(child_secret)


async def test_tokens_are_narrowed_so_many_times_and_no_more(bench: Workbench) -> None:
    access, caller = bench.services.access, ADMIN
    for _ in range(8):
        _, secret = await access.create_token(caller, TokenOrder("link", frozenset({"*:*:*"})))
        caller = bench.caller(await access.authenticate(secret))
    with pytest.raises(NotAuthorised) as refusal:
        await access.create_token(caller, TokenOrder("link", frozenset({"*:*:*"})))
    assert codes(refusal) == {"access.token.depth"}


async def test_a_persons_token_is_as_good_as_their_grants_are_today(bench: Workbench) -> None:
    access, actors = bench.services.access, bench.services.actors
    alice = await bench.person("alice", Role.OPERATOR)
    _, secret = await access.create_token(alice, TokenOrder("mine", frozenset({"certificate:*:*"})))
    assert {grant.role for grant in (await access.authenticate(secret)).grants} == {Role.OPERATOR}
    (record,) = (await bench.ports.store.list_grants(holder=alice.actor.id)).items
    await bench.ports.store.commit(UpdateGrant(replace(record, state=GrantState.ENDED)))
    actors.forget(alice.actor.id)
    assert (await access.authenticate(secret)).grants == ()


async def test_a_machine_that_is_read_while_it_is_suspended_is_not_remembered_as_active(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    actors, store = bench.services.actors, bench.ports.store
    id = MachineId((await bench.machine("line", Role.REQUESTER)).actor.id.removeprefix("machine:"))
    actors.forget(f"machine:{id}")
    get_machine = store.get_machine

    async def overtaken(asked: MachineId) -> Machine:
        machine = await get_machine(asked)
        monkeypatch.undo()
        await bench.services.machines.set_state(ADMIN, asked, MachineState.SUSPENDED)
        return machine

    monkeypatch.setattr(store, "get_machine", overtaken)
    await actors.of_machine(id)  # asked before the suspension, answered after it
    with pytest.raises(NotAuthenticated):
        await actors.of_machine(id)


async def test_in_production_a_token_proves_no_second_factor(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, policy=PRODUCTION) as bench:
        officer = await bench.person("olga", Role.REVOCATION_OFFICER)
        with pytest.raises(NotAuthorised):  # an officer holds no permission to make tokens
            await bench.services.access.create_token(officer, TokenOrder("mine", frozenset({"*:*:*"})))
        operator = await bench.person("otto", Role.OPERATOR)
        _, secret = await bench.services.access.create_token(operator, TokenOrder("mine", frozenset({"*:*:*"})))
        caller = bench.caller(await bench.services.access.authenticate(secret))
        with pytest.raises(NeedsStepUp):
            await bench.services.access.create_token(caller, TokenOrder("another", frozenset({"*:*:*"})))


async def test_an_enrolment_token_may_ask_for_a_certificate_and_for_nothing_else(bench: Workbench) -> None:
    station = await add_station(bench)
    _, secret = await bench.services.inventory.create_enrolment_token(ADMIN, station, profile=ProfileId("ocpp/station"))
    enrolee = await bench.services.access.authenticate(secret)
    assert held_permissions(enrolee, bench.clock.now(), bench.services.audit.policy) == {Permission.CERTIFICATE_ISSUE}
    assert enrolee.id == "station:CS-17"


async def test_an_act_that_was_never_decided_announces_nothing_and_takes_no_effect(bench: Workbench) -> None:
    act = ADMIN.act(Permission.CERTIFICATE_ISSUE, "station:CS-17", resource=None)
    for attempt in ("intent", "done"):
        with pytest.raises(Broken, match="without a decision"):
            async with bench.services.audit.act(act) as opened:
                getattr(opened, attempt)()
