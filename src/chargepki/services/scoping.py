"""What an act is about, as the gate sees it: whose it is, and which names it touches."""

from cryptography import x509
from cryptography.x509.oid import NameOID

from chargepki.core.access.model import Resource
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace, ScopedName, dns_name, station_serial
from chargepki.core.records import Certificate, Party, Station
from chargepki.errors import Finding, NotFound

# Which station is whose says the inventory, not a name space.
_EVERY_STATION = NameSpace(NameKind.STATION, "*")


def station_names(id: str, serial_number: str) -> tuple[ScopedName, ...]:
    return (ScopedName(NameKind.STATION, id), station_serial(serial_number))


def resource_of_station(station: Station, party: Party | None, *, profile: str = "", key: str = "", count: int = 1) -> Resource:
    """`party` None: a station of before there were parties, which belongs to the platform."""
    return Resource(
        party=station.party,
        profile=profile,
        names=station_names(station.id, station.serial_number),
        spaces=spaces_of(party),
        key=key,
        count=count,
    )


def resource_of_hosts(hosts: tuple[str, ...], party: Party | None, *, profile: str = "", key: str = "") -> Resource:
    names = tuple(dns_name(host) for host in hosts)
    return Resource(party="" if party is None else party.id, profile=profile, names=names, spaces=spaces_of(party), key=key)


def resource_of_certificate(certificate: Certificate) -> Resource:
    """With the station or the hosts that it speaks for: a grant bounded by names reaches no others."""
    names = _names_of(certificate)
    return Resource(party=certificate.party, authority=certificate.issuer, profile=certificate.profile, names=names)


def _names_of(certificate: Certificate) -> tuple[ScopedName, ...]:
    parsed = x509.load_der_x509_certificate(certificate.der)
    if certificate.station is not None:
        (common_name,) = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return station_names(certificate.station, str(common_name.value))
    try:
        alt_names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(map(dns_name, alt_names.get_values_for_type(x509.DNSName)))


def spaces_of(party: Party | None) -> frozenset[NameSpace] | None:
    """None for the platform itself, whose names are not bounded."""
    return None if party is None else party.spaces | {_EVERY_STATION}


def missing(noun: str, id: str, command: str) -> NotFound:
    """Said of what the caller may not see: word for word what the store says of what is not there."""
    return NotFound(Finding(f"{noun}.unknown", f"there is no {noun} {id}", hint=f"list them: chargepki {command} list"))


def no_such_station(id: str) -> NotFound:
    return missing("station", id, "station")


def no_such_party(id: str) -> NotFound:
    return missing("party", id, "party")


def no_such_certificate(id: str) -> NotFound:
    return missing("certificate", id, "cert")
