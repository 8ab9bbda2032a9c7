"""What can be asked of every vault, on the vault without a disk."""

from datetime import UTC, datetime, timedelta

import pytest

from chargepki.adapters.keys.diagnosis import KeyCheck, diagnose_vault
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable
from chargepki.ports import KeyHandle, SigningOrder
from chargepki.testing.vault import MemoryVault


async def _checks(vault: MemoryVault, now: datetime | None = None, **given: object) -> dict[str, KeyCheck]:
    return {check.name: check async for check in diagnose_vault(vault, now=now or datetime.now(UTC), **given)}  # type: ignore[arg-type]


async def test_a_vault_that_is_well_is_left_as_it_was() -> None:
    vault = MemoryVault()
    kept = await vault.generate(KeySpec.P256, label="kept")
    assert all(check.is_well for check in (await _checks(vault)).values())
    assert await vault.list() == (kept,)


async def test_a_clock_that_went_back_is_noticed_by_the_keys() -> None:
    vault = MemoryVault()
    await vault.generate(KeySpec.P256, label="made now")
    clock = (await _checks(vault, datetime.now(UTC) - timedelta(days=1)))["clock"]
    assert not clock.is_well
    assert "set the clock" in clock.fix


@pytest.mark.parametrize("ref", ["key_" + "Z" * 26, "key_", "arn:aws:kms:eu-central-1:1:key/x", "key_é"])
async def test_a_reference_of_any_shape_breaks_nothing(ref: str) -> None:
    class Odd(MemoryVault):
        async def list(self) -> tuple[KeyHandle, ...]:
            return (KeyHandle(KeyRef(ref), KeySpec.P256, b"", "odd", False),)

    assert "clock" in await _checks(Odd())


async def test_a_wrong_signature_is_a_finding_and_the_test_key_goes_all_the_same() -> None:
    class Wrong(MemoryVault):
        async def sign(self, order: SigningOrder) -> bytes:
            return b"no signature"

    vault = Wrong()
    assert not (await _checks(vault))["signature"].is_well
    assert await vault.list() == ()


async def test_a_vault_that_does_not_answer_is_said_with_its_hint() -> None:
    class Away(MemoryVault):
        async def list(self) -> tuple[KeyHandle, ...]:
            raise VaultUnavailable("the device is away", hint="plug it in")

    assert await _checks(Away()) == {"keys": KeyCheck("keys", False, "the device is away", "plug it in")}


async def test_a_vault_whose_keys_cost_money_is_asked_for_none() -> None:
    vault = MemoryVault()
    assert "not tried" in (await _checks(vault, makes_test_key=False))["signature"].seen
    handle = await vault.generate(KeySpec.P384, label="named")
    assert "ecdsa-sha384" in (await _checks(vault, key=handle.ref, makes_test_key=False))["signature"].seen
