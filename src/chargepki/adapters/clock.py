"""The machine's clock."""

from datetime import UTC, datetime


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        """Aware UTC, whole seconds (cut, so never in the future)."""
        return datetime.now(UTC).replace(microsecond=0)
