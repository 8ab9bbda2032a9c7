"""What this door needs of the platform, and its settings. `app.py` fills it in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from chargepki.core.records import (
    ProfileId,
)
from chargepki.ports import Clock, Entropy, Notifier
from chargepki.services.admission import Admission
from chargepki.services.inventory import Inventory
from chargepki.services.issuance import Issuance
from chargepki.services.revocation import Revocation

STATION_PROFILE: Final = ProfileId("ocpp/station")


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
