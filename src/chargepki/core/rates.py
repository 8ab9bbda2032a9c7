"""How often may something happen: sliding windows over monotonic seconds, bounded in number."""

from collections import OrderedDict, deque


class RateWindow:
    """At most `limit` events per key within `seconds`; `keys_max` keys, the least recently used is forgotten first."""

    def __init__(self, *, limit: int, seconds: float, keys_max: int) -> None:
        self._limit, self._seconds, self._keys_max = limit, seconds, keys_max
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def retry_after(self, key: str, now: float) -> int:
        """0 when another event is allowed, else the seconds to wait."""
        events = self._events.get(key)
        if events is None:
            return 0
        while events and now - events[0] >= self._seconds:
            events.popleft()
        return 0 if len(events) < self._limit else max(1, int(events[0] + self._seconds - now + 0.999))

    def note(self, key: str, now: float) -> None:
        events = self._events.setdefault(key, deque(maxlen=self._limit))
        self._events.move_to_end(key)
        events.append(now)
        if len(self._events) > self._keys_max:
            self._events.popitem(last=False)

    def forget(self, key: str) -> None:
        self._events.pop(key, None)
