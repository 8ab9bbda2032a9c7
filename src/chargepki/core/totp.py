"""Time-based one-time passwords (RFC 6238), as authenticator apps make them: HMAC-SHA-1, six digits, thirty seconds.

The hash is the one that every app knows. Its collisions do not matter in an HMAC (RFC 6194 3.3).
"""

import base64
import hmac
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlencode

SECRET_OCTETS: Final = 20  # RFC 4226 4 R6: 160 bits recommended
STEP_SECONDS: Final = 30  # RFC 6238 5.2
DIGITS: Final = 6
WINDOW: Final = 1  # steps to either side: clocks differ, and people type slowly (RFC 6238 5.2)


def code_at(secret: bytes, step: int) -> str:
    """The code of one time step (RFC 4226 5.3)."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 0x0F
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(moment: datetime) -> int:
    return int(moment.timestamp()) // STEP_SECONDS


def find_step(secret: bytes, code: str, now: datetime, *, after: int) -> int | None:
    """The step that `code` belongs to; None when it is wrong, or not newer than `after`: a code works once (RFC 6238 5.2)."""
    current, given, found = step_of(now), code.encode(), None
    for step in range(current - WINDOW, current + WINDOW + 1):  # all of them, so that the time tells nothing
        is_right = hmac.compare_digest(code_at(secret, step).encode(), given)
        if is_right and step > after:
            found = step
    return found


def spell_secret(secret: bytes) -> str:
    """Base32 without padding, as people type it into an app."""
    return base64.b32encode(secret).decode().rstrip("=")


def spell_uri(secret: bytes, *, username: str, issuer: str) -> str:
    """What the QR code says: the "otpauth" URI that authenticator apps agree on."""
    label = f"{quote(issuer, safe='')}:{quote(username, safe='')}"
    values = {"secret": spell_secret(secret), "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_SECONDS}
    return f"otpauth://totp/{label}?{urlencode(values, quote_via=quote)}"
