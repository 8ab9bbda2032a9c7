"""Distinguished names and subject alternative names."""

from dataclasses import dataclass
from typing import Final

from cryptography import x509

from chargepki.core import der, oids
from chargepki.errors import Finding, Severity

# RFC 5280 appendix A.1: upper bounds of the attribute types
UPPER_BOUND: Final[dict[str, int]] = {"CN": 64, "O": 64, "OU": 64, "L": 128, "ST": 128, "C": 2, "serialNumber": 64, "DC": 63}
RDNS_MAX: Final = 32  # the names of this trade have two to six
# X.680 8.6 tags of the string types a name may use; T.61 is Latin-1 in practice
_ENCODINGS: Final[dict[int, str]] = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "ascii",
    der.IA5_STRING: "ascii",
    0x12: "ascii",
    0x14: "latin-1",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
_PRINTABLE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a name: `type` is its short name (`CN`) or a dotted object identifier."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class EncodedAttribute:
    """One attribute as a name's octets hold it: `tag` is the tag of its string type."""

    type: str
    tag: int
    octets: bytes

    def decode(self) -> Attribute:
        """Text as text, anything else as hexadecimal. `Refused` when the octets are not of the string type they claim."""
        encoding = _ENCODINGS.get(self.tag)
        if encoding is None:
            return Attribute(self.type, self.octets.hex())
        try:
            return Attribute(self.type, self.octets.decode(encoding))
        except UnicodeDecodeError as error:
            raise der.malformed(f"the name's {self.type} is no {encoding} text") from error


@dataclass(frozen=True, slots=True)
class Name:
    """A distinguished name, most significant attribute first, one attribute per RDN."""

    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def of(cls, *pairs: tuple[str, str]) -> "Name":
        return cls(tuple(Attribute(type, value) for type, value in pairs))

    def values(self, type: str) -> tuple[str, ...]:
        return tuple(a.value for a in self.attributes if a.type == type)

    def first(self, type: str) -> str:
        """The first value of `type`, "" when there is none."""
        return next(iter(self.values(type)), "")

    def encode(self) -> bytes:
        """DER. C and serialNumber are PrintableString, DC is IA5String, the rest UTF8String (RFC 5280 4.1.2.4)."""
        return der.sequence(*(der.set_of(_encode_attribute(a)) for a in self.attributes))

    def __str__(self) -> str:
        return ", ".join(f"{a.type}={escape(a.value)}" for a in self.attributes)


@dataclass(frozen=True, slots=True)
class AltNames:
    """Subject alternative names (RFC 5280 4.2.1.6). `ip` holds 4 or 16 octets each."""

    dns: tuple[str, ...] = ()
    ip: tuple[bytes, ...] = ()
    uri: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.dns or self.ip or self.uri)

    def encode(self) -> bytes:
        """DER of GeneralNames."""
        return der.sequence(
            *(der.ia5_string(name, 0x82) for name in self.dns),
            *(der.ia5_string(name, 0x86) for name in self.uri),
            *(der.tlv(0x87, address) for address in self.ip),
        )


def escape(value: str) -> str:
    """RFC 4514 2.4, for people; control characters become backslash-hex so that no terminal or log is fooled."""
    out = "".join(f"\\{c}" if c in ',+"\\<>;=' else c if c.isprintable() else "".join(f"\\{o:02x}" for o in c.encode()) for c in value)
    return f"\\{out}" if out[:1] in (" ", "#") else out


def read_name(name: x509.Name) -> Name:
    """The value of a parsed name; attribute types without a short name keep their object identifier."""
    return Name(
        tuple(
            Attribute(
                oids.ATTRIBUTE_NAMES.get(a.oid.dotted_string, a.oid.dotted_string),
                a.value if isinstance(a.value, str) else a.value.hex(),
            )
            for a in name
        )
    )


def parse_name(element: der.Element) -> tuple[EncodedAttribute, ...]:
    """The attributes of a DER Name (RFC 5280 4.1.2.4) in their order. `Refused` when it is none, or longer than any real name."""
    found = []
    for rdn in element.expect(der.SEQUENCE).children(RDNS_MAX):
        for pair in rdn.expect(der.SET).children(RDNS_MAX):
            parts = pair.expect(der.SEQUENCE).children(2)
            if len(parts) != 2:
                raise der.malformed("an attribute of a name without a value")
            type, value = parts[0].as_oid(), parts[1]
            found.append(EncodedAttribute(oids.ATTRIBUTE_NAMES.get(type, type), value.tag, value.content))
    return tuple(found)


def find_name_faults(name: Name) -> tuple[Finding, ...]:
    """What RFC 5280 forbids in a name we are about to sign."""
    found = []
    for attribute in name.attributes:
        path, bound = f"subject.{attribute.type.lower()}", UPPER_BOUND.get(attribute.type, 64)
        if not attribute.value:
            found.append(_fault("empty", "is empty", path))
        if len(attribute.value) > bound:
            found.append(_fault("too_long", f"has {len(attribute.value)} characters, the limit is {bound}", path))
        if not all(c.isprintable() for c in attribute.value):
            found.append(_fault("control_character", "contains a control character", path))
        if attribute.type == "C" and not (attribute.value.isascii() and attribute.value.isupper()):
            found.append(_fault("country", "is not a two-letter country code in upper case", path))
    return tuple(found)


def _fault(slug: str, what: str, path: str) -> Finding:
    return Finding(f"rfc5280.name.{slug}", f"{path} {what}", Severity.ERROR, path, "RFC 5280 4.1.2.4, A.1")


def _encode_attribute(attribute: Attribute) -> bytes:
    type, value = attribute.type, attribute.value
    if type == "DC":
        encoded = der.ia5_string(value)
    elif type in ("C", "serialNumber") and set(value) <= _PRINTABLE:
        encoded = der.printable_string(value)
    else:
        encoded = der.utf8_string(value)
    return der.sequence(der.oid(oids.ATTRIBUTE_OIDS.get(type, type)), encoded)
