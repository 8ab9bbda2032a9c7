"""What this door needs of the platform, and its settings. `app.py` fills it in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from chargepki.core.access.decide import Actor
from chargepki.core.records import (
    Certificate,
    CertificateEvent,
    CertificateId,
    CertificateQuery,
    Page,
    ProfileId,
    SecurityEvent,
    SecurityProfile,
    Station,
    StationId,
)
from chargepki.core.revocation import RevocationReason
from chargepki.ports import Clock, Entropy, Notifier
from chargepki.services.audit import Caller
from chargepki.services.orders import CertificateOrder, Issued

STATION_PROFILE: Final = ProfileId("ocpp/station")


class Admitted(Protocol):
    """A station that may speak: who it is, how it proved it."""

    @property
    def station(self) -> Station: ...
    @property
    def actor(self) -> Actor: ...
    @property
    def security_profile(self) -> SecurityProfile: ...
    @property
    def certificate(self) -> Certificate | None: ...


class Admission(Protocol):
    async def admit_basic(self, station_id: str, username: str, password: str, *, remote: str, tls_cipher: str = "") -> Admitted: ...
    async def admit_certificate(self, station_id: str, certificate_der: bytes, *, remote: str, tls_cipher: str = "") -> Admitted: ...
    async def check_still_admitted(self, admitted: Admitted) -> None: ...


class Inventory(Protocol):
    async def note_boot(self, station: StationId, *, ocpp_version: str, vendor: str, model: str, firmware: str) -> Station: ...
    async def note_seen(self, station: StationId) -> None: ...
    async def record_security_event(self, event: SecurityEvent) -> None: ...
    async def list_security_events(
        self, caller: Caller, station: StationId | None, *, cursor: str = "", limit: int = 50
    ) -> Page[SecurityEvent]: ...


class Issuance(Protocol):
    async def request(self, caller: Caller, order: CertificateOrder) -> Issued: ...
    async def list(self, caller: Caller, query: CertificateQuery, *, cursor: str = "", limit: int = 50) -> Page[Certificate]: ...


class Revocation(Protocol):
    async def revoke(self, caller: Caller, id: CertificateId, *, reason: RevocationReason, note: str = "") -> CertificateEvent: ...


@dataclass(frozen=True, slots=True)
class OcppSettings:
    """Times are seconds unless the name says otherwise."""

    station_profile: ProfileId = STATION_PROFILE
    renew_before: timedelta = timedelta(days=30)  # OCPP A03.FR.01: within one month
    upgrade_security_profile: bool = True  # OCPP A05, after a certificate was installed over profile 2
    heartbeat_seconds: int = 300
    response_seconds: float = 30.0  # for a station's answer; mobile networks are slow (OCPP 2.1 part 4, 4.1.1)
    courtesy_seconds: float = 5.0  # the same for questions whose answer changes nothing
    issuance_seconds: float = 2.0  # SignCertificate is answered by then, whatever is still under way
    settle_seconds: float = 10.0  # after a connect without BootNotification, before the first certificate review
    review_seconds: float = 3600.0  # between certificate reviews
    recheck_seconds: float = 5.0  # between checks that a station may still speak
    seen_seconds: float = 60.0  # between two `last_seen` writes


@dataclass(frozen=True, slots=True)
class OcppServices:
    admission: Admission
    inventory: Inventory
    issuance: Issuance
    revocation: Revocation
    notifier: Notifier
    clock: Clock
    entropy: Entropy
    settings: OcppSettings
    public_url: Callable[[], str]  # wss://host:8444/ocpp, for SetNetworkProfile; "" leaves stations of 2.x on their network profile
