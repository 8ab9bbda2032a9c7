"""Registration: may this actor have this certificate for this key, and which names will it carry?

Names come from the inventory and from policy. What a CSR asks for is compared and reported, never copied.
"""

import hashlib
import ipaddress
from dataclasses import dataclass, field
from typing import Final

from chargepki.core.access.model import PLATFORM_RESOURCE, ActorKind, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.csr import CertificateRequest
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace, station_serial
from chargepki.core.identifiers.station import parse_host, parse_serial_number
from chargepki.core.names import AltNames, Name, find_name_faults
from chargepki.core.profiles.model import EffectiveProfile, SanRule, SubjectKind
from chargepki.core.profiles.narrowing import is_below
from chargepki.core.records import PLATFORM_PARTY, EnrolmentToken, MachineState, Party, PartyState, Station, StationId, StationState
from chargepki.errors import Finding, NotAuthorised, Refused, Severity, refuse_errors
from chargepki.ports import Change, Ports, UseEnrolmentToken
from chargepki.services.access import is_enrolee
from chargepki.services.audit import AuditTrail, Caller
from chargepki.services.orders import CertificateOrder
from chargepki.services.parties import Parties
from chargepki.services.scoping import missing, no_such_station, resource_of_hosts, resource_of_station, spaces_of

ALT_HOSTS_MAX: Final = 32  # names on one certificate
_EVERY_HOST: Final = NameSpace(NameKind.DNS, "*")


@dataclass(frozen=True, slots=True)
class Grant:
    """Registration's answer. `owner` is who the key will belong to; `changes` commit with the intent; `resource` is what the gate
    decides about."""

    name: Name
    alt_names: AltNames
    owner: str
    station: Station | None
    evidence: dict[str, JsonValue]
    resource: Resource = PLATFORM_RESOURCE
    findings: tuple[Finding, ...] = ()
    changes: tuple[Change, ...] = field(default=())


