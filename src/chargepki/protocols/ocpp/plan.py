"""What a station's certificate needs next. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chargepki.core.records import Certificate, CertificateId, SecurityProfile


@dataclass(frozen=True, slots=True)
class Nothing:
    """The station is served."""


@dataclass(frozen=True, slots=True)
class AskForRequest:
    """Send the trigger for a CSR (OCPP A02)."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskForUpgrade:
    """The station has its certificate and still connects with a password (OCPP A05)."""


CertificateAction = Nothing | AskForRequest | AskForUpgrade


@dataclass(frozen=True, slots=True)
class StationView:
    """What is known of a connected station. `valid`: its unrevoked, unexpired certificates; `installed`: those it has confirmed."""

    security_profile: SecurityProfile
    in_use: Certificate | None
    valid: tuple[Certificate, ...]
    installed: frozenset[CertificateId]


def plan_certificate_action(station: StationView, *, now: datetime, renew_before: timedelta, may_upgrade: bool) -> CertificateAction:
    """OCPP A02 for a station without a certificate it confirmed, A03's month before the end, A05 for one that has not switched."""
    current = _newest((station.in_use,) if station.in_use else ()) or _newest(c for c in station.valid if c.id in station.installed)
    if current is None:
        return AskForRequest("the station has no certificate that it confirmed")
    replacement = _newest(c for c in station.valid if c.id in station.installed and c.not_after > current.not_after)
    ends = (replacement or current).not_after
    if ends - now <= renew_before:
        return AskForRequest(f"the station's certificate ends on {ends:%Y-%m-%d}")
    if may_upgrade and station.security_profile is SecurityProfile.TLS_BASIC:
        return AskForUpgrade()
    return Nothing()


def _newest(certificates: Iterable[Certificate]) -> Certificate | None:
    return max(certificates, key=lambda certificate: certificate.not_after, default=None)
