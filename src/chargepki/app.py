"""Where adapters, services and doors meet. `compose` joins the services over any ports; `node.py` runs them as a server."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from chargepki.core.profiles.model import Narrowing
from chargepki.core.profiles.registry import Profiles
from chargepki.ports import Ports
from chargepki.services.access import Access
from chargepki.services.admission import Admission
from chargepki.services.audit import AuditTrail
from chargepki.services.authorities import Authorities, StatusUrls
from chargepki.services.crls import CrlPublisher
from chargepki.services.inventory import Inventory
from chargepki.services.issuance import Issuance
from chargepki.services.registration import Registration
from chargepki.services.responders import IssuedResponders
from chargepki.services.revocation import Revocation
from chargepki.services.server_certificates import ServerCertificates, ServerNames
from chargepki.services.status import Status, StatusSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """What the services need to know of a deployment."""

    organization: str
    urls: Callable[[], StatusUrls]
    server_names: ServerNames
    narrowings: Iterable[Narrowing] = ()
    status: StatusSettings = field(default_factory=StatusSettings)


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases of one node."""

    access: Access
    admission: Admission
    audit: AuditTrail
    authorities: Authorities
    inventory: Inventory
    issuance: Issuance
    profiles: Profiles
    revocation: Revocation
    server_certificates: ServerCertificates
    status: Status


def compose(ports: Ports, settings: Settings) -> Services:
    """The services over these ports. Nothing is started and nothing is read yet."""
    audit = AuditTrail(ports)
    profiles = Profiles(settings.narrowings)
    authorities = Authorities(ports, audit, profiles, settings.urls)
    issuance = Issuance(ports, audit, profiles, authorities, Registration(ports, settings.organization))
    crls = CrlPublisher(ports, audit, authorities, settings.status.crl_lifetime)
    return Services(
        access=Access(ports, audit),
        admission=Admission(ports, audit, authorities),
        audit=audit,
        authorities=authorities,
        inventory=Inventory(ports, audit, profiles),
        issuance=issuance,
        profiles=profiles,
        revocation=Revocation(ports, audit),
        server_certificates=ServerCertificates(ports, issuance, settings.server_names),
        status=Status(ports, authorities, crls, IssuedResponders(ports, authorities, issuance), settings.status),
    )
