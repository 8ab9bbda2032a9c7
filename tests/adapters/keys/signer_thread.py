"""A signer in a thread and an event loop of its own, as its process would be."""

import asyncio
import threading
from pathlib import Path

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.keys.signer.client import SignerVault
from chargepki.adapters.keys.signer.policy import SignerFile
from chargepki.adapters.keys.signer.server import SignerServer
from chargepki.adapters.keys.signer.signer import Signer
from chargepki.core.profiles.registry import Profiles
from chargepki.ports import Clock, KeyVault


async def _serve(data: Path, vault: KeyVault, file: SignerFile, clock: Clock) -> SignerServer:
    signer = await Signer.open(data, vault, Profiles(), clock, file)
    server = SignerServer(signer, data, file)
    await server.start()
    return server


class SignerThread:
    def __init__(self, data: Path, vault: KeyVault, file: SignerFile | None = None, clock: Clock | None = None) -> None:
        self.data = data
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        try:
            self.server = asyncio.run_coroutine_threadsafe(
                _serve(data, vault, file or SignerFile(), clock or SystemClock()), self.loop
            ).result(30)
        except BaseException:
            self._end()
            raise

    def client(self) -> SignerVault:
        return SignerVault(self.server.socket_path)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(30)
        self._end()
        assert not self.server.bugs

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
