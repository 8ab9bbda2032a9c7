"""Where adapters, services and doors meet. `compose` joins the services over any ports; `node.py` runs them as a server."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from chargepki.api.services import ApiServices, Gateway, Limits
from chargepki.core.access.model import Policy
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import DEVELOPMENT
from chargepki.core.profiles.model import Narrowing
from chargepki.core.profiles.registry import Profiles
from chargepki.ports import Ports
from chargepki.services.access import Access
from chargepki.services.actors import Actors
from chargepki.services.admission import Admission
from chargepki.services.approvals import Approvals, Executor, ResourceOf
from chargepki.services.audit import AuditTrail
from chargepki.services.authorities import Authorities, StatusUrls
from chargepki.services.batches import Batches
from chargepki.services.bulk_revocation import BulkRevocation
from chargepki.services.crls import CrlPublisher
from chargepki.services.grants import Grants
from chargepki.services.inventory import Inventory
from chargepki.services.issuance import Issuance
from chargepki.services.keys import GuardedVault, Keys
from chargepki.services.log import LogSettings, TransparencyLog
from chargepki.services.machine_sign_in import MachineSignIn
from chargepki.services.machines import Machines
from chargepki.services.openid import OpenId, OpenIdProvider
from chargepki.services.parties import Parties
from chargepki.services.people import People
from chargepki.services.profiles import ProfileRegister
from chargepki.services.registration import Registration
from chargepki.services.responders import IssuedResponders
from chargepki.services.revocation import Revocation
from chargepki.services.server_certificates import ServerCertificates, ServerNames
from chargepki.services.sessions import Sessions
from chargepki.services.sign_in import SignIn
from chargepki.services.standing import Standing
from chargepki.services.status import Status, StatusSettings


@dataclass(frozen=True, slots=True)
class Settings:
    """What the services need to know of a deployment."""

    organization: str
    urls: Callable[[], StatusUrls]
    server_names: ServerNames
    policy: Policy = DEVELOPMENT
    narrowings: Iterable[Narrowing] = ()
    status: StatusSettings = field(default_factory=StatusSettings)
    vault: str = "file"  # the kind of vault, for the register of keys
    log: LogSettings = field(default_factory=LogSettings)
    openid: Mapping[str, OpenIdProvider] = field(default_factory=dict)
    sign_in_url: Callable[[str], str] = "/api/v1/sign-in/oidc/{}/callback".format  # a provider's redirect URI


@dataclass(frozen=True, slots=True)
class Services:
    """All use cases of one node."""

    access: Access
    actors: Actors
    admission: Admission
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
    server_certificates: ServerCertificates
    standing: Standing
    status: Status


def compose(ports: Ports, settings: Settings) -> Services:
    """The services over these ports. Nothing is started and nothing is read yet."""
    vault = GuardedVault(ports.vault, ports.store, ports.clock, settings.vault)
    ports = replace(ports, vault=vault)
    log = TransparencyLog(ports, settings.log)
    audit = AuditTrail(ports, settings.policy, log.settle)
    actors, parties, configured = Actors(ports), Parties(ports, audit), Profiles(settings.narrowings)
    profiles = ProfileRegister(ports, audit, configured)
    access, standing, grants = Access(ports, audit, actors), Standing(ports, audit, configured), Grants(ports, audit, actors)
    authorities = Authorities(ports, audit, profiles, settings.urls)
    registration = Registration(ports, audit, parties, settings.organization)
    issuance = Issuance(ports, audit, profiles, authorities, registration, standing)
    crls = CrlPublisher(ports, audit, authorities, settings.status.crl_lifetime)
    revocation = Revocation(ports, audit)
    batches, bulk_revocation = Batches(ports, audit, standing, access, actors, configured), BulkRevocation(ports, audit)
    keys = Keys(ports, audit, vault)
    sessions = Sessions(ports, audit, actors)
    sign_in = SignIn(ports, audit, sessions, ports.secrets)
    executors: Mapping[Permission, Executor] = {
        Permission.ACCESS_GRANT_PROPOSE: grants.carry_out,
        Permission.ACCESS_PARTY_WRITE: parties.carry_out,
        Permission.APPROVAL_STANDING_PROPOSE: standing.carry_out,
        Permission.CA_AUTHORITY_CREATE: authorities.carry_out,
        Permission.CA_KEY_DESTROY: keys.carry_out,
        Permission.CA_KEY_GENERATE: keys.carry_out,
        Permission.CERTIFICATE_ISSUE: issuance.carry_out,
        Permission.CERTIFICATE_REVOKE: revocation.carry_out,
        Permission.PROFILE_DEFINITION_PROPOSE: profiles.carry_out,
        Permission.REGISTRATION_BATCH_CREATE: batches.carry_out,
        Permission.REVOCATION_BULK_PROPOSE: bulk_revocation.carry_out,
        Permission.REVOCATION_EMERGENCY_CONFIRM: revocation.carry_out_confirmation,
    }
    resources: Mapping[Permission, ResourceOf] = {
        Permission.APPROVAL_STANDING_PROPOSE: standing.resource_of,
        Permission.PROFILE_DEFINITION_PROPOSE: profiles.resource_of,
        Permission.REGISTRATION_BATCH_CREATE: batches.resource_of,
        Permission.REVOCATION_BULK_PROPOSE: bulk_revocation.resource_of,
    }
    return Services(
        access=access,
        actors=actors,
        admission=Admission(ports, audit, authorities),
        approvals=Approvals(ports, audit, actors, executors, resources),
        audit=audit,
        authorities=authorities,
        batches=batches,
        bulk_revocation=bulk_revocation,
        grants=grants,
        inventory=Inventory(ports, audit, configured, parties),
        issuance=issuance,
        keys=keys,
        log=log,
        machine_sign_in=MachineSignIn(ports, audit, authorities, actors),
        machines=Machines(ports, audit, actors),
        openid=OpenId(ports, audit, sessions, sign_in, ports.secrets, settings.openid, settings.sign_in_url),
        parties=parties,
        people=People(ports, audit, actors),
        profiles=profiles,
        revocation=revocation,
        sessions=sessions,
        sign_in=sign_in,
        server_certificates=ServerCertificates(ports, issuance, settings.server_names),
        standing=standing,
        status=Status(ports, authorities, crls, IssuedResponders(ports, authorities, issuance), settings.status),
    )


def api_services(ports: Ports, services: Services, gateway: Gateway | None = None, limits: Limits | None = None) -> ApiServices:
    """What the API stands on, of what was composed."""
    wanted = {field.name: getattr(services, field.name) for field in fields(ApiServices) if hasattr(services, field.name)}
    return ApiServices(ports=ports, gateway=gateway, limits=limits or Limits(), **wanted)
