"""Two parties on one platform, with everything a party can have; and whoever of one would look over the border to the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from chargepki.api.app import create_api
from chargepki.app import Services, Settings, api_services, compose
from chargepki.core.access.model import Assurance, Policy, Role, Scope
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.records import (
    CertificateId,
    PartyId,
    PartyRole,
    PersonId,
    ProfileId,
    ProposalId,
    SecurityEvent,
    SecurityProfile,
    StationId,
)
from chargepki.errors import NeedsVotes
from chargepki.ports import AddSecurityEvent, AddSession, UpdatePerson
from chargepki.services.access import TokenOrder
from chargepki.services.audit import Caller
from chargepki.services.authorities import StatusUrls
from chargepki.services.batches import BatchOrder
from chargepki.services.orders import CertificateOrder
from chargepki.services.server_certificates import ServerNames
from chargepki.services.standing import StandingOrder
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.api.api_platform import make_csr

PEOPLE: Final = {
    "party-admin": Role.PARTY_ADMIN,
    "requester": Role.REQUESTER,
    "approver": Role.APPROVER,
    "party-auditor": Role.PARTY_AUDITOR,
}
CALLERS: Final = (*PEOPLE, "csms", "factory-line", "enrolee")


@dataclass(frozen=True)
class Things:
    """What a party has, by the names that requests and answers use for it."""

    party: str
    name: str
    domain: str
    serial_prefix: str
    station: str
    serial: str
    certificate: str
    certificate_serial: str
    fingerprint: str
    host_certificate: str
    machine_certificate: str
    person: str
    username: str
    display_name: str
    email: str
    grant: str
    machine: str
    machine_name: str
    token: str
    token_name: str
    proposal: str
    digest: str
    standing: str
    batch: str
    session: str
    entry: str
    event: str

    @property
    def host(self) -> str:
        return f"csms.{self.domain}"

    def texts(self) -> dict[str, str]:
        """What would give it away, longest first."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return dict(sorted(named.items(), key=lambda item: -len(item[1])))


# The same shapes, and nothing there: an answer about the other party's things must not differ from one about these.
GHOST: Final = Things(
    party="ghostly",
    name="Ghostly Charging",
    domain="ghostly.example",
    serial_prefix="GHO",
    station="CS-GHOSTLY",
    serial="GHO-0001",
    certificate="crt_01K00000000000000000000001",
    certificate_serial="5" * 39,
    fingerprint="f" * 64,
    host_certificate="crt_01K00000000000000000000002",
    machine_certificate="crt_01K00000000000000000000003",
    person="per_ghost",
    username="ghostly.greta",
    display_name="Greta Ghost",
    email="greta@ghostly.example",
    grant="grt_01K00000000000000000000001",
    machine="mch_ghost",
    machine_name="ghostly-backend",
    token="tok_01K00000000000000000000001",
    token_name="ghostly-token",
    proposal="prp_01K00000000000000000000001",
    digest="sha256:" + "0" * 64,
    standing="sta_01K00000000000000000000001",
    batch="bat_01K00000000000000000000001",
    session="ses_01K00000000000000000000001",
    entry="aud_01K00000000000000000000001",
    event="sev_01K00000000000000000000001",
)


@dataclass(frozen=True)
class LiveSession:
    station: StationId
    party: PartyId
    connected_at: Any
    ocpp_version: str = "2.0.1"
    security_profile: SecurityProfile = SecurityProfile.MUTUAL_TLS
    remote: str = "192.0.2.9:1"
    certificate: CertificateId | None = None


@dataclass(frozen=True)
class Connected:
    """The station endpoint, with a station of each party on it."""

    live: tuple[LiveSession, ...]

    def sessions(self) -> tuple[LiveSession, ...]:
        return self.live

    async def trigger_certificate(self, station: StationId) -> Any:
        raise AssertionError(f"{station} was commanded")


