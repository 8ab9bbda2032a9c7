"""The register of keys: what exists, in which state, and the one place where a key that may not sign is stopped.

`GuardedVault` stands in front of whichever vault there is: no use case reaches a key around it.
"""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.model import NO_BALLOT, Ballot
from chargepki.core.access.permissions import Permission
from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.keystates import check_may_sign, check_transition
from chargepki.core.records import AuthorityState, KeyRecord, KeyRef, KeyState, Page
from chargepki.errors import Finding, NotFound, Refused
from chargepki.ports import AddKeyRecord, Clock, KeyAttestation, KeyHandle, KeyVault, Ports, SetKeyState, SigningOrder, Store
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.proposed import order_of, unreadable

LOG_PREFIX: Final = "log "  # of the labels of the log's own keys (services/log_keys.py)
STATE_LIFETIME: Final = timedelta(seconds=5)  # after which another node's change of a state is seen here; our own is seen at once


class GuardedVault:
    """Implements `ports.KeyVault` over `vault`, called `name` in the register. A key that is not active signs nothing; a retired one
    signs status. A key that nobody registered signs nothing either."""

    def __init__(self, vault: KeyVault, store: Store, clock: Clock, name: str) -> None:
        self._vault, self._store, self._clock, self._name = vault, store, clock, name
        self._known: dict[KeyRef, tuple[KeyRecord, datetime]] = {}  # as many as the vault has keys

    def __repr__(self) -> str:
        return f"GuardedVault({self._vault!r})"

    async def generate(self, spec: KeySpec, *, label: str, exportable: bool = False) -> KeyHandle:
        """A key that the use case needs at once: it is active from its first moment."""
        return await self.make(spec, label=label, exportable=exportable, state=KeyState.ACTIVE)

    async def make(self, spec: KeySpec, *, label: str, exportable: bool = False, state: KeyState = KeyState.PENDING) -> KeyHandle:
        handle = await self._vault.generate(spec, label=label, exportable=exportable)
        await self.register(handle, state)
        return handle

    async def register(self, handle: KeyHandle, state: KeyState) -> KeyRecord:
        """`Conflict` when the key is registered already."""
        now = self._clock.now()
        said = _spell(await self._vault.attest(handle.ref))
        digest = hashlib.sha256(handle.spki).digest()
        record = KeyRecord(handle.ref, handle.spec, digest, handle.label, self._name, state, now, now, said)
        await self._store.commit(AddKeyRecord(record))
        self._known[record.ref] = (record, now)
        return record

    async def sign(self, order: SigningOrder) -> bytes:
        record = await self.record(order.key)
        if record.state is KeyState.DESTROYED:  # erased, or about to be: the caller hears the same
            raise NotFound(Finding("vault.key.unknown", f"the key {record.label!r} was destroyed", path="key"))
        check_may_sign(record.state, order.purpose, record.label)
        return await self._vault.sign(order)

    async def get(self, ref: KeyRef) -> KeyHandle:
        return await self._vault.get(ref)

    async def export(self, ref: KeyRef, passphrase: bytes) -> bytes:
        return await self._vault.export(ref, passphrase)

    async def destroy(self, ref: KeyRef) -> None:
        """For what a use case has just made and does not need after all; `Keys.destroy` is the way for everything else.

        The state comes first: a key that could not be erased signs nothing all the same, and can be erased later.
        """
        record = await self.record(ref)
        if record.state is not KeyState.DESTROYED:
            await self._store.commit(self.change(record, KeyState.DESTROYED))
        self.forget(ref)
        await self._vault.destroy(ref)

    async def erase(self, ref: KeyRef) -> None:
        """Destroys a key whose state says so already."""
        self.forget(ref)
        await self._vault.destroy(ref)

    async def list(self) -> tuple[KeyHandle, ...]:
        return await self._vault.list()

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        return await self._vault.attest(ref)

    async def record(self, ref: KeyRef) -> KeyRecord:
        """The register's word on a key, at most `STATE_LIFETIME` old. `NotFound` for a key that nobody registered."""
        now = self._clock.now()
        known = self._known.get(ref)
        if known is not None and now - known[1] < STATE_LIFETIME:
            return known[0]
        try:
            record = await self._store.get_key_record(ref)
        except NotFound as error:
            raise NotFound(
                Finding("vault.key.unknown", f"the key {ref[:64]!r} is not in the register", path="key", hint="chargepki keys list")
            ) from error
        self._known[ref] = (record, now)
        return record

    def change(self, record: KeyRecord, state: KeyState) -> SetKeyState:
        """Raises `Conflict` for a state that does not follow."""
        check_transition(record.state, state)
        return SetKeyState(record.ref, state, record.state, self._clock.now())

    def forget(self, ref: KeyRef) -> None:
        """The next look at this key is at the store."""
        self._known.pop(ref, None)


