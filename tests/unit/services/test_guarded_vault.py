"""A key that may not sign signs nothing, whoever asks and whichever vault holds it."""

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, cast

import pytest

from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.records import KeyRecord, KeyRef, KeyState
from chargepki.errors import Conflict, NotFound, Refused
from chargepki.ports import AddKeyRecord, KeyHandle, SetKeyState, SigningOrder, SigningPurpose, Store
from chargepki.services.keys import STATE_LIFETIME, GuardedVault
from chargepki.testing.clock import FixedClock
from chargepki.testing.vault import MemoryVault
from tests.adapters.keys.contract import VaultContract
from tests.adapters.keys.orders import LABEL, certificate_order, crl_order


class Register:
    """The part of a store that keeps key records."""

    def __init__(self) -> None:
        self.records: dict[KeyRef, KeyRecord] = {}
        self.looks = 0

    async def commit(self, *changes: AddKeyRecord | SetKeyState) -> None:
        for change in changes:
            match change:
                case AddKeyRecord(record):
                    if record.ref in self.records:
                        raise Conflict.because("key.exists", "it is registered")
                    self.records[record.ref] = record
                case SetKeyState(ref, state, after, at):
                    if self.records[ref].state is not after:
                        raise Conflict.because("key.state", "it changed")
                    self.records[ref] = replace(self.records[ref], state=state, changed_at=at)

    async def get_key_record(self, ref: KeyRef) -> KeyRecord:
        self.looks += 1
        if ref not in self.records:
            raise NotFound.because("key.unknown", "no such key")
        return self.records[ref]


@pytest.fixture
def register() -> Register:
    return Register()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def vault(register: Register, clock: FixedClock) -> GuardedVault:
    return GuardedVault(MemoryVault(), cast(Store, register), clock, "file")


class TestGuardedVault(VaultContract):
    specs: ClassVar[frozenset[KeySpec]] = frozenset(KeySpec)


def orders(handle: KeyHandle) -> dict[SigningPurpose, SigningOrder]:
    return {
        SigningPurpose.CERTIFICATE: certificate_order(handle, b"SN-1", SignatureAlgorithm.ECDSA_SHA256),
        SigningPurpose.CRL: crl_order(handle),
    }


async def test_a_key_made_for_later_signs_nothing_until_it_is_activated(vault: GuardedVault, register: Register) -> None:
    handle = await vault.make(KeySpec.P256, label=LABEL)
    for order in orders(handle).values():
        with pytest.raises(Refused, match=r"key\.state\.signs_not.* pending"):
            await vault.sign(order)
    await register.commit(vault.change(register.records[handle.ref], KeyState.ACTIVE))
    vault.forget(handle.ref)
    for order in orders(handle).values():
        assert await vault.sign(order)


async def test_a_retired_key_signs_status_only(vault: GuardedVault, register: Register) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    await register.commit(vault.change(register.records[handle.ref], KeyState.RETIRED))
    vault.forget(handle.ref)
    assert await vault.sign(orders(handle)[SigningPurpose.CRL])
    with pytest.raises(Refused, match="retired"):
        await vault.sign(orders(handle)[SigningPurpose.CERTIFICATE])


async def test_what_another_node_changed_is_seen_within_seconds(vault: GuardedVault, register: Register, clock: FixedClock) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    order = orders(handle)[SigningPurpose.CERTIFICATE]
    for _ in range(100):
        await vault.sign(order)
    assert register.looks == 0  # what a signature costs is no look at the database
    await register.commit(SetKeyState(handle.ref, KeyState.RETIRED, KeyState.ACTIVE, clock.now()))
    clock.advance(STATE_LIFETIME + timedelta(seconds=1))
    with pytest.raises(Refused, match="retired"):
        await vault.sign(order)


async def test_a_key_nobody_registered_signs_nothing(register: Register, clock: FixedClock) -> None:
    behind = MemoryVault()
    handle = await behind.generate(KeySpec.P256, label=LABEL)
    vault = GuardedVault(behind, cast(Store, register), clock, "file")
    with pytest.raises(NotFound, match=r"vault\.key\.unknown"):
        await vault.sign(orders(handle)[SigningPurpose.CERTIFICATE])


async def test_a_key_that_could_not_be_erased_signs_nothing_all_the_same(
    vault: GuardedVault, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)

    async def fail(ref: KeyRef) -> None:
        raise OSError("the token is gone")

    monkeypatch.setattr(vault._vault, "destroy", fail)
    with pytest.raises(OSError, match="token"):
        await vault.destroy(handle.ref)
    assert register.records[handle.ref].state is KeyState.DESTROYED
    with pytest.raises(NotFound, match="destroyed"):
        await vault.sign(orders(handle)[SigningPurpose.CERTIFICATE])
