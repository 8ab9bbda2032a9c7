"""X.509 extensions as octets (RFC 5280 4.2): the same in a certificate to be signed and in a CSR."""

from dataclasses import dataclass
from typing import Final

from chargepki.core import der
from chargepki.core.names import AltNames
from chargepki.errors import Refused

EXTENSIONS_MAX: Final = 32  # our fullest certificate has nine
ALT_NAMES_MAX: Final = 128

_DNS_NAME: Final = 0x82
_URI: Final = 0x86
_IP_ADDRESS: Final = 0x87


@dataclass(frozen=True, slots=True)
class Extension:
    """`value` is the content of extnValue: DER of the extension's own type."""

    id: str
    is_critical: bool
    value: bytes


def parse_extensions(element: der.Element) -> tuple[Extension, ...]:
    """The extensions in a SEQUENCE OF Extension. `Refused` when it is malformed."""
    return tuple(_parse_extension(child) for child in element.expect(der.SEQUENCE).children(EXTENSIONS_MAX))


def parse_alt_names(value: bytes) -> AltNames:
    """GeneralNames (RFC 5280 4.2.1.6); kinds other than DNS, IP and URI are left out. `Refused` when it is malformed."""
    dns: list[str] = []
    uri: list[str] = []
    ip: list[bytes] = []
    for name in der.parse_element(value).expect(der.SEQUENCE).children(ALT_NAMES_MAX):
        if name.tag == _DNS_NAME:
            dns.append(as_ia5(name.content))
        elif name.tag == _URI:
            uri.append(as_ia5(name.content))
        elif name.tag == _IP_ADDRESS:
            ip.append(_check_address(name.content))
    return AltNames(tuple(dns), tuple(ip), tuple(uri))


def as_ia5(octets: bytes) -> str:
    try:
        return octets.decode("ascii")
    except UnicodeDecodeError as error:
        raise der.malformed("an IA5String with octets above 127") from error


def _parse_extension(element: der.Element) -> Extension:
    parts = element.expect(der.SEQUENCE).children(3)
    if not 2 <= len(parts) <= 3:
        raise der.malformed(f"an extension of {len(parts)} parts")
    if len(parts) == 3 and parts[1].expect(der.BOOLEAN).content != b"\xff":
        # X.690 11.5: the default FALSE is left out; 11.1: TRUE is 0xff
        raise der.malformed("an extension whose criticality is not DER")
    return Extension(parts[0].as_oid(), len(parts) == 3, parts[-1].expect(der.OCTET_STRING).content)


def _check_address(octets: bytes) -> bytes:
    if len(octets) not in (4, 16):
        raise Refused.because("der.malformed", f"an IP address of {len(octets)} octets", clause="RFC 5280 4.2.1.6")
    return octets
