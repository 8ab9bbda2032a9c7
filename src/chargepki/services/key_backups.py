"""The sealed copy of a key, its shares, and the way back: what a ceremony does with both."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from chargepki.core.access.model import NO_BALLOT, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Effect
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import AuthorityId, KeyRef, KeyState
from chargepki.errors import Broken, NotFound, Refused
from chargepki.ports import KeyHandle, Ports
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.authorities import Authorities
from chargepki.services.ceremony_tools import KeySafe, ShareCutter
from chargepki.services.keys import Keys
from chargepki.services.proposed import order_of, unreadable

WRAPPING_KEY_OCTETS = 32


@dataclass(frozen=True, slots=True)
class SealedCopy:
    """A sealed copy and the shares of its wrapping key, which nothing keeps."""

    octets: bytes
    shares: tuple[str, ...]

    def __repr__(self) -> str:
        return "SealedCopy(...)"


class KeyBackups:
    """`safe` None: the keys of this vault never leave it, and its device has its own way of backing them up."""

    def __init__(
        self, ports: Ports, audit: AuditTrail, authorities: Authorities, keys: Keys, safe: KeySafe | None, cutter: ShareCutter
    ) -> None:
        self._ports, self._audit, self._authorities, self._keys = ports, audit, authorities, keys
        self._safe, self._cutter = safe, cutter

    async def make(self, caller: Caller, ref: KeyRef, *, threshold: int, shares: int, script_sha256: str) -> SealedCopy:
        """A copy under a fresh wrapping key. Whoever runs the ceremony has it made; the votes bound the script that asks for it."""
        act = caller.act(Permission.CEREMONY_SCRIPT_RUN, f"key:{ref}", do="back up", script=script_sha256)
        async with self._audit.act(act) as opened:
            safe = self.safe()
            wrapping_key = self._ports.entropy.octets(WRAPPING_KEY_OCTETS)
            await self._ports.store.commit(opened.intent(key=ref, threshold=threshold, shares=shares))
            await opened.ready()
            copy = SealedCopy(await safe.back_up(ref, wrapping_key), self._cutter.split(wrapping_key, threshold, shares))
            self._check(copy, threshold, ref)
            opened.effect = Effect({"threshold": threshold, "shares": shares})
            await self._ports.store.commit(opened.done(after_sha256=hashlib.sha256(copy.octets).digest()))
        return copy

    async def restore(
        self, caller: Caller, id: AuthorityId, sealed: bytes, wrapping_key: bytes, *, script_sha256: str = "", ballot: Ballot = NO_BALLOT
    ) -> KeyHandle:
        """Puts the key of an authority back into the vault. `NeedsVotes` where others have to agree."""
        content: dict[str, JsonValue] = {
            "do": "restore",
            "id": id,
            "backup_sha256": hashlib.sha256(sealed).hexdigest(),
            "script_sha256": script_sha256,
        }
        act = caller.act(Permission.CA_KEY_RESTORE, f"authority:{id}", resource=Resource(authority=id), do="restore")
        async with self._audit.act(act, order=order_of(content, ballot), ballot=ballot) as opened:
            handle = await self.find_key(id, sealed, wrapping_key)
            await self._ports.store.commit(opened.intent(key=handle.ref, backup_sha256=hashlib.sha256(sealed).hexdigest()))
            await opened.ready()
            restored = await self.safe().restore(sealed, wrapping_key)
            await self._keys.adopt()
            await self._ports.store.commit(opened.done(after_sha256=hashlib.sha256(restored.spki).digest()))
        return restored

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot, sealed: bytes, wrapping_key: bytes) -> str:
        """What others agreed to, with the copy and the key that are in the room."""
        match content:
            case {"do": "restore", "id": str(id), "backup_sha256": str(digest), "script_sha256": str(script)}:
                if hashlib.sha256(sealed).hexdigest() != digest:
                    raise Refused.because("vault.backup.other", "this is not the copy that was agreed upon", path="backup")
                handle = await self.restore(caller, AuthorityId(id), sealed, wrapping_key, script_sha256=script, ballot=ballot)
                return f"key:{handle.ref}"
        raise unreadable()

    async def find_key(self, id: AuthorityId, sealed: bytes, wrapping_key: bytes) -> KeyHandle:
        """The key that the copy holds: that of this authority, and none that was destroyed. `Refused` otherwise."""
        handle, view = self.safe().read_backup(sealed, wrapping_key), await self._authorities.view(id)
        if handle.ref != view.authority.key or handle.spki != view.spki:
            raise Refused.because("vault.backup.other", f"this is the copy of another key than that of {id}", path="backup")
        try:
            record = await self._ports.store.get_key_record(handle.ref)
        except NotFound:
            return handle
        if record.state is KeyState.DESTROYED:
            raise Refused.because("key.destroyed", f"the key of {id} was destroyed for good", path="key", hint="make a new authority")
        return handle

    def safe(self) -> KeySafe:
        if self._safe is None:
            hint = "back it up with the device's own tools: docs/how-to/use-an-hsm.md"
            raise Refused.because("vault.backup.unsupported", "no key of this vault leaves it, not even sealed", path="backup", hint=hint)
        return self._safe

    def _check(self, copy: SealedCopy, threshold: int, ref: KeyRef) -> None:
        """As many shares as it takes open the copy that was just made: the first of them, and the last."""
        for some in (copy.shares[:threshold], copy.shares[-threshold:]):
            handle = self.safe().read_backup(copy.octets, self._cutter.join(some))
            if handle.ref != ref:
                raise Broken("the sealed copy holds another key than was asked for", hint="nothing was handed out; report this")