class Registration:
    def __init__(self, ports: Ports, audit: AuditTrail, parties: Parties, organization: str) -> None:
        self._ports, self._audit, self._parties, self._organization = ports, audit, parties, organization

    async def grant(self, caller: Caller, order: CertificateOrder, profile: EffectiveProfile) -> Grant:
        """Names and conditions for this order, before its CSR has been read. `Refused` with every finding."""
        _check_kind(caller, order, profile)
        match profile.profile.subject_kind:
            case SubjectKind.STATION:
                granted = await self._grant_station(caller, order)
            case SubjectKind.HOST:
                granted = await self._grant_host(caller, order, profile)
            case SubjectKind.PARTY if order.machine:
                granted = await self._grant_machine(caller, order)
            case SubjectKind.PARTY:
                granted = await self._grant_party(caller, order)
            case SubjectKind.RESPONDER if caller.actor.kind is ActorKind.SYSTEM:
                granted = self._grant_responder(order)
            case kind:
                raise NotAuthorised(
                    Finding("registration.kind", f"{order.profile} is issued by the platform for a {kind}, not on request", path="profile")
                )
        refuse_errors((*find_name_faults(granted.name), *_find_outside(granted.name, profile)))
        return granted

    def check_csr_names(self, granted: Grant, csr: CertificateRequest) -> tuple[Finding, ...]:
        """Notices where the CSR asks for other names than it gets."""
        return tuple(
            Finding(
                "registration.name.replaced",
                f"the CSR says {type}={asked!r}; the certificate says {granted.name.first(type)!r}",
                Severity.NOTICE,
                f"csr.subject.{type.lower()}",
                "OCPP A02.FR.04",
                "names come from the inventory; correct the station or the inventory if they should agree",
            )
            for type in ("CN", "O")
            if (asked := csr.subject.first(type)) and asked != granted.name.first(type)
        )

    async def _grant_station(self, caller: Caller, order: CertificateOrder) -> Grant:
        if order.station is None:
            raise Refused.because("registration.station.missing", "the order names no station", path="station", hint="--station ID")
        _check_speaks_for(caller, order.station)
        station = await self._ports.store.get_station(order.station)
        self._audit.check_visible(caller, Permission.CERTIFICATE_ISSUE, resource_of_station(station, None), no_such_station(order.station))
        party = await self._find_party(station)
        _check_party(party)
        if station.state in (StationState.SUSPENDED, StationState.DECOMMISSIONED):
            raise NotAuthorised(
                Finding(
                    "registration.station.state",
                    f"{station.id} is {station.state}",
                    path="station",
                    hint=f"chargepki station update {station.id} --state active",
                )
            )
        token = await self._check_token(caller, order)
        evidence: dict[str, JsonValue] = {"station": station.id, "version": station.version}
        if token is not None:
            evidence["token"] = token.id
        return Grant(
            Name.of(("O", station.operator), ("CN", station.serial_number)),
            AltNames(),
            f"station:{station.id}",
            station,
            evidence,
            resource_of_station(station, party, profile=order.profile),
            changes=() if token is None else (UseEnrolmentToken(token.id, self._ports.clock.now()),),
        )

    async def _check_token(self, caller: Caller, order: CertificateOrder) -> EnrolmentToken | None:
        """The order's token, valid for this station and profile now; None where the caller needs none."""
        if not order.enrolment_token:
            if is_enrolee(caller.actor):
                raise NotAuthorised(Finding("registration.token.missing", "an enrolee needs its enrolment token"))
            return None
        token = await self._ports.store.lookup_enrolment_token(hashlib.sha256(order.enrolment_token.encode()).digest())
        if token is None:
            raise NotAuthorised(_token_fault("unknown", "this enrolment token does not exist", order))
        found = []
        if token.station != order.station:
            found.append(_token_fault("station", "this enrolment token was made for another station", order))
        if token.profile != order.profile:
            found.append(_token_fault("profile", f"this enrolment token was made for {token.profile}", order))
        if token.used_at is not None:
            found.append(_token_fault("used", "this enrolment token was used already", order))
        if token.expires_at <= self._ports.clock.now():
            found.append(_token_fault("expired", "this enrolment token has expired", order))
        if found:
            raise NotAuthorised(*found)
        return token

    async def _find_party(self, station: Station) -> Party | None:
        return await self._parties.get(station.party) if station.party else None

    async def _grant_host(self, caller: Caller, order: CertificateOrder, profile: EffectiveProfile) -> Grant:
        if not order.host:
            raise Refused.because("registration.host.missing", "the order names no host", path="host", hint="--host csms.example.org")
        if len(order.alt_hosts) > ALT_HOSTS_MAX:
            raise Refused.because("registration.host.too_many", f"more than {ALT_HOSTS_MAX} names", path="alt_hosts")
        host = parse_host(order.host)
        names, addresses = _split_alt_hosts(order.alt_hosts)
        suffixes = profile.host_suffixes
        outside = [name for name in (host, *names) if suffixes is not None and not any(is_below(name, suffix) for suffix in suffixes)]
        if caller.actor.kind is not ActorKind.SYSTEM:  # an address is below no name; the platform's own listeners have them all the same
            outside += [str(ipaddress.ip_address(address)) for address in addresses if suffixes is not None]
        if outside and suffixes is not None:
            allowed = ", ".join(sorted(suffixes))
            raise Refused(*(Finding("registration.host.outside", f"{name} is not below {allowed}", path="host") for name in outside))
        has_san = profile.profile.san is SanRule.FROM_CN
        alt_names = AltNames(tuple(dict.fromkeys((host, *names))), tuple(dict.fromkeys(addresses))) if has_san else AltNames()
        is_ours = caller.actor.kind is ActorKind.SYSTEM
        party = None if is_ours else self._seen(caller, await self._host_party(order.organization, host))
        _check_party(party)
        if party is not None and addresses and _EVERY_HOST not in party.spaces:
            raise Refused.because(
                "registration.host.address",
                f"an address lies in no name space of {party.id}",
                path="alt_hosts",
                hint="name hosts; addresses are for the platform's own listeners",
            )
        name = Name.of(("O", order.organization or (party.name if party is not None else self._organization)), ("CN", host))
        resource = resource_of_hosts((host, *names), party, profile=order.profile)
        return Grant(name, alt_names, f"host:{host}", None, {"host": host}, resource)

    async def _host_party(self, organization: str, host: str) -> Party | None:
        """Whose host this is: the organisation's that the order names, else the party's whose name space it lies in."""
        named = await self._parties.find_by_operator(organization) if organization else None
        return named if named is not None else await self._parties.owner_of_host(host)

    def _seen(self, caller: Caller, party: Party | None) -> Party | None:
        """The party, where the caller reaches it. Whose a name is, is not for others to learn: for them it is nobody's, which the gate
        denies them as the platform's own."""
        if party is None or self._audit.reaches_party(caller, Permission.CERTIFICATE_ISSUE, party.id):
            return party
        if self._audit.reaches_party(caller, Permission.CERTIFICATE_ISSUE, PLATFORM_PARTY):
            raise NotAuthorised(
                Finding("access.scope.party", f"{caller.actor.id} does not order for the party {party.id}", path="organization")
            )
        return None

    async def _grant_machine(self, caller: Caller, order: CertificateOrder) -> Grant:
        """A backend's own client certificate: with it, it signs in here."""
        assert order.machine is not None, "the caller looked"
        machine = await self._ports.store.get_machine(order.machine)
        is_own = caller.actor.id == f"machine:{machine.id}"  # signed in with its certificate: its token orders none
        own = Resource(party=machine.party, is_own=is_own)
        self._audit.check_visible(caller, Permission.CERTIFICATE_ISSUE, own, missing("machine", order.machine, "machine"))
        if machine.state is not MachineState.ACTIVE:
            raise NotAuthorised(Finding("registration.machine.state", f"{machine.name} is {machine.state}", path="machine"))
        party = await self._parties.get(machine.party) if machine.party else None
        _check_party(party)
        organization = self._organization if party is None else party.name
        name = Name.of(("O", organization), ("CN", machine.name))
        resource = Resource(party=machine.party, profile=order.profile, spaces=spaces_of(party), is_own=is_own)
        return Grant(name, AltNames(), f"machine:{machine.id}", None, {"machine": machine.id}, resource)

    async def _grant_party(self, caller: Caller, order: CertificateOrder) -> Grant:
        organization, common_name = order.organization or self._organization, order.common_name
        if not common_name:
            raise Refused.because(
                "registration.common_name.missing", "the order names no common name", path="common_name", hint="--common-name"
            )
        if order.profile == "ocpp/manufacturer-initial":
            common_name = parse_serial_number(common_name)
        name = Name.of(("O", organization), ("CN", common_name))
        party = self._seen(caller, await self._parties.find_by_operator(organization))
        _check_party(party)
        names = (station_serial(common_name),) if order.profile == "ocpp/manufacturer-initial" else ()
        resource = Resource(party="" if party is None else party.id, profile=order.profile, names=names, spaces=spaces_of(party))
        return Grant(name, AltNames(), f"party:{organization}/{common_name}", None, {"organization": organization}, resource)

    def _grant_responder(self, order: CertificateOrder) -> Grant:
        """The platform's own, also where its authorities bear a party's name: no state of a party stops the answers about status."""
        organization, name = order.organization or self._organization, order.common_name
        subject, resource = Name.of(("O", organization), ("CN", name)), Resource(profile=order.profile)
        return Grant(subject, AltNames(), f"party:{organization}/{name}", None, {"organization": organization}, resource)


