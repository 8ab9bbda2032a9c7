"""The machine's randomness, and sortable ids made from it."""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: people read ids aloud
RANDOM_BITS: Final = 80  # ULID: 48 bits of milliseconds, then 80 random bits, 26 characters in all
ULID_CHARACTERS: Final = 26


class SystemEntropy:
    """Implements `ports.Entropy`. Thread-safe."""

    def __init__(self, milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._milliseconds = milliseconds
        self._lock = threading.Lock()
        self._last = 0

    def octets(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def ulid(self, prefix: str) -> str:
        """`prefix_` and a ULID. Ids of one process are strictly increasing, also within a millisecond and when the clock goes back."""
        fresh = (self._milliseconds() << RANDOM_BITS) | secrets.randbits(RANDOM_BITS)
        with self._lock:
            is_same_millisecond = (fresh >> RANDOM_BITS) <= (self._last >> RANDOM_BITS)
            self._last = self._last + 1 + secrets.randbits(32) if is_same_millisecond else fresh
            value = self._last
        return f"{prefix}_{_crockford(value)}"


def _crockford(value: int) -> str:
    return "".join(CROCKFORD[(value >> shift) & 31] for shift in range(5 * (ULID_CHARACTERS - 1), -1, -5))
