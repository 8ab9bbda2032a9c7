"""Shares of a wrapping key in words people can write down: SLIP-0039, by Trezor's reference implementation (docs/adr/0012-ceremonies.md).

Each share has a checksum, and the joined secret a digest, so a mistyped share and a share of another set are noticed.
"""

from collections.abc import Sequence
from typing import Final

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.share import Share

from chargepki.errors import Refused

ITERATION_EXPONENT: Final = 0  # SLIP-0039 stretches a passphrase; ours is empty, and the secret is random
SECRET_OCTETS: Final = 32
MNEMONIC_CHARS_MAX: Final = 400  # 33 words of at most 8 letters for 256 bits
SHARES_MAX: Final = 16  # SLIP-0039: members of one group


class Slip39Shares:
    """Implements `services.ceremony_tools.ShareCutter`."""

    def split(self, secret: bytes, threshold: int, shares: int) -> tuple[str, ...]:
        (group,) = generate_mnemonics(1, [(threshold, shares)], secret, iteration_exponent=ITERATION_EXPONENT)
        return tuple(group)

    def missing(self, shares: Sequence[str]) -> int:
        """How many more are needed. `Refused` for a share that was mistyped, is given twice, or is of another set."""
        if len(shares) > SHARES_MAX:
            raise _wrong(f"there are at most {SHARES_MAX} shares")
        read = [_read(share) for share in shares]
        if len({share.common_parameters() for share in read}) > 1:
            raise _wrong("they are of different sets")
        if len({share.index for share in read}) < len(read):
            raise _wrong("one of them is given twice")
        return max(0, read[0].member_threshold - len(read)) if read else 1

    def join(self, shares: Sequence[str]) -> bytes:
        """The secret. `Refused` when there are too few, or they do not belong together."""
        if missing := self.missing(shares):
            raise _wrong(f"{missing} more are needed")
        needed = shares[: _read(shares[0]).member_threshold]
        try:
            return bytes(combine_mnemonics(needed))
        except MnemonicError as error:
            raise _wrong("they do not belong together") from error


def _read(text: str) -> Share:
    """One share; the refusal does not repeat it."""
    words = " ".join(text.lower().split())
    if len(words) > MNEMONIC_CHARS_MAX:
        raise _wrong("a share is shorter")
    try:
        share = Share.from_mnemonic(words)
    except (MnemonicError, ValueError):
        raise _wrong("one was mistyped: its checksum is another") from None
    # Another exponent would have us compute for hours, and none of ours has one.
    if share.group_count != 1 or share.iteration_exponent != ITERATION_EXPONENT or len(share.value) != SECRET_OCTETS:
        raise _wrong("this is a share of something else")
    return share


def _wrong(why: str) -> Refused:
    return Refused.because(
        "ceremony.share", f"these shares cannot be used: {why}", path="share", hint="type the words as they are on the paper"
    )
