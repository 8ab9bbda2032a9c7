"""How many signatures a key has made in the last minute and hour: counted in slots, so that a million cost what one costs."""

from collections import deque
from typing import Final

from chargepki.adapters.keys.signer.policy import Rate

SLOTS: Final = 60  # a count is at most a sixtieth too careful


class _Window:
    """Events of the last `SLOTS` slots. The slot that is leaving is still counted."""

    __slots__ = ("_slots", "total")

    def __init__(self) -> None:
        self._slots: deque[tuple[int, int]] = deque()  # (slot, events), oldest first
        self.total = 0

    def advance(self, slot: int) -> None:
        while self._slots and self._slots[0][0] <= slot - SLOTS - 1:
            self.total -= self._slots.popleft()[1]

    def add(self, slot: int) -> None:
        if self._slots and self._slots[-1][0] == slot:
            self._slots[-1] = (slot, self._slots[-1][1] + 1)
        else:
            self._slots.append((slot, 1))
        self.total += 1

    def first(self, slot: int) -> int:
        return self._slots[0][0] if self._slots else slot


class Fuses:
    """One per (key, name); bounded by the keys of the vault and the names of their policies."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], tuple[_Window, _Window]] = {}

    def retry_after(self, fuse: tuple[str, str], rate: Rate, now: float) -> int:
        """0 when one more is allowed, else the seconds to wait."""
        minute, hour = self._advanced(fuse, now)
        if hour.total >= rate.per_hour:
            return max(1, (hour.first(int(now / 60)) + SLOTS + 1) * 60 - int(now))
        if minute.total >= rate.per_minute:
            return max(1, minute.first(int(now)) + SLOTS + 1 - int(now))
        return 0

    def burn(self, fuse: tuple[str, str], now: float) -> None:
        minute, hour = self._advanced(fuse, now)
        minute.add(int(now))
        hour.add(int(now / 60))

    def _advanced(self, fuse: tuple[str, str], now: float) -> tuple[_Window, _Window]:
        if (windows := self._windows.get(fuse)) is None:
            windows = self._windows[fuse] = (_Window(), _Window())
        windows[0].advance(int(now))
        windows[1].advance(int(now / 60))
        return windows
