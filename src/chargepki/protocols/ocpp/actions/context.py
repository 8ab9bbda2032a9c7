"""What every handler gets, and what it gives."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from chargepki.core.access.decide import SYSTEM
from chargepki.core.records import SecurityEvent
from chargepki.protocols.ocpp.canonical import Reply
from chargepki.protocols.ocpp.security_events import GatewayEvent, is_critical
from chargepki.protocols.ocpp.services import Admitted, OcppServices
from chargepki.protocols.ocpp.wire import OcppVersion
from chargepki.services.audit import Caller

EVENT_TYPE_CHARS_MAX = 50  # SecurityEventNotificationRequest.type
TECH_INFO_CHARS_MAX = 255  # SecurityEventNotificationRequest.techInfo


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply, and what happens once it is on its way."""

    reply: Reply
    then: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """One connection, as handlers and the certificate guide see it."""

    services: OcppServices
    admitted: Admitted
    version: OcppVersion
    remote: str

    @property
    def door(self) -> str:
        return f"ocpp{self.version}"

    def caller(self, *, trace: str = "", request: bytes = b"") -> Caller:
        """The station itself."""
        return Caller(self.admitted.actor, self.door, self.remote, trace, hashlib.sha256(request).digest() if request else b"")

    def platform(self) -> Caller:
        """The platform, acting on what the station did."""
        return Caller(SYSTEM, self.door, self.remote)

    async def record(self, type: str | GatewayEvent, tech_info: str = "", *, at: datetime | None = None) -> None:
        """Keeps a security event of this station. `at`: the station's own time."""
        now = self.services.clock.now()
        event = SecurityEvent(
            self.services.entropy.ulid("sev"),
            self.admitted.station.id,
            str(type)[:EVENT_TYPE_CHARS_MAX],
            at or now,
            now,
            is_critical(type, self.version),
            tech_info[:TECH_INFO_CHARS_MAX],
        )
        await self.services.inventory.record_security_event(event)
