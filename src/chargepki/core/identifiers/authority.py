"""Authority ids: the slugs people type and status addresses carry (`/crl/{id}.crl`)."""

import re
from typing import Final

from chargepki.core.records import AuthorityId
from chargepki.errors import Refused

LENGTH_MAX: Final = 48
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def parse_authority_id(text: str) -> AuthorityId:
    """Lower-case letters, digits and single hyphens, at most `LENGTH_MAX` characters."""
    if len(text) > LENGTH_MAX or not _SLUG.fullmatch(text):
        raise Refused.because(
            "authority.id",
            f"{text[:LENGTH_MAX]!r} is no authority id",
            path="id",
            hint=f"lower-case letters, digits and hyphens, at most {LENGTH_MAX}: operator-sub-2027",
        )
    return AuthorityId(text)
