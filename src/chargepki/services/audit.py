"""The gate and the trail in one place: every use case runs inside `AuditTrail.act`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from chargepki.core.access.decide import Actor, Allow, check_allowed, decide
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Act, assemble_entry
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import AuditEntry, AuditId, Outcome, Page
from chargepki.errors import Broken, Finding, Refused
from chargepki.ports import AppendAudit, Ports


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


class AuditTrail:
    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    @asynccontextmanager
    async def act(self, act: Act) -> AsyncIterator[OpenAct]:
        """Authorises `act`, then runs the body. A refusal or a breakdown inside is recorded and goes on to the caller."""
        allowed = decide(act.actor, act.action)
        via = allowed.via if isinstance(allowed, Allow) else ""
        opened = OpenAct(act, via, self._ports, AuditId(self._ports.entropy.ulid("aud")))
        try:
            check_allowed(act.actor, act.action)
            yield opened
        except Refused as refusal:
            await self._ports.store.commit(opened.ended(Outcome.REFUSED, (*opened.findings, *refusal.findings)))
            raise
        except Broken as broken:
            # The store may be what broke: the caller hears of that first.
            with suppress(Broken):
                await self._ports.store.commit(opened.ended(Outcome.BROKEN, (Finding("platform.broken", str(broken), hint=broken.hint),)))
            raise

    async def list(
        self, caller: Caller, *, actor: str = "", action: str = "", object: str = "", outcome: str = "", cursor: str = "", limit: int = 50
    ) -> Page[AuditEntry]:
        """Reading leaves no entry: the trail records changes and refusals."""
        check_allowed(caller.actor, Permission.AUDIT_ENTRY_READ)
        return await self._ports.store.list_audit(actor=actor, action=action, object=object, outcome=outcome, cursor=cursor, limit=limit)


def _with_object(act: Act, object: str) -> Act:
    return Act(act.actor, act.action, object, act.door, act.remote, act.trace, act.request_sha256, act.detail)
