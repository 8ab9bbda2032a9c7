"""The audit entry's body: one canonical JSON document per act, the leaf of the log (docs/specs/audit-entry.md).

It carries everything `decide` was given, so that anybody with the log can make the decision again. What names a person is in it as
a commitment only: HMAC-SHA256 of the value under a salt that stays in the store and can be forgotten.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.encode import encode_actor, encode_ballot, encode_decision, encode_resource
from chargepki.core.access.model import EVERYBODY, NO_BALLOT, PLATFORM_RESOURCE, Actor, Ballot, Decision, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import AuditEntry, AuditId, Outcome, PartyId
from chargepki.errors import Broken, Finding

BODY_OCTETS_MAX: Final = 16 * 1024  # a Merkle tile's entry bundle allows 65,535; ours stay readable
FINDINGS_MAX: Final = 32
TEXT_MAX: Final = 512  # per free text; what came from outside is cut, never trusted to be short
DETAIL_MAX: Final = 16
SALT_OCTETS: Final = 16


@dataclass(frozen=True, slots=True)
class Act:
    """Who does what to which object, as a door understood it. `request_sha256` is over the bytes that were received.

    `resource` None: not known before the use case has looked (`OpenAct.check` names it then). `personal` are facts about a person
    (`subject`, or the actor): the log gets commitments of them.
    """

    actor: Actor
    action: Permission
    object: str
    door: str = ""  # "api", "ocpp1.6", "cli", "system"
    remote: str = ""
    trace: str = ""
    request_sha256: bytes = b""
    detail: dict[str, str] = field(default_factory=dict)  # facts for the reader; no secret, no key, no person
    resource: Resource | None = PLATFORM_RESOURCE
    personal: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision and everything it was made from."""

    decision: Decision
    resource: Resource
    policy: str
    at: datetime
    ballot: Ballot = NO_BALLOT


@dataclass(frozen=True, slots=True)
class Effect:
    """What came of an act: facts about the object, and its hashes before and after."""

    facts: JsonValue = None
    before_sha256: bytes = b""
    after_sha256: bytes = b""


NO_EFFECT: Final = Effect()


def assemble_entry(
    id: AuditId,
    at: datetime,
    act: Act,
    outcome: Outcome,
    *,
    judgement: Judgement | None,
    of: AuditId | None = None,
    party: str = "",
    findings: Sequence[Finding] = (),
    effect: Effect = NO_EFFECT,
    salt: bytes = b"",
) -> AuditEntry:
    """The entry of one act; `of` names the earlier entry of the same act that holds its judgement, `party` whose that was about.

    Its body never exceeds `BODY_OCTETS_MAX`: findings and texts are bounded, and a judgement too large to be recorded allows nothing
    (`Broken`).
    """
    personal = {"remote": act.remote, **act.personal} if act.remote else dict(act.personal)
    clear = {name: _cut(value) for name, value in sorted(personal.items()) if value}
    if clear and len(salt) != SALT_OCTETS:
        raise ValueError("commitments need a salt")
    body: dict[str, JsonValue] = {
        "v": 2,
        "id": id,
        "time": _spell(at),
        "actor": _cut(act.actor.id),
        "action": act.action,
        "object": _cut(act.object),
        "door": act.door,
        "outcome": outcome,
        "request_sha256": act.request_sha256.hex(),
        "trace": _cut(act.trace),
        "findings": [_show_finding(finding) for finding in findings[:FINDINGS_MAX]],
        "detail": {key: _cut(value, 200) for key, value in sorted(act.detail.items())[:DETAIL_MAX]},
        "personal": {name: commit(salt, name, value) for name, value in clear.items()},
        "effect": effect.facts,
        "before_sha256": effect.before_sha256.hex(),
        "after_sha256": effect.after_sha256.hex(),
    }
    if of is not None:
        body["of"] = of
    if judgement is not None:
        body["judgement"] = encode_judgement(act, judgement)
    octets = canonical_json.encode(body)
    if len(octets) > BODY_OCTETS_MAX:
        raise Broken(
            f"the decision about {act.action} takes {len(octets)} octets of the log, more than {BODY_OCTETS_MAX}",
            hint="the actor or the voters hold too many grants with too long scopes: divide them among several holders",
        )
    private = canonical_json.encode({"salt": salt.hex(), "values": clear}) if clear else b""
    whose = judgement.resource.party if judgement is not None else party
    subject = act.subject or act.actor.person
    return AuditEntry(
        id,
        at,
        _cut(act.actor.id),
        act.action,
        _cut(act.object),
        outcome,
        octets,
        PartyId("" if whose == EVERYBODY else whose),
        private,
        subject if clear else "",
    )


def encode_judgement(act: Act, judgement: Judgement) -> JsonValue:
    """All that `decide` was given, and what it answered: `core/access/replay.py` reads it again."""
    inputs: dict[str, JsonValue] = {
        "actor": encode_actor(act.actor),
        "resource": encode_resource(judgement.resource),
        "policy": judgement.policy,
        "at": _spell(judgement.at),
        "decision": encode_decision(judgement.decision),
    }
    if judgement.ballot != NO_BALLOT:
        inputs["ballot"] = encode_ballot(judgement.ballot)
    return inputs


def commit(salt: bytes, name: str, value: str) -> str:
    """A commitment to a personal value: nothing can be learnt from it without the salt, and nothing else fits it."""
    return hmac.new(salt, f"{name}\0{value}".encode(), hashlib.sha256).hexdigest()


def _show_finding(finding: Finding) -> JsonValue:
    return {"code": finding.code, "severity": finding.severity, "message": _cut(finding.message, 200), "path": _cut(finding.path, 100)}


def _spell(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(text: str, limit: int = TEXT_MAX) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
