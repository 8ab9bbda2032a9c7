"""Two vaults as one: keys that never leave in a device, keys made to leave in sealed files."""

from typing import Final

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef
from chargepki.errors import NotFound
from chargepki.ports import KeyAttestation, KeyHandle, KeyVault, SigningOrder

LOG_LABEL: Final = "log "


class DividedVault:
    """Implements `ports.KeyVault`.

    A server's own TLS key has to reach the TLS library, and an HSM gives no key away; so what is made exportable is made in `portable`,
    and everything else in `fixed`. References of both sort by age. A key that lies in `portable` is found without asking `fixed`.
    """

    def __init__(self, fixed: KeyVault, portable: KeyVault) -> None:
        self.fixed, self.portable = fixed, portable
        self._homes: dict[KeyRef, KeyVault] = {}  # of keys that exist; as long as the vaults' own lists

    def __repr__(self) -> str:
        return f"DividedVault({self.fixed!r}, {self.portable!r})"

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        # The log's keys sign many times a second, one of them with ML-DSA-44, which few devices know; they vouch for no certificate.
        home = self.portable if exportable or label.startswith(LOG_LABEL) else self.fixed
        handle = await home.generate(spec, label=label, exportable=exportable)
        self._homes[handle.ref] = home
        return handle

    async def get(self, ref: KeyRef) -> KeyHandle:
        return await (await self._home(ref)).get(ref)

    async def sign(self, order: SigningOrder) -> bytes:
        return await (await self._home(order.key)).sign(order)

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:
        return await (await self._home(ref)).export(ref, passphrase)

    async def destroy(self, ref: KeyRef) -> None:
        home = await self._home(ref)
        self._homes.pop(ref, None)
        await home.destroy(ref)

    async def list(self) -> tuple[KeyHandle, ...]:
        """Oldest first."""
        return tuple(sorted((*await self.fixed.list(), *await self.portable.list()), key=lambda handle: handle.ref))

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        return await (await self._home(ref)).attest(ref)

    async def _home(self, ref: KeyRef) -> KeyVault:
        if (home := self._homes.get(ref)) is not None:
            return home
        try:
            await self.portable.get(ref)
        except NotFound:
            await self.fixed.get(ref)
            home = self.fixed
        else:
            home = self.portable
        self._homes[ref] = home
        return home
