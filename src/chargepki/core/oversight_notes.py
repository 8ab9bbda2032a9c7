"""An `Oversight` as JSON, so that a monitor goes on where it stopped. It reads only what it wrote itself."""

from collections.abc import Mapping
from typing import Any

from chargepki.core.access.replay import parse_time
from chargepki.core.canonical_json import JsonValue
from chargepki.core.oversight import OpenIntent, Oversight, Votes
from chargepki.errors import Refused


def encode_oversight(oversight: Oversight) -> JsonValue:
    return {
        "expected": oversight.expected,
        "latest": "" if oversight.latest is None else oversight.latest.isoformat(),
        "is_production": oversight.is_production,
        "intents": {id: _encode_intent(intent) for id, intent in oversight.intents.items()},
        "votes": {digest: {"at": votes.at.isoformat(), "voters": votes.voters} for digest, votes in oversight.votes.items()},
        "standing": [*oversight.standing],
        "used": [*oversight.used],
    }


def decode_oversight(value: Mapping[str, Any]) -> Oversight:
    """`ValueError` for anything that `encode_oversight` did not write."""
    try:
        return Oversight(
            str(value["expected"]),
            parse_time(value["latest"]) if value["latest"] else None,
            value["is_production"] is True,
            {str(id): _decode_intent(*one) for id, one in value["intents"].items()},
            {str(digest): _decode_votes(one) for digest, one in value["votes"].items()},
            dict.fromkeys(map(str, value["standing"])),
            dict.fromkeys(map(str, value["used"])),
        )
    except (AttributeError, KeyError, TypeError, Refused) as error:
        raise ValueError(f"this is not what a monitor wrote: {error!r}") from error


def _encode_intent(intent: OpenIntent) -> JsonValue:
    return [
        intent.index,
        intent.at.isoformat(),
        intent.actor,
        intent.action,
        intent.object,
        intent.intent,
        intent.digest,
        intent.tbs_sha256,
    ]


def _decode_intent(index: int, at: str, actor: str, action: str, object: str, intent: str, digest: str, tbs: str) -> OpenIntent:
    return OpenIntent(int(index), parse_time(at), str(actor), str(action), str(object), str(intent), str(digest), str(tbs))


def _decode_votes(value: Mapping[str, Any]) -> Votes:
    return Votes(parse_time(value["at"]), {str(person): is_for is True for person, is_for in value["voters"].items()})
