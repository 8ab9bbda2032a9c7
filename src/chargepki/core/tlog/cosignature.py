"""What a cosigner signs, and the time it puts in front of its signature (C2SP tlog-cosignature)."""

from dataclasses import dataclass
from typing import Final

from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.errors import Refused

TIMESTAMP_MAX: Final = 2**63 - 1
NAME_OCTETS_MAX: Final = 255  # opaque cosigner_name<1..2^8-1>
_TIMESTAMP_OCTETS: Final = 8
_SUBTREE_LABEL: Final = b"subtree/v1\n\0"


@dataclass(frozen=True, slots=True)
class TimestampedSignature:
    """`timestamp` in seconds since the Epoch."""

    timestamp: int
    signature: bytes

    def encode(self) -> bytes:
        return self.timestamp.to_bytes(_TIMESTAMP_OCTETS, "big") + self.signature


def parse_timestamped_signature(blob: bytes, signature_octets: int) -> TimestampedSignature:
    """`Refused` unless the blob is a timestamp and a signature of that length."""
    timestamp = int.from_bytes(blob[:_TIMESTAMP_OCTETS], "big")
    if len(blob) != _TIMESTAMP_OCTETS + signature_octets or timestamp > TIMESTAMP_MAX:
        raise Refused.because(
            "log.cosignature.malformed",
            f"a cosignature of this kind has {_TIMESTAMP_OCTETS + signature_octets} octets",
            clause="C2SP tlog-cosignature",
        )
    return TimestampedSignature(timestamp, blob[_TIMESTAMP_OCTETS:])


def ed25519_message(text: bytes, timestamp: int) -> bytes:
    """cosignature/v1: two lines, then the checkpoint's text."""
    return b"cosignature/v1\ntime %d\n" % timestamp + text


def subtree_message(cosigner: str, checkpoint: Checkpoint, timestamp: int) -> bytes:
    """What the ML-DSA-44 form signs for a checkpoint: a subtree that begins at 0. It covers no extension lines."""
    return b"".join(
        (
            _SUBTREE_LABEL,
            _short(cosigner),
            timestamp.to_bytes(8, "big"),
            _short(checkpoint.origin),
            (0).to_bytes(8, "big"),  # a checkpoint starts at the first leaf
            checkpoint.size.to_bytes(8, "big"),
            checkpoint.root,
        )
    )


def _short(text: str) -> bytes:
    octets = text.encode()
    if not 0 < len(octets) <= NAME_OCTETS_MAX:
        raise ValueError(f"the name of a log or a cosigner has 1 to {NAME_OCTETS_MAX} octets")
    return bytes([len(octets)]) + octets
