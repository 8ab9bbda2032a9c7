"""The text of a checkpoint: which log, how many entries, which root (C2SP tlog-checkpoint)."""

from dataclasses import dataclass
from typing import Final

from chargepki.core.tlog.lines import parse_decimal, parse_hash, spell_base64
from chargepki.errors import Refused

ORIGIN_OCTETS_MAX: Final = 255  # the ML-DSA-44 cosignature gives it a length of one octet (C2SP tlog-cosignature)
EXTENSIONS_MAX: Final = 16  # C2SP advises against any; ours have none
TEXT_OCTETS_MAX: Final = 8192


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. `text` is what is signed, newline and all."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        lines = (self.origin, str(self.size), spell_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines).encode()


def parse_checkpoint(text: bytes) -> Checkpoint:
    """The checkpoint in a note's text; `Refused` unless it is spelt in the one allowed way."""
    if len(text) > TEXT_OCTETS_MAX:
        raise _malformed(f"its text has {len(text)} octets, the limit is {TEXT_OCTETS_MAX}")
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8") from error
    if len(lines) < 4 or lines.pop() or "" in lines or len(lines) > 3 + EXTENSIONS_MAX:
        raise _malformed("it is not a sequence of non-empty lines: origin, size, root")
    origin, size, root = lines[0], parse_decimal(lines[1]), parse_hash(lines[2])
    if len(origin.encode()) > ORIGIN_OCTETS_MAX:
        raise _malformed(f"its origin has more than {ORIGIN_OCTETS_MAX} octets")
    if size is None:
        raise _malformed("its second line is not a size")
    if root is None:
        raise _malformed("its third line is not a SHA-256 hash in Base64")
    return Checkpoint(origin, size, root, tuple(lines[3:]))


def _malformed(why: str) -> Refused:
    return Refused.because("log.checkpoint.malformed", f"this is not a checkpoint: {why}", path="checkpoint", clause="C2SP tlog-checkpoint")
