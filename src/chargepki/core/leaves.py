"""Reads the leaves of the log: audit entries of version 2, as `core/audit.py` writes them (docs/specs/audit-entry.md)."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from chargepki.core import canonical_json
from chargepki.core.access.replay import parse_time
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import Outcome
from chargepki.errors import Refused

INDEX_DIGITS_MAX: Final = 12
SPEC: Final = "docs/specs/audit-entry.md"
_ID: Final = re.compile(rb'"id":"(aud_[0-9A-Z]{26})"')


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


def is_of_version_1(octets: bytes) -> bool:
    """Whether this is an entry of before the log: a row that an upgrade took in, without the inputs of its decision."""
    try:
        body = json.loads(octets)
        is_shaped = isinstance(body, dict) and body.get("v") == 1 and {"id", "role", "decision", "outcome"} <= body.keys()
        return is_shaped and canonical_json.encode(body) == octets
    except (ValueError, RecursionError):
        return False


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


def find_id(octets: bytes) -> str:
    """The id that stands in a leaf that may be damaged; "" when there is none to be seen."""
    match = _ID.search(octets)
    return "" if match is None else match[1].decode()


def find_leaves(entries: Iterable[bytes], what: str) -> tuple[tuple[int, bytes], ...]:
    """The leaf that an index or an entry's id names, or that says a certificate (by id or serial number) was issued; then its intent."""
    wanted = int(what) if is_index(what) else None
    serial = what.replace(":", "").lower().lstrip("0")
    intents: dict[str, tuple[int, bytes, str]] = {}
    for index, octets in enumerate(entries):
        try:
            leaf = parse_leaf(octets)
        except Refused:
            continue  # the monitor says so
        announced = intents.pop(leaf.of, None)
        if leaf.outcome == Outcome.INTENT:
            intents[leaf.id] = (index, octets, str(leaf.effect.get("serial")))
        is_issued = announced is not None and leaf.outcome == Outcome.DONE
        is_certificate = is_issued and (leaf.object == f"certificate:{what}" or (announced or (0, b"", ""))[2] == serial)
        if wanted == index or leaf.id == what or (wanted is None and is_certificate):
            return ((index, octets), *((announced[:2],) if announced is not None else ()))
    return ()


def is_index(text: str) -> bool:
    """Serial numbers are longer, ids begin with letters."""
    return text.isascii() and text.isdigit() and len(text) <= INDEX_DIGITS_MAX
