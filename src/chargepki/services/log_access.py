"""The log for those who are not on its machine: its head, its files, its proofs, within what the caller may see."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

from chargepki.core.access.model import PLATFORM_RESOURCE, PUBLIC_RESOURCE, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.records import AuditEntry, AuditId, Certificate, CertificateId, PartyId
from chargepki.core.tlog.notes import Note
from chargepki.core.tlog.proof import Proof
from chargepki.core.tlog.tiles import ENTRIES, parse_tile_path
from chargepki.errors import Finding, NotFound
from chargepki.ports import Ports
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.log import LogHealth, TransparencyLog
from chargepki.services.scoping import no_such_certificate, resource_of_certificate

ENTRIES_MAX: Final = 50  # about one certificate: its intent and what became of it


@dataclass(frozen=True, slots=True)
class ProvedEntry:
    entry: AuditEntry
    proof: Proof


class LogAccess:
    def __init__(self, ports: Ports, audit: AuditTrail, log: TransparencyLog) -> None:
        self._ports, self._audit, self._log = ports, audit, log

    def health(self, caller: Caller) -> LogHealth:
        """Hashes and signatures tell nobody anything about others: whoever may read proofs may read these."""
        self._audit.check(caller, Permission.AUDIT_PROOF_READ, PUBLIC_RESOURCE)
        return self._log.health()

    def sees_everybody(self, caller: Caller) -> bool:
        """Whether what is said about entries, whosever they are, is for this caller."""
        return self._audit.parties_of(caller, Permission.AUDIT_PROOF_READ) is None

    def checkpoint(self, caller: Caller, *, is_cosigned: bool = False) -> Note:
        self._audit.check(caller, Permission.AUDIT_PROOF_READ, PUBLIC_RESOURCE)
        note = self._log.cosigned() if is_cosigned else self._log.checkpoint()
        if note is None:
            raise NotFound.because("log.cosigned.none", "no witness has signed a checkpoint yet", hint="chargepki log status")
        return note

    async def file(self, caller: Caller, path: str) -> bytes:
        """A tile, or a bundle of entries: those are about everybody, so whoever carries them away may export the whole log."""
        self._audit.check(caller, Permission.AUDIT_PROOF_READ, PUBLIC_RESOURCE)
        tile = parse_tile_path(path)
        if tile.level == ENTRIES:
            self._audit.check(caller, Permission.AUDIT_EXPORT_CREATE, PLATFORM_RESOURCE)
        return await self._ports.tiles.read(path)

    async def prove(self, caller: Caller, what: str) -> tuple[ProvedEntry, ...]:
        """Of an entry (`aud_...` or its index), a certificate (`crt_...`): the entry that says it was done, and its intent.

        `NotFound` for what the caller may not see.
        """
        self._audit.check_held(caller, Permission.AUDIT_PROOF_READ)
        entries = await (self._of_certificate(caller, what) if what.startswith("crt_") else self._of_entry(caller, what))
        await self._log.settle()  # what was committed a moment ago is in the log after this
        return tuple([ProvedEntry(entry, await self._log.prove(_index_of(entry))) for entry in entries])

    async def _of_entry(self, caller: Caller, what: str) -> tuple[AuditEntry, ...]:
        missing = NotFound(Finding("audit.entry.unknown", f"there is no audit entry {what}", hint="list them: chargepki log list"))
        entries = await self._with_intent(await self._ports.store.get_audit(await self._id_of(what, missing)))
        self._audit.check_visible(caller, Permission.AUDIT_PROOF_READ, Resource(party=_party_of(entries)), missing)
        return entries

    async def _id_of(self, what: str, missing: NotFound) -> AuditId:
        if not what.isascii() or not what.isdigit():
            return AuditId(what)
        leaves = await self._ports.store.list_leaves(first=int(what), limit=1) if len(what) <= 18 else ()
        if not leaves:
            raise missing
        return AuditId(str(_body(leaves[0]).get("id", "")))

    async def _of_certificate(self, caller: Caller, what: str) -> tuple[AuditEntry, ...]:
        missing = no_such_certificate(CertificateId(what))
        certificate = await self._ports.store.get_certificate(CertificateId(what))
        if not certificate.profile.startswith(("root/", "sub/", "cross/")):  # everybody who trusts us may see how those came to be
            self._audit.check_visible(caller, Permission.AUDIT_PROOF_READ, resource_of_certificate(certificate), missing)
        digest = hashlib.sha256(certificate.der).hexdigest()
        for object in await self._objects_of(certificate):
            page = await self._ports.store.list_audit(object=object, outcome="done", limit=ENTRIES_MAX)
            for entry in page.items:
                if _body(entry.body).get("after_sha256") == digest:
                    return await self._with_intent(entry)
        message = f"the log has no entry that {what} was issued"
        raise NotFound.because("log.certificate.unlogged", message, hint="an incident: chargepki log verify --with-store")

    async def _objects_of(self, certificate: Certificate) -> tuple[str, ...]:
        of_authorities = [f"authority:{a.id}" for a in await self._ports.store.list_authorities() if a.certificate == certificate.id]
        return (f"certificate:{certificate.id}", *of_authorities)

    async def _with_intent(self, entry: AuditEntry) -> tuple[AuditEntry, ...]:
        of = _body(entry.body).get("of")
        return (entry, await self._ports.store.get_audit(AuditId(of))) if isinstance(of, str) else (entry,)


def _body(octets: bytes) -> dict[str, Any]:
    body = json.loads(octets)
    return body if isinstance(body, dict) else {}


def _party_of(entries: tuple[AuditEntry, ...]) -> PartyId:
    """The intent has the decision, and with it the party."""
    return entries[-1].party


def _index_of(entry: AuditEntry) -> int:
    if entry.index is None:
        raise NotFound.because("log.entry.unknown", f"{entry.id} is not in the log yet", hint="ask again in a second")
    return entry.index
