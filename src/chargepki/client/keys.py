"""The register of the vault's keys."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode


@dataclass(frozen=True, slots=True)
class Attestation:
    """What the vault's device said of a key. `statement` is Base64."""

    kind: str
    is_hardware: bool
    statement: str


@dataclass(frozen=True, slots=True)
class Key:
    """`state` is pending, active, retired or destroyed."""

    ref: str
    spec: str
    label: str
    vault: str
    state: str
    spki_sha256: str
    created_at: datetime
    changed_at: datetime
    attestation: Attestation | None


class Keys:
    """Where others have to agree, the call raises `NeedsVotes`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> AsyncIterator[Key]:
        """Oldest first."""
        return iterate(self._transport, Key, "/keys")

    async def get(self, ref: str) -> Key:
        return decode(Key, await self._transport.get(_path(ref)))

    async def generate(self, *, key_spec: str, label: str) -> Key:
        """Pending: it signs nothing until it is activated."""
        return decode(Key, await self._transport.post("/keys", {"key_spec": key_spec, "label": label}))

    async def activate(self, ref: str) -> Key:
        return decode(Key, await self._transport.post(f"{_path(ref)}/activate"))

    async def retire(self, ref: str) -> Key:
        """It signs status only, and never comes back."""
        return decode(Key, await self._transport.post(f"{_path(ref)}/retire"))

    async def destroy(self, ref: str) -> Key:
        return decode(Key, await self._transport.post(f"{_path(ref)}/destroy"))


def _path(ref: str) -> str:
    return f"/keys/{quote(ref, safe='')}"
