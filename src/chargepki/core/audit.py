"""The audit entry's body: one canonical JSON document per act (docs/specs/audit-entry.md)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.decide import Actor
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import AuditEntry, AuditId, Outcome
from chargepki.errors import Finding

BODY_OCTETS_MAX: Final = 16 * 1024  # a Merkle tile's entry bundle allows 65,535; ours stay readable
FINDINGS_MAX: Final = 32
TEXT_MAX: Final = 512  # per free text; what came from outside is cut, never trusted to be short


@dataclass(frozen=True, slots=True)
class Act:
    """Who does what to which object, as a door understood it. `request_sha256` is over the bytes that were received."""

    actor: Actor
    action: Permission
    object: str
    door: str = ""  # "api", "ocpp1.6", "cli", "system"
    remote: str = ""
    trace: str = ""
    request_sha256: bytes = b""
    detail: dict[str, str] = field(default_factory=dict)  # facts for the reader; no secret, no key


def assemble_entry(
    id: AuditId,
    at: datetime,
    act: Act,
    outcome: Outcome,
    *,
    decision: JsonValue,
    findings: Sequence[Finding] = (),
    before_sha256: bytes = b"",
    after_sha256: bytes = b"",
) -> AuditEntry:
    """The entry of one act. Its body never exceeds `BODY_OCTETS_MAX`: findings and texts are bounded first."""
    body = canonical_json.encode(
        {
            "v": 1,
            "id": id,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "actor": {"id": _cut(act.actor.id), "kind": act.actor.kind},
            "role": act.actor.role,
            "action": act.action,
            "object": _cut(act.object),
            "door": act.door,
            "remote": _cut(act.remote),
            "request_sha256": act.request_sha256.hex(),
            "decision": decision,
            "outcome": outcome,
            "findings": [
                {"code": f.code, "severity": f.severity, "message": _cut(f.message, 200), "path": _cut(f.path, 100)}
                for f in findings[:FINDINGS_MAX]
            ],
            "detail": {key: _cut(value, 200) for key, value in sorted(act.detail.items())[:16]},
            "before_sha256": before_sha256.hex(),
            "after_sha256": after_sha256.hex(),
            "trace": _cut(act.trace),
        }
    )
    return AuditEntry(id, at, _cut(act.actor.id), act.action, _cut(act.object), outcome, body)


def _cut(text: str, limit: int = TEXT_MAX) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
