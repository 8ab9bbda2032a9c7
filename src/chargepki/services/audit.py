"""The gate and the trail in one place: every use case runs inside `AuditTrail.act`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from chargepki.core.access.decide import Actor, Allow, check_allowed, decide
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Act, assemble_entry
from chargepki.core.canonical_json import JsonValue
from chargepki.core.rates import RateWindow
from chargepki.core.records import AuditEntry, AuditId, Outcome, Page
from chargepki.errors import Broken, Conflict, Finding, Refused
from chargepki.ports import AppendAudit, Ports

# A minute's worth. A fleet behind one address that was shut out shows itself in far fewer; a flood would fill the disk with the same.
REFUSALS_PER_ADDRESS_MAX: Final = 60
REFUSALS_OF_STRANGERS_MAX: Final = 300
ADDRESSES_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """What a door knows of who is asking. `request_sha256` is over the bytes that were received."""

    actor: Actor
    door: str = ""
    remote: str = ""
    trace: str = ""
    request_sha256: bytes = b""

    def act(self, action: Permission, object: str, **detail: str) -> Act:
        return Act(self.actor, action, object, self.door, self.remote, self.trace, self.request_sha256, detail)


@dataclass(slots=True)
class OpenAct:
    """An allowed act that is under way. `done()` is the change that the use case commits with its effect."""

    act: Act
    via: str
    _ports: Ports
    id: AuditId
    decision: dict[str, JsonValue] = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    is_recorded: bool = False

    def done(self, *, object: str = "", before_sha256: bytes = b"", after_sha256: bytes = b"") -> AppendAudit:
        """The entry of a success; commit it in the same transaction as what it speaks of."""
        self.is_recorded = True
        act = self.act if not object else _with_object(self.act, object)
        return AppendAudit(self._entry(act, Outcome.DONE, self.findings, before_sha256, after_sha256))

    def ended(self, outcome: Outcome, findings: Sequence[Finding]) -> AppendAudit:
        return AppendAudit(self._entry(self.act, outcome, findings, b"", b""))

    def _entry(self, act: Act, outcome: Outcome, findings: Sequence[Finding], before: bytes, after: bytes) -> AuditEntry:
        decision: JsonValue = {"via": self.via, **self.decision}
        return assemble_entry(
            self.id, self._ports.clock.now(), act, outcome, decision=decision, findings=findings, before_sha256=before, after_sha256=after
        )


class _Strangers:
    """Bounds what people nobody knows may write to the trail: so many refusals per address, so many altogether, the rest counted."""

    def __init__(self) -> None:
        self._by_address = RateWindow(limit=REFUSALS_PER_ADDRESS_MAX, seconds=60, keys_max=ADDRESSES_MAX)
        self._all = RateWindow(limit=REFUSALS_OF_STRANGERS_MAX, seconds=60, keys_max=1)
        self._unrecorded = 0

    def take(self, address: str, now: float) -> int | None:
        """How many refusals went unrecorded since the last recorded one; None when this one goes unrecorded too."""
        if self._by_address.retry_after(address, now) or self._all.retry_after("", now):
            self._unrecorded += 1
            return None
        self._by_address.note(address, now)
        self._all.note("", now)
        unrecorded, self._unrecorded = self._unrecorded, 0
        return unrecorded


class AuditTrail:
    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._strangers = _Strangers()

    @asynccontextmanager
    async def act(self, act: Act, *, stranger: str = "") -> AsyncIterator[OpenAct]:
        """Authorises `act`, then runs the body. A refusal or a breakdown inside is recorded and goes on to the caller.

        `stranger` is the address of a caller who has proved nothing yet. Of those, only so many refusals a minute are recorded; the
        next entry tells how many were not (`detail.unrecorded`).
        """
        allowed = decide(act.actor, act.action)
        via = allowed.via if isinstance(allowed, Allow) else ""
        opened = OpenAct(act, via, self._ports, AuditId(self._ports.entropy.ulid("aud")))
        try:
            check_allowed(act.actor, act.action)
            yield opened
        except Refused as refusal:
            if not stranger or self._may_record(act, stranger):
                await self._ports.store.commit(opened.ended(Outcome.REFUSED, (*opened.findings, *refusal.findings)))
            raise
        except Broken as broken:
            # The store may be what broke: the caller hears of that first. `Conflict`: the effect was committed after all, with its entry.
            with suppress(Broken, Conflict):
                await self._ports.store.commit(opened.ended(Outcome.BROKEN, (Finding("platform.broken", str(broken), hint=broken.hint),)))
            raise

    async def list(
        self, caller: Caller, *, actor: str = "", action: str = "", object: str = "", outcome: str = "", cursor: str = "", limit: int = 50
    ) -> Page[AuditEntry]:
        """Reading leaves no entry: the trail records changes and refusals."""
        check_allowed(caller.actor, Permission.AUDIT_ENTRY_READ)
        return await self._ports.store.list_audit(actor=actor, action=action, object=object, outcome=outcome, cursor=cursor, limit=limit)

    def _may_record(self, act: Act, stranger: str) -> bool:
        unrecorded = self._strangers.take(stranger, asyncio.get_running_loop().time())
        if unrecorded:
            act.detail["unrecorded"] = str(unrecorded)
        return unrecorded is not None


def _with_object(act: Act, object: str) -> Act:
    return Act(act.actor, act.action, object, act.door, act.remote, act.trace, act.request_sha256, act.detail)
