"""Names that people read: of parties, people, machines. Parsed once, so that two which look alike are alike."""

import unicodedata
from typing import Final

from chargepki.errors import Refused

LABEL_MAX: Final = 64  # X.520 bounds the O that a party's name becomes
EMAIL_MAX: Final = 254  # RFC 5321 4.5.3.1.3: what a path carries


def parse_label(text: str, *, path: str, code: str, clause: str = "") -> str:
    """1 to `LABEL_MAX` printable characters in NFC, and single blanks between them only."""
    # RFC 5280 7.1: blanks at the ends and runs of blanks do not count when names are compared.
    label = unicodedata.normalize("NFC", text)
    if not 0 < len(label) <= LABEL_MAX or not label.isprintable() or label != " ".join(label.split()):
        message = f"{path} has 1 to {LABEL_MAX} printable characters, and single blanks between them only"
        raise Refused.because(code, message, path=path, clause=clause)
    return label


def parse_email(text: str) -> str:
    """An address to write to, or "". Nothing is sent before a person has read it, so its form is checked and no more."""
    local, at, host = text.rpartition("@")
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if text and (len(text) > EMAIL_MAX or not is_plain or not (local and at and "." in host.strip("."))):
        raise Refused.because("person.email", f"this is no e-mail address of at most {EMAIL_MAX} ASCII characters", path="email")
    return text
