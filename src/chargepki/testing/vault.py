"""A vault without a disk."""

import asyncio
from functools import cache

from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.keys.private_keys import (
    check_export_passphrase,
    check_exportable,
    check_label,
    encrypted_pem,
    no_such_key,
    sign_order,
)
from chargepki.core.algorithms import RSA_KINDS, KeySpec, PrivateKey, generate_private_key, spki_of
from chargepki.core.records import KeyRef
from chargepki.ports import KeyAttestation, KeyHandle, SigningOrder


@cache
def _rsa_key(spec: KeySpec, number: int) -> PrivateKey:  # noqa: ARG001  # the number is the cache's key
    """The n-th RSA key of this process: making one takes up to a second, and a fresh vault needs no fresh ones."""
    return generate_private_key(spec)


class MemoryVault:
    """Implements `ports.KeyVault`. No two keys inside one vault are equal; RSA keys come again in the next vault."""

    def __init__(self) -> None:
        self._entropy = SystemEntropy()
        self._rsa_count = 0
        self._keys: dict[KeyRef, tuple[KeyHandle, PrivateKey]] = {}

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        check_label(label)
        if spec in RSA_KINDS:
            self._rsa_count += 1
            key = await asyncio.to_thread(_rsa_key, spec, self._rsa_count)
        else:
            key = generate_private_key(spec)
        handle = KeyHandle(KeyRef(self._entropy.ulid("key")), spec, spki_of(key.public_key()), label, exportable)
        self._keys[handle.ref] = (handle, key)
        return handle

    async def get(self, ref: KeyRef) -> KeyHandle:
        return self._find(ref)[0]

    async def sign(self, order: SigningOrder) -> bytes:
        handle, key = self._find(order.key)
        return await sign_order(key, handle.spec, order)

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:
        handle, key = self._find(ref)
        check_exportable(handle)
        check_export_passphrase(passphrase)
        return await asyncio.to_thread(encrypted_pem, key, passphrase)

    async def destroy(self, ref: KeyRef) -> None:
        self._find(ref)
        del self._keys[ref]

    async def list(self) -> tuple[KeyHandle, ...]:
        """Oldest first."""
        return tuple(handle for handle, _ in self._keys.values())

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        """None: nothing stands behind a dictionary."""
        self._find(ref)
        return None

    def _find(self, ref: KeyRef) -> tuple[KeyHandle, PrivateKey]:
        if ref not in self._keys:
            raise no_such_key(ref)
        return self._keys[ref]
