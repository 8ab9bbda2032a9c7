"""Party ids and user names: the slugs by which people call organisations and each other."""

import re
from typing import TYPE_CHECKING, Final, cast

from chargepki.errors import Refused

if TYPE_CHECKING:
    from chargepki.core.records import PartyId

PARTY_LENGTH_MAX: Final = 48
USERNAME_LENGTH_MAX: Final = 64
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_USERNAME: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def parse_party_id(text: str) -> "PartyId":
    """Lower-case letters, digits and single hyphens. The platform itself has no id, so none is ever spelt `""` or `*`."""
    if len(text) > PARTY_LENGTH_MAX or not _SLUG.fullmatch(text):
        raise Refused.because(
            "party.id",
            f"{text[:PARTY_LENGTH_MAX]!r} is no party id",
            path="party",
            hint=f"lower-case letters, digits and single hyphens, at most {PARTY_LENGTH_MAX}: demo-cpo",
        )
    return cast("PartyId", text)


def parse_username(text: str) -> str:
    """In lower case, so that `Anna` and `anna` are one person. Letters and digits with single dots, hyphens and underscores between."""
    name = text.lower() if text.isascii() else text
    if len(name) > USERNAME_LENGTH_MAX or not _USERNAME.fullmatch(name):
        raise Refused.because(
            "person.username",
            f"{text[:USERNAME_LENGTH_MAX]!r} is no user name",
            path="username",
            hint=f"letters, digits and . _ - between them, at most {USERNAME_LENGTH_MAX}: anna.berg",
        )
    return name
