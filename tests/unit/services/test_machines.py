"""Machines: one role each, within their party, and out at once when they are suspended."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import Role, Scope
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.records import GrantState, MachineId, MachineState, PartyId, PartyRole
from chargepki.errors import Conflict, NotAuthenticated, NotAuthorised, NotFound, Refused
from chargepki.services.access import TokenOrder
from chargepki.services.machines import HeldMachine
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.test_issuance import codes

ACME = PartyId("acme")
WITHIN = Scope(parties=frozenset({"acme"}))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """Without authorities: nothing is issued here."""
    async with open_workbench(tmp_path, has_authorities=False) as opened:
        yield opened


@pytest.fixture
async def acme(bench: Workbench) -> HeldMachine:
    await bench.services.parties.create_party(ADMIN, id="acme", name="Acme", roles=frozenset({PartyRole.CPO}), spaces=["dns:acme.example"])
    return await bench.services.machines.create_machine(ADMIN, name="acme-csms", party=ACME, role=Role.CSMS)


async def test_a_machine_holds_its_one_role_over_its_party_for_ninety_days(bench: Workbench, acme: HeldMachine) -> None:
    actor = await bench.services.actors.of_machine(acme.machine.id)
    assert acme.grant is not None
    assert [(grant.role, grant.scope) for grant in actor.grants] == [(Role.CSMS, WITHIN)]
    assert acme.grant.until == bench.clock.now() + timedelta(days=90)
    assert acme.grant.state is GrantState.ACTIVE
    bench.clock.advance(timedelta(days=90))
    assert (await bench.services.actors.of_machine(acme.machine.id)).grants == ()
    assert (await bench.services.machines.get_machine(ADMIN, acme.machine.id)).grant is None


async def test_renewing_replaces_the_grant_and_no_second_role_is_given(bench: Workbench, acme: HeldMachine) -> None:
    holder = f"machine:{acme.machine.id}"
    bench.clock.advance(timedelta(days=80))
    renewed = await bench.services.grants.propose_grant(ADMIN, holder=holder, role=Role.CSMS, scope=Scope())
    actor = await bench.services.actors.of_machine(acme.machine.id)
    assert [grant.id for grant in actor.grants] == [renewed.record.id]
    with pytest.raises(Refused) as refusal:
        await bench.services.grants.propose_grant(ADMIN, holder=holder, role=Role.FACTORY_LINE, scope=Scope())
    assert "access.machine.roles" in codes(refusal)


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.AUDITOR, Role.PARTY_ADMIN, Role.PLATFORM, Role.SELF])
async def test_a_machine_holds_no_office(bench: Workbench, acme: HeldMachine, role: Role) -> None:
    with pytest.raises(Refused):
        await bench.services.machines.create_machine(ADMIN, name="other", party=ACME, role=role)


@pytest.mark.parametrize("days", [0, -1, 399, 10**9])
async def test_no_machine_works_for_ever(bench: Workbench, acme: HeldMachine, days: int) -> None:
    with pytest.raises(Refused) as refusal:
        await bench.services.machines.create_machine(ADMIN, name="other", party=ACME, role=Role.CSMS, days=days)
    assert codes(refusal) == {"machine.days"}


async def test_a_scope_beyond_the_party_is_refused(bench: Workbench, acme: HeldMachine) -> None:
    outside = Scope(parties=frozenset({"acme"}), names=frozenset({parse_name_space("dns:rival.example")}))
    with pytest.raises(Refused) as refusal:
        await bench.services.machines.create_machine(ADMIN, name="other", party=ACME, role=Role.CSMS, scope=outside)
    assert codes(refusal) == {"machine.scope.names"}


async def test_a_suspended_machine_is_out_at_once(bench: Workbench, acme: HeldMachine) -> None:
    machines, access = bench.services.machines, bench.services.access
    caller = bench.caller(await bench.services.actors.of_machine(acme.machine.id))
    _, secret = await access.create_token(caller, TokenOrder("csms", frozenset({"certificate:*:*"})))
    await access.authenticate(secret)
    await machines.set_state(ADMIN, acme.machine.id, MachineState.SUSPENDED)
    with pytest.raises(NotAuthenticated):
        await access.authenticate(secret)
    with pytest.raises(NotAuthenticated):
        await bench.services.actors.of_machine(acme.machine.id)
    await machines.set_state(ADMIN, acme.machine.id, MachineState.ACTIVE)
    assert (await bench.services.actors.of_machine(acme.machine.id)).grants
    bench.clock.advance(timedelta(seconds=2))
    with pytest.raises(NotAuthenticated):  # the token has ended for ever
        await access.authenticate(secret)


async def test_a_party_has_its_own_machines_and_touches_no_others(bench: Workbench, acme: HeldMachine) -> None:
    machines = bench.services.machines
    await bench.services.parties.create_party(ADMIN, id="rival", name="Rival", roles=frozenset({PartyRole.CPO}))
    theirs = await machines.create_machine(ADMIN, name="rival-csms", party=PartyId("rival"), role=Role.CSMS)
    own = await bench.person("pat", Role.PARTY_ADMIN, party="acme", scope=WITHIN)
    mine = await machines.create_machine(own, name="line-1", party=ACME, role=Role.FACTORY_LINE)
    listed = (await machines.list_machines(own)).items
    assert {held.machine.id for held in listed} == {acme.machine.id, mine.machine.id}
    for id in (theirs.machine.id, MachineId("mch_nobody")):
        with pytest.raises(NotFound):
            await machines.get_machine(own, id)
        with pytest.raises(NotFound):
            await machines.set_state(own, id, MachineState.SUSPENDED)
    for party in (PartyId("rival"), PartyId("")):
        with pytest.raises(NotAuthorised):
            await machines.create_machine(own, name="x", party=party, role=Role.CSMS)
    wide = Scope(parties=frozenset({"acme", "rival"}))
    with pytest.raises(NotAuthorised) as refusal:
        await machines.create_machine(own, name="x", party=ACME, role=Role.CSMS, scope=wide)
    assert codes(refusal) == {"grant.scope.beyond"}


async def test_two_machines_of_one_party_have_two_names(bench: Workbench, acme: HeldMachine) -> None:
    with pytest.raises(Conflict):
        await bench.services.machines.create_machine(ADMIN, name="acme-csms", party=ACME, role=Role.CSMS)
