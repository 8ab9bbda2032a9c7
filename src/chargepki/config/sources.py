"""Where values come from: the file, the environment and flags, each as values by key, with what to call their origin."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from chargepki.config.sections import DEFAULT_TYPES
from chargepki.errors import Refused

FILE_NAME: Final = "config.toml"
FILE_OCTETS_MAX: Final = 256 * 1024
ENVIRONMENT_PREFIX: Final = "CHARGEPKI_"
ENVIRONMENT_SEPARATOR: Final = "__"  # CHARGEPKI_DATA and the like, without it, are no configuration keys

Key = tuple[str, ...]
Values = dict[Key, tuple[Any, str]]


def from_file(path: Path) -> Values:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_OCTETS_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Refused.because("config.unreadable", f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    if len(content) > FILE_OCTETS_MAX:
        raise Refused.because("config.too_long", f"{path} is longer than {FILE_OCTETS_MAX} octets", path=str(path))
    try:
        table = tomllib.loads(content.decode())
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise Refused.because("config.syntax", f"{path} is no TOML: {error}", path=str(path), hint="https://toml.io") from error
    return {key: (value, path.name) for key, value in flatten(table).items()}


def from_environment(environment: Mapping[str, str]) -> Values:
    """Lists and tables are TOML (`["a", "b"]`); everything else is taken as it stands."""
    found: Values = {}
    for name, text in sorted(environment.items()):
        spelt = name.removeprefix(ENVIRONMENT_PREFIX)
        if spelt == name or ENVIRONMENT_SEPARATOR not in spelt:
            continue
        key = tuple(spelt.lower().split(ENVIRONMENT_SEPARATOR))
        try:
            value = tomllib.loads(f"value = {text}")["value"] if text.startswith(("[", "{")) else text
        except tomllib.TOMLDecodeError as error:
            raise Refused.because("config.syntax", f"{name} is no TOML value: {error}", path=name) from error
        found[key] = (value, name)
    return found


def from_flags(overrides: Mapping[str, Any] | None) -> Values:
    return {tuple(key.split(".")): (value, "flag") for key, value in (overrides or {}).items()}


def flatten(table: Mapping[str, Any], above: Key = ()) -> dict[Key, Any]:
    flat: dict[Key, Any] = {}
    for name, value in table.items():
        flat |= flatten(value, (*above, name)) if isinstance(value, Mapping) else {(*above, name): value}
    return flat


def put_value(merged: dict[Key, Any], key: Key, value: Any) -> None:
    """A value replaces a table of the same name, and the other way round."""
    for other in [other for other in merged if other[: len(key)] == key or key[: len(other)] == other]:
        del merged[other]
    merged[key] = value


def nest(flat: Mapping[Key, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        table = nested
        for name in key[:-1]:
            table = table.setdefault(name, {})
        table[key[-1]] = value
    for section, type in DEFAULT_TYPES.items():
        if isinstance(nested.get(section), dict):
            nested[section].setdefault("type", type)
    return nested
