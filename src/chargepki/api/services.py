"""What the API stands on, in one value that `app.py` fills."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import AuthorityId, CertificateId, Crl, SecurityProfile, StationId
from chargepki.ports import Ports
from chargepki.services.access import Access
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.authorities import Authorities
from chargepki.services.inventory import Inventory
from chargepki.services.issuance import Issuance
from chargepki.services.revocation import Revocation

BODY_OCTETS_MAX: Final = 64 * 1024  # the largest order is a CSR of some kilobytes
INSPECTION_OCTETS_MAX: Final = 1024 * 1024  # a CRL of a few ten thousand entries


@dataclass(frozen=True, slots=True)
class Limits:
    body_octets: int = BODY_OCTETS_MAX
    inspection_octets: int = INSPECTION_OCTETS_MAX


@dataclass(frozen=True, slots=True)
class Session:
    """One live connection of a station. `certificate` is the client certificate it came with, None under Basic authentication."""

    station: StationId
    ocpp_version: str
    security_profile: SecurityProfile
    remote: str
    since: datetime
    certificate: CertificateId | None


class Gateway(Protocol):
    """The OCPP endpoint, seen from the API."""

    def list_sessions(self) -> tuple[Session, ...]: ...

    async def trigger_certificate(self, caller: Caller, station: StationId) -> str:
        """Asks a connected station for a CSR; its answer ("Accepted"). `NotFound` when it is not connected."""
        ...


class CrlDesk(Protocol):
    """The part of the status service that the API shows."""

    async def latest_crl(self, issuer: AuthorityId) -> Crl:
        """Raises `NotFound` when there is none yet."""
        ...

    async def publish_crl(self, caller: Caller, issuer: AuthorityId) -> Crl:
        """A fresh CRL, now."""
        ...


@dataclass(frozen=True, slots=True)
class ApiServices:
    ports: Ports
    access: Access
    inventory: Inventory
    issuance: Issuance
    authorities: Authorities
    revocation: Revocation
    audit: AuditTrail
    profiles: Profiles
    crls: CrlDesk
    gateway: Gateway | None = None  # None: no station endpoint in this process
    limits: Limits = field(default_factory=Limits)
