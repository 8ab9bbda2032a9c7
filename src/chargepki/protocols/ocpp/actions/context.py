"""What every handler gets, and what it gives."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from chargepki.core.access.decide import SYSTEM
from chargepki.core.bundle import OcppVersion
from chargepki.core.rates import RateWindow
from chargepki.core.records import SecurityEvent, Station
from chargepki.errors import ChargePkiError
from chargepki.protocols.ocpp.canonical import Command, Outcome, Reply
from chargepki.protocols.ocpp.security_events import GatewayEvent, is_critical
from chargepki.protocols.ocpp.services import OcppServices
from chargepki.services.admission import Admitted
from chargepki.services.audit import Caller

EVENT_TYPE_CHARS_MAX: Final = 50  # SecurityEventNotificationRequest.type
TECH_INFO_CHARS_MAX: Final = 255  # SecurityEventNotificationRequest.techInfo


class NoAnswer(ChargePkiError):
    """The station did not answer in time."""


class Ask(Protocol):
    """Sends one command and waits for the station's answer. `NoAnswer` after `seconds` (None: the settings' own)."""

    async def __call__(self, command: Command, seconds: float | None = None) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply, and what happens once it is on its way."""

    reply: Reply
    then: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True)
class Context:
    """One connection, as handlers see it."""

    services: OcppServices
    admitted: Admitted
    version: OcppVersion
    remote: str
    ask: Ask
    signing_rate: RateWindow  # by station, over all its connections
    event_rate: RateWindow  # likewise, for the security events it reports
    orders: set["asyncio.Task[object]"]  # issuance under way; a dropped connection does not stop it half-way
    station: Station  # as last heard of
    booted: asyncio.Event = field(default_factory=asyncio.Event)
    is_signing: bool = False  # a SignCertificate is being served
    is_named: bool = False  # the station was told its operator
    is_upgrade_tried: bool = False
    is_discard_served: bool = False

    @property
    def door(self) -> str:
        return f"ocpp{self.version}"

    def caller(self, *, trace: str = "", request: bytes = b"") -> Caller:
        """The station itself."""
        return Caller(self.admitted.actor, self.door, self.remote, trace, hashlib.sha256(request).digest() if request else b"")

    def platform(self) -> Caller:
        """The platform, acting on what the station did."""
        return Caller(SYSTEM, self.door, self.remote)

    async def record(self, type: str, tech_info: str = "", *, at: datetime | None = None) -> None:
        """Keeps a security event of this station. `at`: the station's own time."""
        now = self.services.clock.now()
        event = SecurityEvent(
            self.services.entropy.ulid("sev"),
            self.station.id,
            str(type)[:EVENT_TYPE_CHARS_MAX],
            at or now,
            now,
            is_critical(type, self.version),
            tech_info[:TECH_INFO_CHARS_MAX],
        )
        await self.services.inventory.record_security_event(event)

    async def record_here(self, event: GatewayEvent, tech_info: str = "") -> None:
        await self.record(event.value, tech_info)
