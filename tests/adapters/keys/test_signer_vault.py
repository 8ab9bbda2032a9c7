import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargepki.adapters.keys.signer import wire
from chargepki.adapters.keys.signer.client import SignerVault
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef
from chargepki.errors import VaultUnavailable
from chargepki.testing.vault import MemoryVault
from tests.adapters.keys.contract import VaultContract, order, verifies
from tests.adapters.keys.orders import LABEL, crl_order
from tests.adapters.keys.signer_thread import SignerThread


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[SignerThread]:
    signer = SignerThread(tmp_path, MemoryVault())
    yield signer
    signer.stop()


@pytest.fixture
def vault(signer: SignerThread) -> SignerVault:
    return signer.client()


class TestSignerVault(VaultContract):
    pass


async def test_a_restart_of_the_signer_goes_unnoticed(tmp_path: Path) -> None:
    behind = MemoryVault()
    signer = SignerThread(tmp_path, behind)
    vault = signer.client()
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    for number in range(3):
        signer.stop()
        signer = SignerThread(tmp_path, behind)
        data = b"%d" % number
        assert verifies(handle, await vault.sign(order(handle, data)), data)
    signer.stop()


async def test_without_a_signer_it_says_at_once_what_to_start(tmp_path: Path) -> None:
    vault = SignerVault(tmp_path / "signer.sock")
    async with asyncio.timeout(1):
        for call in (vault.get(KeyRef("key_1")), vault.list(), vault.generate(KeySpec.P256, label=LABEL)):
            with pytest.raises(VaultUnavailable, match="does not answer") as broken:
                await call
            assert "chargepki signer serve" in broken.value.hint


class SilentSigner:
    """Takes requests and closes the connection instead of answering; `calls` counts them."""

    def __init__(self, path: Path) -> None:
        self.calls = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                self.calls += bool(connection.recv(65536))


async def test_a_signature_whose_answer_was_lost_is_not_asked_for_again(signer: SignerThread, tmp_path: Path) -> None:
    handle = await signer.client().generate(KeySpec.P256, label=LABEL)
    silent = SilentSigner(tmp_path / "silent.sock")
    vault = SignerVault(tmp_path / "silent.sock")
    with pytest.raises(VaultUnavailable, match="closed the connection"):
        await vault.sign(order(handle, b"data"))
    assert silent.calls == 1
    with pytest.raises(VaultUnavailable):
        await vault.get(handle.ref)
    assert silent.calls == 3  # a look is asked for once more


async def test_a_signer_that_does_not_answer_is_given_up(signer: SignerThread, tmp_path: Path) -> None:
    handle = await signer.client().generate(KeySpec.P256, label=LABEL)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(tmp_path / "deaf.sock"))
    deaf.listen()
    vault = SignerVault(tmp_path / "deaf.sock")
    with pytest.raises(VaultUnavailable, match="no answer within"):
        await vault._call(wire.Get(handle.ref), 0.2)
    deaf.close()


async def test_a_cancelled_call_leaves_the_connection_usable(signer: SignerThread, vault: SignerVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    for number in range(20):
        task = asyncio.create_task(vault.sign(order(handle, b"lost")))
        await asyncio.sleep(0.0005 * (number % 3))
        task.cancel()
        data = b"kept %d" % number
        assert verifies(handle, await vault.sign(order(handle, data)), data)


async def test_a_list_of_a_hundred_thousand_entries_goes_through(vault: SignerVault) -> None:
    handle = await vault.generate(KeySpec.P256, label=LABEL)
    asked = crl_order(handle, entries=100_000)
    assert len(asked.data) > 3_000_000
    assert await vault.sign(asked)


def test_a_loop_that_ended_leaves_no_socket_behind(signer: SignerThread, vault: SignerVault) -> None:
    for _ in range(5):
        asyncio.run(vault.list())
    gc.collect()
    deadline = time.monotonic() + 5
    while signer.server.connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not signer.server.connections
