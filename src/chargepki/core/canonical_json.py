"""Canonical JSON (RFC 8785) for values made of objects, arrays, strings, integers, booleans and null."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

JsonValue = Mapping[str, "JsonValue"] | Sequence["JsonValue"] | str | int | bool | None

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def encode(value: JsonValue) -> bytes:
    """The canonical octets. Numbers are integers only, so no float formatting rule applies; keys are ASCII by our own rule."""
    return _ENCODER.encode(value).encode()
