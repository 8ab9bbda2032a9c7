"""How secrets that people and devices carry are spelt."""

import base64


def new_secret(prefix: str, entropy: bytes) -> str:
    """A token with a recognisable prefix (secret scanners look for one): `cpat_...`, base64url without padding."""
    return f"{prefix}_{base64.urlsafe_b64encode(entropy).rstrip(b'=').decode()}"
