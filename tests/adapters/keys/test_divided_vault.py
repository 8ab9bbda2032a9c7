"""One vault out of two: what stays goes to the device, what leaves into sealed files."""

import pytest

from chargepki.adapters.keys.divided import DividedVault
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable
from chargepki.ports import KeyHandle
from chargepki.testing.vault import MemoryVault
from tests.adapters.keys.contract import VaultContract


@pytest.fixture
def vault() -> DividedVault:
    fixed, portable = MemoryVault(), MemoryVault()
    portable._entropy = fixed._entropy  # two sources do not agree about the order within a millisecond
    return DividedVault(fixed, portable)


class TestDividedVault(VaultContract):
    pass


async def test_only_what_was_made_to_leave_lies_where_it_can(vault: DividedVault) -> None:
    stays = await vault.generate(KeySpec.P256, label="an authority's")
    leaves = await vault.generate(KeySpec.P256, label="a server's", exportable=True)
    assert await vault.fixed.list() == (stays,)
    assert await vault.portable.list() == (leaves,)


async def test_a_server_can_have_its_key_while_the_device_is_away(vault: DividedVault) -> None:
    leaves = await vault.generate(KeySpec.P256, label="a server's", exportable=True)
    after_a_restart = DividedVault(_Away(), vault.portable)
    assert await after_a_restart.export(leaves.ref, b"passphrase")


class _Away(MemoryVault):
    async def get(self, ref: KeyRef) -> KeyHandle:
        raise VaultUnavailable("the device is away")
