"""Proposals: the exact bytes that voters bind, and how two of them differ.

    {"v": 1, "action": "ca:certificate:propose", "object": "authority:operator-sub", "order": {...}, "resource": {...}, "revision": 2}

Canonical JSON (RFC 8785). `revision` stands there from the second on, so that an edit that is taken back does not bring its old votes
back: other revision, other bytes, other digest.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from chargepki.core import canonical_json
from chargepki.core.access.encode import decode_resource, encode_resource
from chargepki.core.access.model import Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.errors import Broken, Refused

JsonObject = Mapping[str, JsonValue]

PAYLOAD_OCTETS_MAX: Final = 256 * 1024  # five thousand certificate ids to revoke take 165,000
REVISIONS_MAX: Final = 100  # whoever edits more often than that starts anew
DIGEST_PREFIX: Final = "sha256:"
_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
LINES_MAX: Final = 200  # of a payload or a difference shown to people; the rest is counted


@dataclass(frozen=True, slots=True)
class Content:
    """What a payload says: this order, carried out on this object, which lies in this resource."""

    action: Permission
    object: str
    order: JsonObject
    resource: Resource
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two payloads differ: "order.until". "" stands for what is not there."""

    path: str
    before: str
    after: str


def assemble_payload(content: Content) -> bytes:
    """The bytes to vote on. `Refused` when they are too many."""
    body: dict[str, JsonValue] = {
        "v": 1,
        "action": content.action,
        "object": content.object,
        "order": content.order,
        "resource": encode_resource(content.resource),
    }
    if content.revision > 1:
        body["revision"] = content.revision
    payload = canonical_json.encode(body)
    if len(payload) > PAYLOAD_OCTETS_MAX:
        message = f"the proposal has {len(payload)} octets, more than {PAYLOAD_OCTETS_MAX}"
        raise Refused.because("approval.payload.too_large", message, hint="divide it into several")
    return payload


def parse_payload(payload: bytes) -> Content:
    """What `assemble_payload` spelt. `Broken` for anything else: payloads come from our own register."""
    body = _load(payload)
    try:
        if body["v"] != 1:
            raise ValueError(f"version {body['v']}")
        order, revision = body["order"], body.get("revision", 1)
        if not isinstance(order, dict) or not isinstance(revision, int):
            raise TypeError("the order is no object, or the revision no number")
        return Content(Permission(str(body["action"])), str(body["object"]), order, decode_resource(body["resource"]), revision)
    except (KeyError, TypeError, ValueError, Refused) as error:
        raise Broken(f"a proposal cannot be read: {error}", hint="the register was changed by hand: chargepki log verify") from error


def digest_payload(payload: bytes) -> bytes:
    return hashlib.sha256(payload).digest()


def parse_digest(text: str) -> bytes:
    """From "sha256:" and 64 hex digits, or the digits alone."""
    match = _DIGEST.fullmatch(text)
    if match is None:
        raise Refused.because("approval.digest.malformed", "a digest is sha256: and 64 hex digits", path="digest", hint="copy it whole")
    return bytes.fromhex(match[1])


def spell_digest(digest: bytes) -> str:
    return DIGEST_PREFIX + digest.hex()


def flatten(value: JsonValue, path: str = "") -> Iterator[tuple[str, str]]:
    """Every leaf with its place, in the order of the places: ("order.names.0", "station-serial:SN-2026-")."""
    if isinstance(value, Mapping) and value:
        for name in sorted(value):
            yield from flatten(value[name], f"{path}.{name}" if path else name)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for at, item in enumerate(value):
            yield from flatten(item, f"{path}.{at}" if path else str(at))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def diff_payloads(before: bytes, after: bytes) -> tuple[Difference, ...]:
    """Where two payloads differ, by place; at most `LINES_MAX`."""
    old, new = dict(flatten(_load(before))), dict(flatten(_load(after)))
    places = [*old, *(path for path in new if path not in old)]
    changed = (Difference(path, old.get(path, ""), new.get(path, "")) for path in places if old.get(path) != new.get(path))
    return tuple(difference for difference, _ in zip(changed, range(LINES_MAX), strict=False))


def _load(payload: bytes) -> dict[str, JsonValue]:
    try:
        body = json.loads(payload)
    except ValueError as error:
        raise Broken(f"a proposal cannot be read: {error}", hint="the register was changed by hand: chargepki log verify") from error
    if not isinstance(body, dict):
        raise Broken("a proposal is no JSON object", hint="the register was changed by hand: chargepki log verify")
    return cast(dict[str, JsonValue], body)
