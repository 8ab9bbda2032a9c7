"""A clock that stands until it is moved."""

from datetime import UTC, datetime, timedelta


class FixedClock:
    """Implements `ports.Clock`. `start` is aware; it is shown in UTC and whole seconds."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)) -> None:
        self.set(start)

    def now(self) -> datetime:
        return self._now

    def set(self, moment: datetime) -> None:
        self._now = moment.astimezone(UTC).replace(microsecond=0)

    def advance(self, by: timedelta) -> datetime:
        self.set(self._now + by)
        return self._now
