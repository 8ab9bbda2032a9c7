"""What every version's module provides, and the readings they share."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.canonical import Command, Outcome, Reply, StationMessage
from chargepki.protocols.ocpp.wire import FrameRefused, JsonObject, RpcError

_RFC_3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?")


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version's translation, as a table of functions. Payloads have passed the schemas of `version` before they come here."""

    version: OcppVersion
    requests: Mapping[str, Callable[[JsonObject], StationMessage]]  # by action
    assemble_reply: Callable[[Reply], JsonObject]
    assemble_command: Callable[[Command], tuple[str, JsonObject]]  # action and payload; ValueError: the version has no such command
    parse_outcome: Callable[[Command, JsonObject], Outcome]

    def parse_request(self, action: str, payload: JsonObject, *, message_id: str) -> StationMessage:
        """Raises `FrameRefused`: NotSupported for an action without a handler here, PropertyConstraintViolation for a bad value."""
        parse = self.requests.get(action)
        if parse is None:
            raise FrameRefused(RpcError.NOT_SUPPORTED, f"{action} is not supported here", message_id=message_id)
        try:
            return parse(payload)
        except ValueError as error:
            raise FrameRefused(RpcError.PROPERTY_CONSTRAINT_VIOLATION, str(error), message_id=message_id) from None


def parse_time(text: str) -> datetime:
    """Aware UTC, whole seconds. ValueError for what is not RFC 3339; a time without a zone is UTC (OCPP 1.6 3.14 recommends it)."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("timestamp: not an RFC 3339 date-time")
    try:
        at = datetime.fromisoformat(text.upper())
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        return aware.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise ValueError("timestamp: no such moment") from None


def format_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
