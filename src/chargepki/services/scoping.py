"""What an act is about, as the gate sees it: whose it is, and which names it touches."""

from chargepki.core.access.model import Resource
from chargepki.core.identifiers.name_spaces import NameKind, NameSpace, ScopedName, dns_name, station_serial
from chargepki.core.records import Party, Station
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


def spaces_of(party: Party | None) -> frozenset[NameSpace] | None:
    """None for the platform itself, whose names are not bounded."""
    return None if party is None else party.spaces | {_EVERY_STATION}


def no_such_station(id: str) -> NotFound:
    """Said of another party's station too: who may not see it learns nothing."""
    return NotFound(Finding("station.unknown", f"there is no station {id}", path="station", hint="chargepki station list"))


def no_such_certificate(id: str) -> NotFound:
    """Said of another party's certificate too."""
    return NotFound(Finding("certificate.unknown", f"there is no certificate {id}", path="certificate", hint="chargepki cert list"))
