"""Canonical JSON (RFC 8785) for values made of objects, arrays, strings, integers, booleans and null."""

import json
from collections.abc import Mapping, Sequence

JsonValue = Mapping[str, "JsonValue"] | Sequence["JsonValue"] | str | int | bool | None


def encode(value: JsonValue) -> bytes:
    """The canonical octets. Numbers are integers only, so no float formatting rule applies; keys are ASCII by our own rule."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
