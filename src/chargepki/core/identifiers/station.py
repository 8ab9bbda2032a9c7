"""Names of stations and hosts: the OCPP identity, the serial number, the domain name. Parsed once, at the edge."""

import ipaddress
import re
from typing import TYPE_CHECKING, Final, cast

from chargepki.errors import Finding, Refused

if TYPE_CHECKING:  # the records stand on name spaces, and those on these parsers
    from chargepki.core.records import StationId

IDENTITY_MAX: Final = 48  # OCPP 2.0.1 part 4 2.1: the identity of a station in the connection address
SERIAL_NUMBER_MAX: Final = 64  # X.520 bounds the CN it becomes; OCPP itself allows 25
HOST_MAX: Final = 253  # RFC 1035 2.3.4 without the trailing dot
LABEL_MAX: Final = 63

_IDENTITY: Final = re.compile(r"[a-zA-Z0-9*\-_=+|@.]+")  # identifierString; a colon would end the user name of HTTP Basic
LOCALHOST: Final = "localhost"  # RFC 6761 6.3: the one name without a dot that means the same everywhere
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")  # RFC 1123 2.1
_URL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://|^www\.", re.IGNORECASE)
_SHOWN_MAX: Final = 80  # characters of a refused text that a message repeats


def parse_station_id(text: str) -> "StationId":
    """An OCPP identity: 1 to 48 characters of identifierString, no colon. It is a path segment, so `.` and `..` are none; nor is `*`
    alone, which as a name space is every station."""
    found = []
    if not 0 < len(text) <= IDENTITY_MAX:
        found.append(Finding("station.id.length", f"a station id has 1 to {IDENTITY_MAX} characters, this has {len(text)}", path="station"))
    if text and (not _IDENTITY.fullmatch(text) or not text.strip(".") or text == "*"):
        message = f"{_show(text)} is no station id: letters, digits and * - _ = + | @ . are allowed"
        found.append(Finding("station.id.characters", message, path="station"))
    if found:
        raise Refused(*found)
    return cast("StationId", text)


def parse_serial_number(text: str) -> str:
    """A station's serial number as its certificate's CN will carry it: printable, and neither a URL nor an address (A00.FR.511)."""
    path, found = "station.serial_number", []
    if not 0 < len(text) <= SERIAL_NUMBER_MAX:
        found.append(
            Finding(
                "station.serial_number.length", f"a serial number has 1 to {SERIAL_NUMBER_MAX} characters, this has {len(text)}", path=path
            )
        )
    if text != text.strip() or not text.isprintable() or not text.isascii():
        found.append(
            Finding("station.serial_number.characters", f"{_show(text)} has blanks at its ends or characters that do not print", path=path)
        )
    if looks_like_address(text):
        found.append(
            Finding(
                "station.serial_number.address",
                f"{_show(text)} looks like a URL or an IP address",
                path=path,
                clause="OCPP A00.FR.511",
                hint="use the serial number on the station's label",
            )
        )
    if found:
        raise Refused(*found)
    return text


def parse_host(text: str, *, wildcard: bool = False) -> str:
    """A fully qualified domain name, in lower case and without a trailing dot. `wildcard` admits `*.` in front."""
    host = text.lower().removesuffix(".")
    labels = host.split(".")
    if wildcard and labels[0] == "*":
        labels = labels[1:]
    if len(host) > HOST_MAX:
        raise _refused_host(text, f"has {len(host)} characters, the limit is {HOST_MAX}")
    if labels[:1] == ["*"]:
        raise _refused_host(text, "is a wildcard name", "OCPP A00.FR.510", "name each host")
    if len(labels) < 2 and host != LOCALHOST:
        raise _refused_host(text, "is not fully qualified", "OCPP A00.FR.510", "csms.example.org, not csms")
    if is_address(host):
        raise _refused_host(text, "is an IP address", "OCPP A00.FR.510", "addresses go into the alternative names, beside a name")
    if labels[-1].isdigit():
        raise _refused_host(text, "ends in a number, as an address does", "RFC 1123 2.1")
    for label in labels:
        if not _LABEL.fullmatch(label) or len(label) > LABEL_MAX:
            raise _refused_host(text, f"has the label {_show(label)}: 1 to {LABEL_MAX} letters, digits and inner hyphens", "RFC 1123 2.1")
    return host


def looks_like_address(text: str) -> bool:
    """Whether a reader could take `text` for a URL, a host name with a scheme, or an IP address with or without a port."""
    host, _, port = text.rpartition(":")
    return bool(_URL.search(text)) or is_address(text) or (port.isdigit() and is_address(host))


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def _refused_host(text: str, what: str, clause: str = "RFC 1035 2.3.4", hint: str = "") -> Refused:
    return Refused.because("host.name", f"{_show(text)} {what}", path="host", clause=clause, hint=hint)


def _show(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…")
