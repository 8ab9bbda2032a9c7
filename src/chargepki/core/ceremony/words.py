"""A digest as something people can read aloud and compare: sixteen bits as five letters, consonants and vowels by turns.

The form is that of D. Wilkerson's "proquints" (arXiv:0901.4016): no list of words, nothing to translate, every letter counts.
"""

from typing import Final

_CONSONANTS: Final = "bdfghjklmnprstvz"  # four bits each
_VOWELS: Final = "aiou"  # two bits each
PER_LINE: Final = 8


def spell_words(octets: bytes) -> str:
    """ "lusab-babad-gutih-tugad": two octets a word; an odd octet at the end counts as followed by zero."""
    padded = octets + b"\0" * (len(octets) % 2)
    return "-".join(_word(int.from_bytes(padded[at : at + 2], "big")) for at in range(0, len(padded), 2))


def spell_hex(octets: bytes) -> str:
    """In groups of four octets."""
    return " ".join(octets[at : at + 4].hex() for at in range(0, len(octets), 4))


def fold_words(octets: bytes) -> tuple[str, ...]:
    """The words in lines, to be read one line each."""
    words = spell_words(octets).split("-")
    return tuple(" ".join(words[at : at + PER_LINE]) for at in range(0, len(words), PER_LINE))


def _word(value: int) -> str:
    return (
        _CONSONANTS[value >> 12]
        + _VOWELS[value >> 10 & 3]
        + _CONSONANTS[value >> 6 & 15]
        + _VOWELS[value >> 4 & 3]
        + _CONSONANTS[value & 15]
    )
