"""How an inspection spells names, times, numbers and identifiers for people."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from chargepki.core import der, oids
from chargepki.core.names import Name, escape, parse_name
from chargepki.errors import Refused

T = TypeVar("T")

VALUE_CHARACTERS_MAX: Final = 1024  # of one value; what came from outside is cut

# What the parsers of `cryptography` raise on octets they do not accept.
PARSER_ERRORS: Final = (
    ValueError,
    TypeError,
    OverflowError,
    NotImplementedError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    Refused,
)

SIGNATURES: Final[dict[str, str]] = {
    "1.2.840.113549.1.1.4": "RSA with MD5 (broken)",
    "1.2.840.113549.1.1.5": "RSA with SHA-1 (weak)",
    "1.2.840.113549.1.1.10": "RSA-PSS",
    "1.2.840.113549.1.1.11": "RSA with SHA-256",
    "1.2.840.113549.1.1.12": "RSA with SHA-384",
    "1.2.840.113549.1.1.13": "RSA with SHA-512",
    "1.2.840.10045.4.1": "ECDSA with SHA-1 (weak)",
    "1.2.840.10045.4.3.2": "ECDSA with SHA-256",
    "1.2.840.10045.4.3.3": "ECDSA with SHA-384",
    "1.2.840.10045.4.3.4": "ECDSA with SHA-512",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
    "2.16.840.1.101.3.4.3.17": "ML-DSA-44",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
    "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}
PURPOSES: Final[dict[str, str]] = {
    oids.SERVER_AUTH: "TLS server",
    oids.CLIENT_AUTH: "TLS client",
    oids.CODE_SIGNING: "code signing",
    oids.OCSP_SIGNING: "OCSP signing",
    "1.3.6.1.5.5.7.3.4": "e-mail protection",
    "1.3.6.1.5.5.7.3.8": "time stamping",
    "2.5.29.37.0": "any purpose",
}


def read(what: str, load: Callable[[], T]) -> T:
    """What `load` gives; `Refused` where the octets break a rule of that kind of object."""
    try:
        return load()
    except Refused:
        raise
    except PARSER_ERRORS as error:
        raise Refused.because(
            "inspect.unreadable",
            f"this looks like a {what}, but it breaks its rules: {cut(str(error), 200)}",
            clause="X.690 10, RFC 5280 4",
            hint="openssl asn1parse -inform DER -in FILE shows the raw structure",
        ) from error


def spell_name(name: x509.Name) -> str:
    return spell_encoded_name(name.public_bytes())


def spell_encoded_name(octets: bytes) -> str:
    """RFC 4514 spelling, most significant first; "(empty)" for no name, hexadecimal for one that nobody can read."""
    try:
        attributes = tuple(attribute.decode() for attribute in parse_name(der.parse_element(octets)))
    except Refused:
        return f"(unreadable) {cut(octets.hex(), 64)}"
    return cut(str(Name(attributes))) or "(empty)"


def spell_serial(serial: int) -> str:
    """Colon groups, as certificates' viewers show them; a negative number keeps its sign."""
    octets = abs(serial).to_bytes(max((serial.bit_length() + 7) // 8, 1), "big")
    return ("-" if serial < 0 else "") + octets.hex(":")


def spell_time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def spell_text(text: str) -> str:
    """Text from outside, so that no terminal is fooled."""
    return cut(escape(text))


def cut(text: str, limit: int = VALUE_CHARACTERS_MAX) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"
