"""What stands in the lines of every text format of a log: decimal numbers and Base64, each with exactly one spelling."""

import base64
import binascii
import re
from typing import Final

from chargepki.core.tlog.merkle import HASH_OCTETS, TREE_SIZE_MAX

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)  # below 2**63 there are at most 19 digits


def parse_decimal(text: str) -> int | None:
    """A number from 0 to 2**63 - 1 without leading zeroes; None for anything else."""
    if _DECIMAL.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number <= TREE_SIZE_MAX else None


def parse_base64(text: str) -> bytes | None:
    """Standard Base64 with padding (RFC 4648 4), as `spell_base64` writes it; None for anything else."""
    try:
        octets = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    return octets if spell_base64(octets) == text else None


def parse_hash(text: str) -> bytes | None:
    octets = parse_base64(text)
    return octets if octets is not None and len(octets) == HASH_OCTETS else None


def spell_base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
