"""DER: a small encoder for what this platform signs, and a bounded reader for what arrives.

The encoder joins octets that are DER already; it is the tool of the compiled templates (core/issue.py, crl.py, ocsp.py).
The reader is strict DER (X.690 10.1: definite, minimal lengths) and never looks beyond the octets it was given.
"""

from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from chargepki.errors import Refused

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OID: Final = 0x06
ENUMERATED: Final = 0x0A
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31

LENGTH_OCTETS_MAX: Final = 4  # 4 GiB: more than any caller hands us
OID_OCTETS_MAX: Final = 64  # the longest in use here has 11

_new_tuple: Final = tuple.__new__  # half of what an element's own constructor takes, and a certificate's path reads eighty of them


def context(number: int, *, constructed: bool = True) -> int:
    """The tag of `[number]`."""
    return (0xA0 if constructed else 0x80) | number


def length(count: int) -> bytes:
    if count < 0x80:
        return bytes((count,))
    octets = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes((tag,)) + length(len(content)) + content


def sequence(*contents: bytes) -> bytes:
    return tlv(SEQUENCE, *contents)


def set_of(*contents: bytes) -> bytes:
    """SET OF, in the order X.690 11.6 asks for."""
    return tlv(SET, *sorted(contents))


def explicit(number: int, content: bytes) -> bytes:
    return tlv(context(number), content)


def integer(value: int, tag: int = INTEGER) -> bytes:
    size = (value.bit_length() // 8) + 1 if value >= 0 else ((value + 1).bit_length() // 8) + 1
    return tlv(tag, value.to_bytes(size, "big", signed=True))


def enumerated(value: int) -> bytes:
    return integer(value, ENUMERATED)


def boolean(value: bool) -> bytes:
    return tlv(BOOLEAN, b"\xff" if value else b"\x00")


def octet_string(content: bytes) -> bytes:
    return tlv(OCTET_STRING, content)


def bit_string(content: bytes, unused_bits: int = 0) -> bytes:
    return tlv(BIT_STRING, bytes((unused_bits,)), content)


@lru_cache(maxsize=1024)
def oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | (arc & 0x7F))
        content += bytes(reversed(groups))
    return tlv(OID, bytes(content))


def utf8_string(text: str) -> bytes:
    return tlv(UTF8_STRING, text.encode())


def printable_string(text: str) -> bytes:
    return tlv(PRINTABLE_STRING, text.encode("ascii"))


def ia5_string(text: str, tag: int = IA5_STRING) -> bytes:
    return tlv(tag, text.encode("ascii"))


def generalized_time(at: datetime) -> bytes:
    return tlv(GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode())


def time(at: datetime) -> bytes:
    """RFC 5280 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050."""
    return tlv(UTC_TIME, at.strftime("%y%m%d%H%M%SZ").encode()) if at.year < 2050 else generalized_time(at)


class Element(NamedTuple):
    """One element: `raw` is the whole TLV, `content` its value octets. A tuple, because reading is on the issuing path."""

    tag: int
    content: bytes
    raw: bytes

    def expect(self, tag: int) -> "Element":
        if self.tag != tag:
            raise malformed(f"found tag 0x{self.tag:02x} where 0x{tag:02x} belongs")
        return self

    def children(self, limit: int = 256) -> tuple["Element", ...]:
        """The elements inside; more than `limit` are refused."""
        found: list[Element] = []
        data, offset, end = self.content, 0, len(self.content)
        while offset < end:
            if len(found) == limit:
                raise malformed(f"more than {limit} elements in one structure")
            after = offset + 2 + data[offset + 1] if offset + 1 < end else end + 1
            if after <= end and data[offset + 1] < 0x80 and data[offset] & 0x1F != 0x1F:  # the short form, as nearly all are
                element = _new_tuple(Element, (data[offset], data[offset + 2 : after], data[offset:after]))
            else:
                element = _element_at(data, offset)
            found.append(element)
            offset += len(element[2])
        return tuple(found)

    def as_integer(self, tag: int = INTEGER, octets_max: int = 4096) -> int:
        self.expect(tag)
        if not 0 < len(self.content) <= octets_max:
            raise malformed(f"an integer of {len(self.content)} octets")
        if len(self.content) > 1 and self.content[0] in (0x00, 0xFF) and (self.content[0] ^ self.content[1]) < 0x80:
            raise malformed("an integer with needless leading octets")
        return int.from_bytes(self.content, "big", signed=True)

    def as_oid(self) -> str:
        self.expect(OID)
        if not 0 < len(self.content) <= OID_OCTETS_MAX or self.content[-1] & 0x80:
            raise malformed("an object identifier of wrong length")
        return _dotted(self.content)


def malformed(what: str) -> Refused:
    return Refused.because("der.malformed", f"not valid DER: {what}", clause="X.690 10")


def parse_element(data: bytes) -> Element:
    """The one element that `data` is, with nothing behind it."""
    first, rest = take_element(data)
    if rest:
        raise malformed(f"{len(rest)} octets follow the structure")
    return first


def take_element(data: bytes) -> tuple[Element, bytes]:
    """The first element in `data`, and the octets behind it."""
    first = _element_at(data, 0)
    return first, data[len(first.raw) :]


def _element_at(data: bytes, start: int) -> Element:
    end = len(data)
    if end - start < 2:
        raise malformed("truncated header" if data else "no data")
    tag, size, offset = data[start], data[start + 1], start + 2
    if tag & 0x1F == 0x1F:
        raise malformed("a tag number above 30")
    if size & 0x80:
        count = size & 0x7F
        if not 0 < count <= LENGTH_OCTETS_MAX or offset + count > end:
            raise malformed("a length of unbounded or truncated form")
        size = int.from_bytes(data[offset : offset + count], "big")
        if size < 0x80 or data[offset] == 0:
            raise malformed("a length that is not minimal")
        offset += count
    after = offset + size
    if after > end:
        raise malformed("truncated content")
    return Element(tag, data[offset:after], data[start:after])


@lru_cache(maxsize=1024)  # decoding costs as much as a hundred look-ups, and certificates repeat a few dozen identifiers
def _dotted(content: bytes) -> str:
    arcs, value = [], 0
    for octet in content:
        if octet == 0x80 and value == 0:
            raise malformed("an object identifier with needless leading octets")
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))
