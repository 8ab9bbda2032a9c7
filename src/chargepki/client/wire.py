"""JSON objects to frozen dataclasses and back. Fields this version does not know are ignored: the API grows additively."""

import dataclasses
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from chargepki.errors import Broken

T = TypeVar("T")


def decode(shape: type[T], raw: object) -> T:
    """The value of dataclass `shape`. Raises `Broken` when the answer has another shape: another version, or not our server."""
    try:
        value: T = _decode(shape, raw)
    except (KeyError, TypeError, ValueError) as error:
        hint = "do client and server have the same version? chargepki --version"
        raise Broken(f"the server's answer is not a {shape.__name__}: {error!r}", hint=hint) from error
    return value


def encode(value: object) -> Any:
    """The JSON object that `decode` reads."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: encode(getattr(value, name)) for name in _shape(type(value))}
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return value


@cache
def _shape(shape: Any) -> dict[str, Any]:
    hints = get_type_hints(shape)
    return {field.name: hints[field.name] for field in dataclasses.fields(shape)}


def _decode(shape: Any, raw: Any) -> Any:
    if isinstance(shape, type) and dataclasses.is_dataclass(shape):
        return shape(**{name: _decode(hint, raw[name]) for name, hint in _shape(shape).items()})
    origin = get_origin(shape)
    if origin in (Union, types.UnionType):
        inner = next(option for option in get_args(shape) if option is not type(None))
        return None if raw is None else _decode(inner, raw)
    if origin is tuple:
        return tuple(_decode(get_args(shape)[0], item) for item in raw)
    if shape is datetime:
        return datetime.fromisoformat(raw)
    if isinstance(shape, type) and not isinstance(raw, shape):
        raise TypeError(f"{raw!r} is no {shape.__name__}")
    return raw