def _check_party(party: Party | None) -> None:
    if party is not None and party.state is not PartyState.ACTIVE:
        raise NotAuthorised(
            Finding("registration.party.state", f"{party.id} is {party.state}", hint=f"chargepki party update {party.id} --state active")
        )


def _check_kind(caller: Caller, order: CertificateOrder, profile: EffectiveProfile) -> None:
    """A station, or who holds its token, asks for a station's certificate and for nothing else."""
    if profile.profile.subject_kind is SubjectKind.STATION:
        return
    if caller.actor.kind is ActorKind.STATION:
        message = f"{caller.actor.id} may ask for its own certificate only, and {order.profile} speaks for none"
        raise NotAuthorised(Finding("registration.kind.station", message, path="profile", hint="ocpp/station"))
    if order.enrolment_token:
        raise NotAuthorised(_token_fault("profile", f"an enrolment token is never for {order.profile}", order))


def _check_speaks_for(caller: Caller, station: StationId) -> None:
    if caller.actor.kind is ActorKind.STATION and caller.actor.id != f"station:{station}":
        raise NotAuthorised(
            Finding("registration.station.foreign", f"{caller.actor.id} asked for a certificate of station {station}", path="station")
        )


def _find_outside(name: Name, profile: EffectiveProfile) -> tuple[Finding, ...]:
    allowed = profile.organizations
    if allowed is None or name.first("O") in allowed:
        return ()
    message = f"this deployment issues {profile.profile.id} only for {', '.join(sorted(allowed))}"
    return (Finding("registration.organization.outside", message, path="organization"),)


def _split_alt_hosts(texts: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    names: list[str] = []
    addresses: list[bytes] = []
    for text in texts:
        try:
            addresses.append(ipaddress.ip_address(text).packed)
        except ValueError:
            names.append(parse_host(text))
    return tuple(names), tuple(addresses)


def _token_fault(slug: str, message: str, order: CertificateOrder) -> Finding:
    hint = f"chargepki station token {order.station} --profile {order.profile}"
    return Finding(f"registration.token.{slug}", message, path="enrolment_token", hint=hint)