class Keys:
    """Use cases on keys. `vault` is the guarded one that all other services sign with."""

    def __init__(self, ports: Ports, audit: AuditTrail, vault: GuardedVault) -> None:
        self._ports, self._audit, self._vault = ports, audit, vault

    async def adopt(self) -> int:
        """At a start: registers what the vault holds from before there was a register, and says how many that were."""
        count = 0
        for handle in await self._vault.list():
            try:
                await self._vault.record(handle.ref)
            except NotFound:
                await self._vault.register(handle, KeyState.ACTIVE)
                count += 1
        return count

    async def generate(self, caller: Caller, spec: KeySpec, *, label: str, ballot: Ballot = NO_BALLOT) -> KeyRecord:
        """A key for later: pending, it signs nothing until `activate`."""
        act = caller.act(Permission.CA_KEY_GENERATE, "key:new", label=label, key=spec)
        content = {"do": "generate", "spec": spec.value, "label": label}
        async with self._audit.act(act, order=order_of(content, ballot), ballot=ballot) as opened:
            _check_label(label)
            handle = await self._vault.make(spec, label=label)
            record = await self._vault.record(handle.ref)
            await self._ports.store.commit(opened.done(object=f"key:{handle.ref}", after_sha256=record.spki_sha256))
        return record

    async def activate(self, caller: Caller, ref: KeyRef, *, ballot: Ballot = NO_BALLOT) -> KeyRecord:
        """From now on the key signs."""
        return await self._move(caller, ref, KeyState.ACTIVE, Permission.CA_KEY_GENERATE, ballot)

    async def retire(self, caller: Caller, ref: KeyRef, *, ballot: Ballot = NO_BALLOT) -> KeyRecord:
        """From now on the key signs CRLs and OCSP answers only. It never comes back."""
        return await self._move(caller, ref, KeyState.RETIRED, Permission.CA_KEY_DESTROY, ballot)

    async def destroy(self, caller: Caller, ref: KeyRef, *, ballot: Ballot = NO_BALLOT) -> KeyRecord:
        """Erases the key in the vault; done again it finishes what was cut off. `Refused` while an active authority uses it,
        `NeedsVotes` where others have to agree."""
        act = caller.act(Permission.CA_KEY_DESTROY, f"key:{ref}", state=KeyState.DESTROYED)
        async with self._audit.act(act, order=order_of({"do": "destroy", "key": ref}, ballot), ballot=ballot) as opened:
            self._vault.forget(ref)
            record = await self._vault.record(ref)
            await self._check_unused(record)
            changes = () if record.state is KeyState.DESTROYED else (self._vault.change(record, KeyState.DESTROYED),)
            await self._ports.store.commit(*changes, opened.intent(key=ref, label=record.label, spki_sha256=record.spki_sha256.hex()))
            await opened.ready()
            await self._vault.erase(ref)
            await self._ports.store.commit(opened.done(before_sha256=record.spki_sha256))
        return await self._vault.record(ref)

    async def get(self, caller: Caller, ref: KeyRef) -> KeyRecord:
        self._audit.check(caller, Permission.CA_KEY_READ)
        return await self._ports.store.get_key_record(ref)

    async def list(self, caller: Caller, *, cursor: str = "", limit: int = 50) -> Page[KeyRecord]:
        """Oldest first."""
        self._audit.check(caller, Permission.CA_KEY_READ)
        return await self._ports.store.list_key_records(cursor=cursor, limit=limit)

    async def carry_out(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        """What others agreed to."""
        match content:
            case {"do": "generate", "spec": str(spec), "label": str(label)}:
                record = await self.generate(caller, KeySpec(spec), label=label, ballot=ballot)
            case {"do": "activate", "key": str(ref)}:
                record = await self.activate(caller, KeyRef(ref), ballot=ballot)
            case {"do": "retire", "key": str(ref)}:
                record = await self.retire(caller, KeyRef(ref), ballot=ballot)
            case {"do": "destroy", "key": str(ref)}:
                record = await self.destroy(caller, KeyRef(ref), ballot=ballot)
            case _:
                raise unreadable()
        return f"key:{record.ref}"

    async def _move(self, caller: Caller, ref: KeyRef, state: KeyState, permission: Permission, ballot: Ballot) -> KeyRecord:
        act = caller.act(permission, f"key:{ref}", state=state)
        async with self._audit.act(act, order=order_of({"do": _VERBS[state], "key": ref}, ballot), ballot=ballot) as opened:
            self._vault.forget(ref)
            record = await self._vault.record(ref)
            await self._ports.store.commit(self._vault.change(record, state), opened.done(after_sha256=record.spki_sha256))
            self._vault.forget(ref)
        return await self._vault.record(ref)

    async def _check_unused(self, record: KeyRecord) -> None:
        for authority in await self._ports.store.list_authorities():
            if authority.key == record.ref and authority.state is AuthorityState.ACTIVE:
                raise Refused.because(
                    "key.in_use", f"the authority {authority.id} signs with this key", path="key", hint="retire the authority first"
                )


def _check_label(label: str) -> None:
    """The log finds its keys by their labels, and does not start with one of them twice."""
    if label.startswith(LOG_PREFIX):
        raise Refused.because("key.label.reserved", f"a label that begins with {LOG_PREFIX!r} is for the log's own keys", path="label")


_VERBS: Final = {KeyState.ACTIVE: "activate", KeyState.RETIRED: "retire"}


def _spell(attestation: KeyAttestation | None) -> bytes:
    """The attestation as the register keeps it: canonical JSON around the vendor's own octets."""
    if attestation is None:
        return b""
    statement = base64.b64encode(attestation.statement).decode()
    return canonical_json.encode({"kind": attestation.kind, "is_hardware": attestation.is_hardware, "statement": statement})
