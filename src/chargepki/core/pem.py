"""PEM (RFC 7468) at the edges: a bounded reader that forgives what does no harm, and a writer that is exact."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from chargepki.errors import Refused

LINE_CHARACTERS: Final = 64  # RFC 7468 2
BLOCKS_MAX: Final = 128  # a trust bundle has tens; a chain has at most six
LABEL_CHARACTERS_MAX: Final = 64  # the longest label in use has 24

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
_DASHES: Final = b"-----"
_DER_FIRST: Final = b"\x30"  # everything here that has no PEM label is a SEQUENCE


@dataclass(frozen=True, slots=True)
class PemBlock:
    label: str
    der: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """Octets in any spelling. `label` is "" unless they came as PEM."""

    label: str
    der: bytes


def is_pem(data: bytes) -> bool:
    return _BEGIN in data


def parse_pem(data: bytes, *, octets_max: int) -> tuple[PemBlock, ...]:
    """The blocks in `data`, in their order; at least one.

    Header lines and text before, between and after blocks is skipped (RFC 7468 2); line ends, line lengths and blanks inside do not matter.
    `Refused`: longer than `octets_max`, no block, a block without its end, another label at the end, no base64.
    """
    _check_size(data, octets_max)
    blocks: list[PemBlock] = []
    offset = data.find(_BEGIN)
    while offset >= 0:
        if len(blocks) == BLOCKS_MAX:
            raise _refused("too_many", f"there are more than {BLOCKS_MAX} PEM blocks", "split the file")
        block, offset = _parse_block(data, offset)
        blocks.append(block)
        offset = data.find(_BEGIN, offset)
    if not blocks:
        raise _refused("none", "there is no PEM block", "PEM begins with a line like -----BEGIN CERTIFICATE-----")
    return tuple(blocks)


def parse_any(data: bytes, *, octets_max: int) -> tuple[Blob, ...]:
    """DER however it is spelt: PEM blocks, DER itself, or base64 without armour. `Refused` when it is none of them."""
    _check_size(data, octets_max)
    if is_pem(data):
        return tuple(Blob(block.label, block.der) for block in parse_pem(data, octets_max=octets_max))
    if data.startswith(_DER_FIRST):
        return (Blob("", data),)
    try:
        der = base64.b64decode(b"".join(data.split()), validate=True)
    except binascii.Error:
        der = b""
    if not der.startswith(_DER_FIRST):
        raise _refused("unknown", "this is neither PEM nor DER nor base64 of DER", "try: openssl asn1parse -inform DER -in FILE")
    return (Blob("", der),)


def pem_length(octets: int, label: str = "CERTIFICATE") -> int:
    """How many characters `encode_pem` writes for so many octets."""
    characters = (octets + 2) // 3 * 4
    lines = -(-characters // LINE_CHARACTERS)
    return characters + lines + 2 * len(label) + len("-----BEGIN -----\n-----END -----\n")


def encode_pem(label: str, der: bytes) -> str:
    """RFC 7468 3: lines of 64 characters, each ended by one line feed."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[at : at + LINE_CHARACTERS] for at in range(0, len(text), LINE_CHARACTERS)]
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


def _parse_block(data: bytes, start: int) -> tuple[PemBlock, int]:
    """The block at `start`, and the offset behind it."""
    label_at = start + len(_BEGIN)
    label_end = data.find(_DASHES, label_at, label_at + LABEL_CHARACTERS_MAX + len(_DASHES))
    if label_end < 0:
        raise _refused("label", "a BEGIN line is not complete", "PEM begins with a line like -----BEGIN CERTIFICATE-----")
    label = data[label_at:label_end]
    body_at = label_end + len(_DASHES)
    end_at = data.find(_END, body_at)
    if end_at < 0:
        raise _refused("truncated", f"the {_show(label)} block has no END line", "the file was cut: transfer it again")
    after = end_at + len(_END) + len(label) + len(_DASHES)
    if data[end_at + len(_END) : after] != label + _DASHES:
        raise _refused("label", f"the {_show(label)} block ends with another label", "each END line repeats the label of its BEGIN line")
    return PemBlock(_show(label), _decode(label, data[body_at:end_at])), after


def _decode(label: bytes, body: bytes) -> bytes:
    if b":" in body:  # RFC 1421 header lines end with an empty one; OpenSSL writes them for keys encrypted in its old way
        body = body.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise _refused("base64", f"the {_show(label)} block is not base64: {error}", "the file was damaged: transfer it again") from error


def _show(label: bytes) -> str:
    return label.decode("ascii", "backslashreplace")


def _check_size(data: bytes, octets_max: int) -> None:
    if len(data) > octets_max:
        raise _refused("too_long", f"there are {len(data)} octets, the limit is {octets_max}", "send one object at a time")


def _refused(slug: str, message: str, hint: str) -> Refused:
    return Refused.because(f"pem.{slug}", message, clause="RFC 7468", hint=hint)