@dataclass(frozen=True)
class World:
    bench: Workbench
    services: Services
    gateway: Connected
    theirs: Things
    ours: Things
    secrets: dict[str, str]  # of our callers, by role
    database: Path

    @asynccontextmanager
    async def speaking_as(self, secret: str) -> AsyncIterator[httpx.AsyncClient]:
        app = create_api(api_services(self.bench.ports, self.services, self.gateway))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
        headers = {"Authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(transport=transport, base_url="https://pki.test", headers=headers) as http:
            yield http


@asynccontextmanager
async def open_world(directory: Path, policy: Policy) -> AsyncIterator[World]:
    """Set up under the development policy, where one may do everything alone; what is asked afterwards is answered under `policy`."""
    async with open_workbench(directory) as bench:
        urls = StatusUrls("http://127.0.0.1:8080")
        production = compose(bench.ports, Settings("demo-cpo", lambda: urls, ServerNames(("localhost",), ()), PRODUCTION))
        theirs, _ = await _settle(bench, production, "alpine", "Alpine Charging", "alpine.example", "ALP")
        ours, secrets = await _settle(bench, production, "borea", "Borea Charging", "borea.example", "BOR")
        services = bench.services if policy is DEVELOPMENT else production
        await services.log.start()
        now = bench.clock.now()
        live = tuple(LiveSession(StationId(things.station), PartyId(things.party), now) for things in (theirs, ours))
        yield World(bench, services, Connected(live), theirs, ours, secrets, directory / "chargepki.db")


async def _settle(bench: Workbench, production: Services, party: str, name: str, domain: str, prefix: str) -> tuple[Things, dict[str, str]]:
    services, now, here = bench.services, bench.clock.now(), Scope(parties=frozenset({party}))
    spaces = (f"dns:{domain}", f"station-serial:{prefix}", f"evse-operator:DE*{prefix}", f"emaid-provider:DE-{prefix}")
    await services.parties.create_party(ADMIN, id=party, name=name, roles=frozenset({PartyRole.CPO}), spaces=spaces)
    people = {role: await bench.person(f"{party}.{role}", kind, party=party, scope=here) for role, kind in PEOPLE.items()}
    secrets = {role: await session_of(bench, caller) for role, caller in people.items()}
    csms = await bench.machine(f"{party}-csms", Role.CSMS, party=party, scope=here)
    _, secrets["csms"] = await services.access.create_token(csms, TokenOrder(f"{party}-csms-token", frozenset({"*:*:*"})))
    station, serial = f"CS-{party.upper()}", f"{prefix}-0001"
    await services.inventory.add_station(ADMIN, id=station, serial_number=serial, operator=party)
    await bench.ports.store.commit(
        AddSecurityEvent(SecurityEvent(f"sev_{party}", StationId(station), f"{name} tampered", now, now, is_critical=True))
    )
    _, secrets["enrolee"] = await services.inventory.create_enrolment_token(ADMIN, StationId(station), profile=ProfileId("ocpp/station"))
    of_station = CertificateOrder(ProfileId("ocpp/station"), csr=make_csr(serial).encode(), station=StationId(station))
    certificate = (await services.issuance.request(ADMIN, of_station)).certificate
    of_host = CertificateOrder(ProfileId("backend/tls-server"), csr=make_csr().encode(), host=f"csms.{domain}", organization=name)
    host = (await services.issuance.request(ADMIN, of_host)).certificate
    machine = csms.actor.id.removeprefix("machine:")
    of_machine = CertificateOrder(ProfileId("backend/mtls-client"), csr=make_csr().encode(), machine=machine)  # type: ignore[arg-type]
    client = (await services.issuance.request(ADMIN, of_machine)).certificate
    until = now + timedelta(days=7)
    space = parse_name_space(f"station-serial:{prefix}-8")
    standing = await services.standing.create(
        ADMIN, StandingOrder(PartyId(party), frozenset({ProfileId("ocpp/station")}), frozenset({space}), frozenset(), 5, until)
    )
    batch = await services.batches.create(
        ADMIN, BatchOrder(PartyId(party), ProfileId("ocpp/station"), frozenset({f"{prefix}-7"}), 5, until)
    )
    secrets["factory-line"] = await services.batches.create_token(ADMIN, batch.id)
    person = await _name(bench, people["party-admin"], f"Anna {name}", f"anna@{domain}")
    token, _ = await services.access.create_token(people["party-admin"], TokenOrder(f"{party}-token", frozenset({"*:*:read"})))
    proposal, digest = await _propose(production, people["requester"], StationId(station), serial)
    sessions = await bench.ports.store.list_sessions(person=person)
    grants = await bench.ports.store.list_grants(holder=f"person:{person}")
    entries = await bench.ports.store.list_audit(parties=frozenset({PartyId(party)}))
    things = Things(
        party=party,
        name=name,
        domain=domain,
        serial_prefix=prefix,
        station=station,
        serial=serial,
        certificate=certificate.id,
        certificate_serial=f"{certificate.serial:x}",
        fingerprint=certificate.spki_sha256.hex(),
        host_certificate=host.id,
        machine_certificate=client.id,
        person=person,
        username=f"{party}.party-admin",
        display_name=f"Anna {name}",
        email=f"anna@{domain}",
        grant=grants.items[0].id,
        machine=machine,
        machine_name=f"{party}-csms",
        token=token.id,
        token_name=f"{party}-token",
        proposal=proposal,
        digest=digest,
        standing=standing.approval.id,
        batch=batch.id,
        session=sessions.items[0].id,
        entry=entries.items[0].id,
        event=f"sev_{party}",
    )
    return things, secrets


async def session_of(bench: Workbench, caller: Caller) -> str:
    """A session with a fresh second factor."""
    person = await bench.ports.store.get_person(PersonId(caller.actor.person))
    opened = bench.services.sessions.plan(person, method="local", client="", stepped_up_at=bench.clock.now())
    await bench.ports.store.commit(AddSession(opened.session))
    return opened.secret


async def _name(bench: Workbench, caller: Caller, display_name: str, email: str) -> PersonId:
    person = await bench.ports.store.get_person(PersonId(caller.actor.person))
    await bench.ports.store.commit(UpdatePerson(replace(person, display_name=display_name, email=email)))
    return person.id


async def _propose(production: Services, requester: Caller, station: StationId, serial: str) -> tuple[str, str]:
    """A proposal that waits, as on a production platform."""
    caller = Caller(await production.actors.of_person(PersonId(requester.actor.person), assurance=Assurance.MFA), "test")
    order = CertificateOrder(ProfileId("ocpp/station"), csr=make_csr(serial).encode(), station=station)
    try:
        await production.issuance.request(caller, order)
    except NeedsVotes as waits:
        proposal = (await production.approvals.get(caller, ProposalId(waits.proposal))).proposal
        return proposal.id, f"sha256:{proposal.digest.hex()}"
    raise AssertionError("nobody had to agree")
