"""Cursors: where the next page of a list begins, opaque to the caller. A page costs the same at any depth: no OFFSET."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from chargepki.adapters.store.rows.values import AnyRow
from chargepki.core.records import Page
from chargepki.errors import Refused
from chargepki.ports import PAGE_SIZE_MAX

CURSOR_LENGTH_MAX: Final = 1024  # ours hold one id and one number
INTEGER_MAX: Final = 2**63 - 1

T = TypeVar("T")
Key = int | str


def page_size(limit: int) -> int:
    """`limit` within 1 and `PAGE_SIZE_MAX`."""
    return max(1, min(limit, PAGE_SIZE_MAX))


def page_of(rows: Sequence[AnyRow], limit: int, record_of: Callable[[AnyRow], T], list_name: str, *columns: str) -> Page[T]:
    """The page of at most `page_size(limit)` rows out of one more than that; `columns` are the list's order."""
    size = page_size(limit)
    shown = rows[:size]
    following = encode(list_name, *(getattr(shown[-1], column) for column in columns)) if len(rows) > size else ""
    return Page(tuple(record_of(row) for row in shown), following)


def encode(list_name: str, *keys: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([list_name, *keys]).encode()).decode().rstrip("=")


def parse(cursor: str, list_name: str, *kinds: type[Key]) -> tuple[Key, ...] | None:
    """The keys after which the page begins, None for "" (the first page); `Refused` for a cursor that this list did not make."""
    if not cursor:
        return None
    try:
        if len(cursor) > CURSOR_LENGTH_MAX:
            raise ValueError(f"longer than {CURSOR_LENGTH_MAX} characters")
        name, *keys = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise _malformed() from error
    if name != list_name or len(keys) != len(kinds) or not all(_fits(key, kind) for key, kind in zip(keys, kinds, strict=True)):
        raise _malformed()
    return tuple(keys)


def _fits(key: object, kind: type[Key]) -> bool:
    return type(key) is kind and (not isinstance(key, int) or 0 <= key <= INTEGER_MAX)


def _malformed() -> Refused:
    return Refused.because(
        "list.cursor.malformed",
        "the cursor was not made by this list",
        path="cursor",
        hint="pass the `next` of the page before, unchanged, or leave it out to begin at the start",
    )
