import pytest

from chargepki.testing.vault import MemoryVault
from tests.adapters.keys.contract import VaultContract


class TestMemoryVault(VaultContract):
    @pytest.fixture
    def vault(self) -> MemoryVault:
        return MemoryVault()
