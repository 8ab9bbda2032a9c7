"""ID tokens: verified as OpenID Connect Core 3.1.3.7 says, claim by claim."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from chargepki.errors import Finding, NotAuthenticated
from chargepki.services.openid import Identity

TOKEN_CHARS_MAX: Final = 16 * 1024
SUBJECT_CHARS_MAX: Final = 255  # OpenID Connect Core 2
USERNAME_CHARS_MAX: Final = 64
METHODS_MAX: Final = 32
LEEWAY_SECONDS: Final = 60
# Asymmetric ones alone: neither `none` nor a shared secret (RFC 8725 3.1).
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")


class UnknownKey(Exception):
    """Signed with a key that is not among those we have: they may have changed."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a token has to say. `nonce` "" where none was sent (device flow)."""

    issuer: str
    client_id: str
    nonce: str
    username_claim: str
    mfa_acr: frozenset[str]
    mfa_amr: frozenset[str]


def parse_id_token(token: object, keys: KeySet, wanted: Expectation, now: datetime) -> Identity:
    """Who the provider says it is. `NotAuthenticated` for a token that is not exactly what was asked for; `UnknownKey`."""
    if not isinstance(token, str) or not 0 < len(token) <= TOKEN_CHARS_MAX:
        raise _refused("there is no ID token in the provider's answer, or a very long one")
    try:
        decoded = jwt.decode(token, keys, algorithms=list(ALGORITHMS))  # RFC 8725 3.1: the list is ours, not the header's
        _registry(wanted, now).validate(decoded.claims)
    except InvalidKeyIdError as error:
        raise UnknownKey from error
    except (JoseError, ValueError, TypeError) as error:
        raise _refused(f"the provider's ID token does not hold: {type(error).__name__}") from error
    return _read(decoded.claims, wanted)


def _registry(wanted: Expectation, now: datetime) -> jwt.JWTClaimsRegistry:
    nonce: dict[str, Any] = {"nonce": {"essential": True, "value": wanted.nonce}} if wanted.nonce else {}
    return jwt.JWTClaimsRegistry(
        int(now.timestamp()),
        LEEWAY_SECONDS,
        iss={"essential": True, "value": wanted.issuer},
        aud={"essential": True, "value": wanted.client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        **nonce,
    )


def _read(claims: Mapping[str, Any], wanted: Expectation) -> Identity:
    audience, party, subject = claims["aud"], claims.get("azp"), claims["sub"]
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise _refused("the provider's ID token is for several audiences and does not say for whom")  # OpenID Core 3.1.3.7 4
    if party is not None and party != wanted.client_id:
        raise _refused("the provider's ID token was made for another client")  # OpenID Core 3.1.3.7 5
    if not 0 < len(subject) <= SUBJECT_CHARS_MAX or not subject.isprintable():
        raise _refused("the provider's ID token names its subject in a way nobody could")
    return Identity(wanted.issuer, subject, _username(claims, wanted.username_claim), _is_mfa(claims, wanted), _auth_time(claims))


def _is_mfa(claims: Mapping[str, Any], wanted: Expectation) -> bool:
    methods = claims.get("amr")
    told = {m for m in methods[:METHODS_MAX] if isinstance(m, str)} if isinstance(methods, list) else set()
    acr = claims.get("acr")
    return (isinstance(acr, str) and acr in wanted.mfa_acr) or bool(told & wanted.mfa_amr)


def _auth_time(claims: Mapping[str, Any]) -> datetime | None:
    moment = claims.get("auth_time")
    if not isinstance(moment, int | float) or isinstance(moment, bool):
        return None
    try:
        return datetime.fromtimestamp(int(moment), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _username(claims: Mapping[str, Any], claim: str) -> str:
    value = claims.get(claim)
    text = value if isinstance(value, str) else ""
    return "".join(c for c in text if c.isprintable())[:USERNAME_CHARS_MAX]


def _refused(message: str) -> NotAuthenticated:
    return NotAuthenticated(Finding("sign_in.openid.token", message, clause="OpenID Connect Core 3.1.3.7", hint="tell your administrator"))
