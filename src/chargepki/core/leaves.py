"""Reads the leaves of the log: audit entries of version 2, as `core/audit.py` writes them (docs/specs/audit-entry.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.replay import parse_time
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import Outcome
from chargepki.errors import Refused

SPEC: Final = "docs/specs/audit-entry.md"


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry as its leaf has it."""

    id: str
    at: datetime
    actor: str
    action: str
    object: str
    door: str
    outcome: str
    of: str
    trace: str
    detail: Mapping[str, JsonValue]
    effect: Mapping[str, JsonValue]
    after_sha256: str
    judgement: JsonValue


def parse_leaf(octets: bytes) -> Leaf:
    """`Refused` unless it is an audit entry of version 2, in its canonical spelling."""
    try:
        body = json.loads(octets)
        is_canonical = canonical_json.encode(body) == octets
    except (ValueError, RecursionError) as error:
        raise _refuse("it is not JSON") from error
    if not isinstance(body, dict) or not is_canonical or body.get("v") != 2:
        raise _refuse("it is not a canonical JSON object of version 2")
    names = ("id", "actor", "action", "object", "door", "outcome", "trace", "after_sha256", "time")
    texts = {name: text for name in names if isinstance(text := body.get(name), str)}
    if len(texts) != len(names) or not isinstance(body.get("of", ""), str):
        raise _refuse("a field is missing or has another type")
    if texts["outcome"] not in list(Outcome):
        raise _refuse(f"there is no outcome {texts['outcome']!r}")
    effect, detail = body.get("effect"), body.get("detail")
    return Leaf(
        texts["id"],
        parse_time(texts["time"]),
        texts["actor"],
        texts["action"],
        texts["object"],
        texts["door"],
        texts["outcome"],
        body.get("of", ""),
        texts["trace"],
        detail if isinstance(detail, Mapping) else {},
        effect if isinstance(effect, Mapping) else {},
        texts["after_sha256"],
        body.get("judgement"),
    )


def describe_leaf(leaf: Leaf) -> str:
    """For people, in one line."""
    return f"{leaf.at:%Y-%m-%d %H:%M:%SZ} {leaf.actor}: {leaf.action} on {leaf.object}: {leaf.outcome}"


def _refuse(why: str) -> Refused:
    return Refused.because("audit.entry.malformed", why, path="entry", clause=SPEC)
