"""Plain values of columns; both databases read the same."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Row

from chargepki.core import canonical_json
from chargepki.core.canonical_json import JsonValue

Value = str | int | bytes | bool | None
Values = Mapping[str, Any]  # column to value
AnyRow = Row[*tuple[Any, ...]]

SERIAL_OCTETS: Final = 20  # RFC 5280 4.1.2.2: at most 20 octets
SERIAL_MAX: Final = 2 ** (8 * SERIAL_OCTETS) - 1


def storable(text: str) -> str:
    """`text` with U+FFFD where PostgreSQL has no room for a character: NUL, and the lone surrogates of broken UTF-16."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    return text.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def text_or_none(text: str | None) -> str | None:
    return None if text is None else storable(text)


def serial_octets(serial: int) -> bytes:
    return serial.to_bytes(SERIAL_OCTETS, "big")


def seconds(at: datetime) -> int:
    return int(at.timestamp())


def seconds_or_none(at: datetime | None) -> int | None:
    return None if at is None else int(at.timestamp())


def time_of(value: int) -> datetime:
    return datetime.fromtimestamp(value, UTC)


def time_or_none(value: int | None) -> datetime | None:
    return None if value is None else datetime.fromtimestamp(value, UTC)


def json_text(value: JsonValue) -> str:
    return storable(canonical_json.encode(value).decode())


def texts(words: Iterable[object]) -> str:
    """A set as a sorted JSON array."""
    return json_text(sorted(map(str, words)))


def texts_of(column: str) -> frozenset[str]:
    return frozenset(json.loads(column))
