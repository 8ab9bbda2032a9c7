"""The signer without its socket: it reads, judges, signs, lists, and only then answers."""

import asyncio
import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chargepki.adapters.keys.signer import wire
from chargepki.adapters.keys.signer.claims import CertificateClaim, CrlClaim
from chargepki.adapters.keys.signer.journal import Head, Journal
from chargepki.adapters.keys.signer.judge import Allowed, Judge
from chargepki.adapters.keys.signer.policy import PolicyBook, SignerFile, check_may_leave
from chargepki.core.canonical_json import JsonValue
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import KeyRef
from chargepki.errors import Broken, ChargePkiError, Finding, Refused, VaultUnavailable
from chargepki.ports import Clock, KeyHandle, KeyVault, SigningOrder

LIST_DIRECTORY: Final = "list"
POLICY_DIRECTORY: Final = "policies"
REFUSALS_LISTED_MAX: Final = 600  # a minute; a flood would fill the disk with the same line. The rest is counted.
REFERENCE_CHARACTERS_MAX: Final = 200  # of what a line repeats


@dataclass(frozen=True, slots=True)
class Peer:
    pid: int
    uid: int


class Signer:
    """Everything of a signer but its socket. One event loop."""

    def __init__(self, vault: KeyVault, book: PolicyBook, judge: Judge, journal: Journal, handles: tuple[KeyHandle, ...]) -> None:
        self._vault, self._book, self._judge, self._journal = vault, book, judge, journal
        self._handles = {handle.ref: handle for handle in handles}
        self._refusals: tuple[int, int] = (0, 0)  # the minute, and how many were listed in it
        self._unlisted = 0

    @classmethod
    async def open(cls, data: Path, vault: KeyVault, profiles: Profiles, clock: Clock, file: SignerFile) -> "Signer":
        judge = Judge(profiles, clock.now, time.monotonic)
        journal = await asyncio.to_thread(Journal.open, data / LIST_DIRECTORY, clock, judge.remember)
        handles = await vault.list()
        book = await asyncio.to_thread(PolicyBook.open, data / POLICY_DIRECTORY, file, handles)
        signer = cls(vault, book, judge, journal, handles)
        await journal.append({"outcome": "opened", "keys": len(handles)})
        return signer

    @property
    def head(self) -> Head:
        return self._journal.head

    async def close(self) -> None:
        with suppress(VaultUnavailable):  # a list that could not be written any more has told everybody who asked
            await self._journal.append({"outcome": "closed"})
        self._journal.close()

    async def answer(self, peer: Peer, frame: wire.Frame) -> bytes:
        """The answer's frame; every refusal is in the list before it is given."""
        try:
            header, body = await self._perform(peer, wire.parse_request(frame))
        except ChargePkiError as error:
            return wire.encode_frame(frame.number, wire.encode_error(error))
        return wire.encode_frame(frame.number, header, body)

    async def refuse_peer(self, peer: Peer | None, why: str) -> None:
        uid = -1 if peer is None else peer.uid
        await self._list_refusal({"uid": uid}, (Finding("signer.peer.refused", why),))

    async def _perform(self, peer: Peer, request: wire.Request) -> tuple[Mapping[str, JsonValue], bytes]:
        match request:
            case wire.Sign(order):
                return {"ok": True}, await self._sign(peer, order)
            case wire.Get(ref):
                return {"ok": True, "key": wire.encode_handle(await self._handle(ref))}, b""
            case wire.ListKeys():
                return {"ok": True}, wire.encode_handles(await self._vault.list())
            case wire.Attest(ref):
                return wire.encode_attestation(await self._vault.attest((await self._handle(ref)).ref))
            case wire.Generate():
                return {"ok": True, "key": wire.encode_handle(await self._generate(peer, request))}, b""
            case wire.Export():
                return {"ok": True}, await self._export(peer, request)
            case wire.Destroy():
                await self._destroy(peer, request)
                return {"ok": True}, b""

    async def _sign(self, peer: Peer, order: SigningOrder) -> bytes:
        about = _about(peer, order)
        try:
            handle = await self._handle(order.key)
            allowed = self._judge.check(order, handle, self._book.get(order.key))
            # No await between the check and these two: of two orders at once, the second meets what the first left behind.
            self._judge.burn(order, allowed)
            self._keep_names(order, allowed)
            signature = await self._vault.sign(order)
        except Refused as refusal:
            await self._list_refusal(about, refusal.findings)
            raise
        except Broken as broken:
            await self._journal.append({**about, "outcome": "broken", "reason": str(broken)[:200]})
            raise
        await self._journal.append({**about, "says": dict(allowed.says), "outcome": "signed"})
        return signature

    def _keep_names(self, order: SigningOrder, allowed: Allowed) -> None:
        """The first certificate or list fixes the name its key signs under; a certificate of a key in this vault fixes that key's."""
        claim = allowed.claim
        if not isinstance(claim, CertificateClaim | CrlClaim):
            return
        if isinstance(claim, CertificateClaim) and claim.is_ca:
            certified = next((handle for handle in self._handles.values() if handle.spki == claim.spki), None)
            if certified is not None and order.plan is not None:
                self._book.name(certified.ref, claim.subject, order.plan.profile)
        if not self._book.get(order.key).issuer:
            self._book.name(order.key, claim.issuer)

    async def _generate(self, peer: Peer, request: wire.Generate) -> KeyHandle:
        about: dict[str, JsonValue] = {"uid": peer.uid, "op": "generate", "label": _cut(request.label), "spec": request.spec}
        try:
            check_may_leave(request.label, is_exportable=request.is_exportable)
            handle = await self._vault.generate(request.spec, label=request.label, exportable=request.is_exportable)
        except Refused as refusal:
            await self._list_refusal(about, refusal.findings)
            raise
        await asyncio.to_thread(self._book.register, handle)
        self._handles[handle.ref] = handle
        digest = hashlib.sha256(handle.spki).hexdigest()
        await self._journal.append(
            {**about, "key": handle.ref, "exportable": handle.is_exportable, "spki_sha256": digest, "outcome": "generated"}
        )
        return handle

    async def _export(self, peer: Peer, request: wire.Export) -> bytes:
        about: dict[str, JsonValue] = {"uid": peer.uid, "op": "export", "key": _cut(request.ref)}
        try:
            pem = await self._vault.export(request.ref, request.passphrase)
        except Refused as refusal:
            await self._list_refusal(about, refusal.findings)
            raise
        await self._journal.append({**about, "outcome": "exported"})
        return pem

    async def _destroy(self, peer: Peer, request: wire.Destroy) -> None:
        about: dict[str, JsonValue] = {"uid": peer.uid, "op": "destroy", "key": _cut(request.ref)}
        try:
            handle = await self._handle(request.ref)
            # Listed first: a key that is gone without a line would be the one thing nobody can explain.
            await self._journal.append({**about, "label": _cut(handle.label), "outcome": "destroying"})
            await self._vault.destroy(request.ref)
        except Refused as refusal:
            await self._list_refusal(about, refusal.findings)
            raise
        self._handles.pop(request.ref, None)
        await asyncio.to_thread(self._book.forget, request.ref)

    async def _handle(self, ref: KeyRef) -> KeyHandle:
        return self._handles.get(ref) or await self._vault.get(ref)

    async def _list_refusal(self, about: Mapping[str, JsonValue], findings: tuple[Finding, ...]) -> None:
        minute = int(time.monotonic() / 60)
        at, count = self._refusals
        if at == minute and count >= REFUSALS_LISTED_MAX:
            self._unlisted += 1
            return
        self._refusals = (minute, count + 1 if at == minute else 1)
        entry: dict[str, JsonValue] = {**about, "outcome": "refused", "codes": [finding.code for finding in findings[:16]]}
        if self._unlisted:
            entry["unlisted"], self._unlisted = self._unlisted, 0
        await self._journal.append(entry)


def _about(peer: Peer, order: SigningOrder) -> dict[str, JsonValue]:
    """What a line says of an order, whatever becomes of it."""
    decision = b"" if order.plan is None else order.plan.decision
    return {
        "uid": peer.uid,
        "op": "sign",
        "key": _cut(order.key),
        "purpose": order.purpose,
        "algorithm": order.algorithm,
        "data_sha256": hashlib.sha256(order.data).hexdigest(),
        "reference": _cut(order.reference),
        "decision_sha256": hashlib.sha256(decision).hexdigest() if decision else "",
    }


def _cut(text: str) -> str:
    """Bounded, and encodable whatever a client wrote."""
    return text[:REFERENCE_CHARACTERS_MAX].encode(errors="replace").decode()
