"""The register of keys over a real store and the platform's own log."""

import pytest

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import AuthorityId, KeyState
from chargepki.errors import Conflict, NotFound, Refused
from chargepki.ports import PAGE_SIZE_MAX
from chargepki.services.keys import GuardedVault, Keys
from chargepki.testing.workbench import ADMIN, Workbench


@pytest.fixture
def keys(bench: Workbench) -> Keys:
    ports = bench.ports
    return Keys(ports, bench.services.audit, GuardedVault(ports.vault, ports.store, ports.clock, "memory"))


async def test_a_key_lives_from_pending_to_destroyed_and_each_step_is_on_record(bench: Workbench, keys: Keys) -> None:
    made = await keys.generate(ADMIN, KeySpec.P256, label="authority next-root")
    assert made.state is KeyState.PENDING
    states = [step.state for step in (await keys.activate(ADMIN, made.ref), await keys.retire(ADMIN, made.ref))]
    assert states == [KeyState.ACTIVE, KeyState.RETIRED]
    with pytest.raises(Conflict, match=r"key\.state\.transition"):
        await keys.activate(ADMIN, made.ref)
    assert (await keys.destroy(ADMIN, made.ref)).state is KeyState.DESTROYED
    with pytest.raises(NotFound):
        await bench.ports.vault.get(made.ref)
    assert (await keys.get(ADMIN, made.ref)).state is KeyState.DESTROYED  # the register remembers
    entries = (await bench.ports.store.list_audit(object=f"key:{made.ref}")).items
    assert [entry.outcome for entry in entries] == ["done", "intent", "refused", "done", "done", "done"]


async def test_what_the_vault_held_before_is_taken_up_once(bench: Workbench, keys: Keys) -> None:
    old = await bench.ports.vault.generate(KeySpec.P256, label="of before there was a register")  # past the register
    assert [await keys.adopt(), await keys.adopt()] == [1, 0]
    records = {record.ref: record.state for record in (await keys.list(ADMIN, limit=PAGE_SIZE_MAX)).items}
    assert records[old.ref] is KeyState.ACTIVE
    assert set(records) == {handle.ref for handle in await bench.ports.vault.list()}


async def test_the_key_of_an_active_authority_is_not_destroyed(bench: Workbench, keys: Keys) -> None:
    await keys.adopt()
    authority = (await bench.services.authorities.view(AuthorityId("operator-sub"))).authority
    with pytest.raises(Refused, match=r"key\.in_use"):
        await keys.destroy(ADMIN, authority.key)
    assert await bench.ports.vault.get(authority.key)
