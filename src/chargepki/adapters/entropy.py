"""The machine's randomness, and sortable ids made from it."""

import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final

CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: people read ids aloud
RANDOM_BITS: Final = 80  # ULID: 48 bits of milliseconds, then 80 random bits, 26 characters in all
ULID_CHARACTERS: Final = 26
DRAWN_OCTETS: Final = 4096  # one system call's worth: each gives the interpreter lock away, and a certificate takes eight draws

_PAIRS: Final = tuple(high + low for high in CROCKFORD for low in CROCKFORD)  # two characters at a time


class SystemEntropy:
    """Implements `ports.Entropy`. Thread-safe."""

    def __init__(self, milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._milliseconds = milliseconds
        self._lock = threading.Lock()
        self._last = 0
        self._drawn, self._used, self._process = b"", 0, 0

    def octets(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def nonce(self, count: int) -> bytes:
        with self._lock:
            return self._draw(count)

    def ulid(self, prefix: str) -> str:
        """`prefix_` and a ULID. Ids of one process are strictly increasing, also within a millisecond and when the clock goes back."""
        now = self._milliseconds()
        with self._lock:
            is_same_millisecond = now <= self._last >> RANDOM_BITS
            self._last = self._last + 1 + self._number(32) if is_same_millisecond else now << RANDOM_BITS | self._number(RANDOM_BITS)
            value = self._last
        return f"{prefix}_{_crockford(value)}"

    def _number(self, bits: int) -> int:
        return int.from_bytes(self._draw(bits // 8))

    def _draw(self, count: int) -> bytes:
        """From octets drawn ahead, for what is no secret; none is used twice, not even after a fork."""
        if count > DRAWN_OCTETS:
            return secrets.token_bytes(count)
        if self._used + count > len(self._drawn) or self._process != os.getpid():
            self._drawn, self._used, self._process = secrets.token_bytes(DRAWN_OCTETS), 0, os.getpid()
        self._used += count
        return self._drawn[self._used - count : self._used]


def _crockford(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(10 * (ULID_CHARACTERS // 2 - 1), -1, -10)])
