"""What the API stands on, in one value that `app.py` fills."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from chargepki.core.records import CertificateId, PartyId, SecurityProfile, StationId
from chargepki.ports import Ports
from chargepki.services.access import Access
from chargepki.services.approvals import Approvals
from chargepki.services.audit import AuditTrail
from chargepki.services.authorities import Authorities
from chargepki.services.batches import Batches
from chargepki.services.bulk_revocation import BulkRevocation
from chargepki.services.grants import Grants
from chargepki.services.inventory import Inventory
from chargepki.services.issuance import Issuance
from chargepki.services.keys import Keys
from chargepki.services.log import TransparencyLog
from chargepki.services.machine_sign_in import MachineSignIn
from chargepki.services.machines import Machines
from chargepki.services.monitors import LogWatch
from chargepki.services.openid import OpenId
from chargepki.services.parties import Parties
from chargepki.services.people import People
from chargepki.services.profiles import ProfileRegister
from chargepki.services.revocation import Revocation
from chargepki.services.sessions import Sessions
from chargepki.services.sign_in import SignIn
from chargepki.services.standing import Standing
from chargepki.services.status import Status

BODY_OCTETS_MAX: Final = 64 * 1024  # the largest order is a CSR of some kilobytes
INSPECTION_OCTETS_MAX: Final = 1024 * 1024  # a CRL of a few ten thousand entries


@dataclass(frozen=True, slots=True)
class Limits:
    body_octets: int = BODY_OCTETS_MAX
    inspection_octets: int = INSPECTION_OCTETS_MAX


class LiveSession(Protocol):
    """One connection of a station. `certificate` is the client certificate it came with, None under Basic authentication."""

    @property
    def station(self) -> StationId: ...
    @property
    def party(self) -> PartyId: ...
    @property
    def ocpp_version(self) -> str: ...
    @property
    def security_profile(self) -> SecurityProfile: ...
    @property
    def remote(self) -> str: ...
    @property
    def connected_at(self) -> datetime: ...
    @property
    def certificate(self) -> CertificateId | None: ...


class StationAnswer(Protocol):
    @property
    def status(self) -> str: ...


class Gateway(Protocol):
    """The station endpoint, seen from the API."""

    def sessions(self) -> Sequence[LiveSession]: ...

    async def trigger_certificate(self, station: StationId) -> StationAnswer:
        """Asks a connected station for a CSR. `NotFound` when it is not connected."""
        ...


@dataclass(frozen=True, slots=True)
class ApiServices:
    """The use cases that have a door here, by the same names as in `app.Services`."""

    ports: Ports
    access: Access
    approvals: Approvals
    audit: AuditTrail
    authorities: Authorities
    batches: Batches
    bulk_revocation: BulkRevocation
    grants: Grants
    inventory: Inventory
    issuance: Issuance
    keys: Keys
    log: TransparencyLog
    machine_sign_in: MachineSignIn
    machines: Machines
    openid: OpenId
    parties: Parties
    people: People
    profiles: ProfileRegister
    revocation: Revocation
    sessions: Sessions
    sign_in: SignIn
    standing: Standing
    status: Status
    gateway: Gateway | None = None  # None: no station endpoint in this process
    limits: Limits = field(default_factory=Limits)
    log_watch: LogWatch | None = None  # None: no monitor and no witnesses in this process
