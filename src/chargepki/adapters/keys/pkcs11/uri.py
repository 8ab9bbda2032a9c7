"""Names of tokens: a label, or a PKCS #11 URI (RFC 7512)."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from chargepki.errors import Refused

TOKEN_CHARACTERS_MAX: Final = 1024  # a label has at most 32 octets, a URI with all of its attributes a few hundred
SCHEME: Final = "pkcs11:"

_PAIR: Final = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9\-._~:\[\]@!$'()*+,=&/]|%[0-9A-Fa-f]{2})*)")  # RFC 7512 2.3
_NAMES_THE_TOKEN: Final = {"token": "label", "serial": "serial", "manufacturer": "manufacturer", "model": "model"}


@dataclass(frozen=True, slots=True)
class TokenName:
    """Every part that is said must agree with the token. RFC 7512 2.4."""

    label: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot: int | None = None

    def __str__(self) -> str:
        parts = (("label", self.label), ("serial number", self.serial), ("manufacturer", self.manufacturer), ("model", self.model))
        said = [f"{name} {value!r}" for name, value in parts if value is not None]
        return ", ".join([*said, *([] if self.slot is None else [f"slot {self.slot}"])])


def parse_token_name(text: str) -> TokenName:
    """`Refused` for an empty name, and for a URI that says something a configuration must not say (a PIN) or names no token."""
    if not 0 < len(text) <= TOKEN_CHARACTERS_MAX:
        raise _malformed(f"it has 1 to {TOKEN_CHARACTERS_MAX} characters")
    if not text.startswith(SCHEME):
        return TokenName(label=text)
    path, _, query = text.removeprefix(SCHEME).partition("?")
    if query:
        raise _malformed("a query has no place here: module and PIN have keys of their own", "keys.module and keys.pin = { file = ... }")
    said = _pairs(path)
    unknown = said.keys() - _NAMES_THE_TOKEN.keys() - {"slot-id"}
    if unknown or not said:
        raise _malformed(f"it names a token by {', '.join(_NAMES_THE_TOKEN)} or slot-id, not by {', '.join(sorted(unknown)) or 'nothing'}")
    names = {field: said[attribute] for attribute, field in _NAMES_THE_TOKEN.items() if attribute in said}
    return TokenName(**names, slot=_slot(said["slot-id"]) if "slot-id" in said else None)


def _pairs(path: str) -> dict[str, str]:
    said: dict[str, str] = {}
    for part in path.split(";"):
        if (match := _PAIR.fullmatch(part)) is None:
            raise _malformed("it consists of name=value, separated by semicolons")
        if match[1] in said:  # RFC 7512 2.3: at most once
            raise _malformed(f"it says {match[1]} twice")
        try:
            said[match[1]] = unquote_to_bytes(match[2]).decode()
        except UnicodeDecodeError:
            raise _malformed(f"its {match[1]} is no UTF-8") from None
    return said


def _slot(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise _malformed("its slot-id is no number")
    return int(text)


def _malformed(why: str, hint: str = "") -> Refused:
    return Refused.because(
        "vault.token.malformed",
        f"this names no token: {why}",
        path="keys.token",
        clause="RFC 7512 2.3",
        hint=hint or "pkcs11:token=ChargePKI;serial=0123456789abcdef",
    )
