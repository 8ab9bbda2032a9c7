"""Makes a recorded decision again: the same inputs, the same function. What does not follow was not decided by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from chargepki.core.access.decide import decide
from chargepki.core.access.encode import decode_actor, decode_ballot, decode_decision, decode_resource
from chargepki.core.access.model import NO_BALLOT, Actor, Allow, Ballot, Decision, Deny, NeedsApproval, Policy, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import POLICIES
from chargepki.core.canonical_json import JsonValue
from chargepki.errors import Finding, Refused


@dataclass(frozen=True, slots=True)
class Recorded:
    """A judgement as the log has it (`core.audit.encode_judgement`), with the permission that was asked for."""

    actor: Actor
    permission: Permission
    resource: Resource
    policy: str
    at: datetime
    ballot: Ballot
    decision: Decision


def decode_judgement(permission: str, value: JsonValue) -> Recorded:
    """`Refused` unless every part of it can be read."""
    if not isinstance(value, Mapping):
        raise _malformed("a judgement is an object")
    policy, at = value.get("policy"), value.get("at")
    if not isinstance(policy, str) or not isinstance(at, str):
        raise _malformed("a judgement names its policy and its time")
    return Recorded(
        decode_actor(value.get("actor")),
        _permission(permission),
        decode_resource(value.get("resource")),
        policy,
        parse_time(at),
        decode_ballot(value["ballot"]) if "ballot" in value else NO_BALLOT,
        decode_decision(value.get("decision")),
    )


def replay(recorded: Recorded, policy: Policy) -> Decision:
    return decide(recorded.actor, recorded.permission, recorded.resource, recorded.at, policy, recorded.ballot)


def find_deviation(recorded: Recorded) -> Finding | None:
    """What is wrong with a recorded decision: its policy is unknown, or it does not follow from its inputs."""
    policy = POLICIES.get(recorded.policy)
    if policy is None:
        message = f"it was decided under the policy {recorded.policy!r}, which this version does not know"
        return Finding("monitor.policy.unknown", message, hint="look at it with the version that decided it")
    again = replay(recorded, policy)
    if is_same(again, recorded.decision):
        return None
    message = f"recorded: {describe(recorded.decision)}; its own inputs come to: {describe(again)}"
    hint = "the entry was written by something else than the gate; treat what it allowed as not allowed"
    return Finding("monitor.decision.differs", message, hint=hint)


def is_same(one: Decision, other: Decision) -> bool:
    """The same answer for the same reasons. Sentences of a denial may have been worded anew since; its codes are compared."""
    if isinstance(one, Deny) and isinstance(other, Deny):
        return {code for code, _ in one.reasons} == {code for code, _ in other.reasons}
    return one == other


def describe(decision: Decision) -> str:
    """For people, in one line."""
    match decision:
        case Allow(via):
            return f"allowed by {via}"
        case Deny(reasons):
            return f"denied ({', '.join(sorted({code for code, _ in reasons}))})"
        case NeedsApproval(rule, missing):
            seats = ", ".join(f"{seat.count} x {seat.permission}" for seat in missing) or "time"
            return f"waiting under {rule} for {seats}"


def parse_time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _malformed("a time is spelt 2026-11-22T09:00:00Z")


def _permission(text: str) -> Permission:
    try:
        return Permission(text)
    except ValueError:
        raise _malformed(f"there is no permission {text[:40]!r}") from None


def _malformed(why: str) -> Refused:
    return Refused.because("access.record.malformed", why, path="judgement")
