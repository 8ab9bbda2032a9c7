"""Points in time, as people type them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from chargepki.errors import Refused

UntilOption = Annotated[str, typer.Option(metavar="WHEN", help="2026-12-31, 2026-12-31T18:00Z, or from now: 30d, 12h")]
_FROM_NOW: Final = re.compile(r"([0-9]{1,5})([hd])")


def parse_until(text: str, now: datetime | None = None) -> datetime:
    """A day ends at its midnight in UTC; a time without a zone is UTC."""
    match = _FROM_NOW.fullmatch(text)
    if match is not None:
        number = int(match[1])
        span = timedelta(hours=number) if match[2] == "h" else timedelta(days=number)
        return ((now or datetime.now(UTC)) + span).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused.because("cli.until", f"{text!r} is no point in time", path="until", hint="2026-12-31, or 30d from now") from error
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware + timedelta(days=1) if len(text) == len("2026-12-31") else aware
