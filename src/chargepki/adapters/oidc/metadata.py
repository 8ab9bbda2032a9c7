"""What a provider says of itself (OpenID Connect Discovery 1.0), and the keys it signs with: cached, bounded, read again when due."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from chargepki.adapters.oidc.fetch import Fetch
from chargepki.errors import Broken

WELL_KNOWN: Final = "/.well-known/openid-configuration"
METADATA_SECONDS: Final = 3600.0
KEYS_SECONDS: Final = 600.0
KEYS_AGAIN_SECONDS: Final = 30.0  # an unknown key id fetches the keys anew, so often at most
KEYS_MAX: Final = 64
RSA_BITS_MIN: Final = 2048
_KINDS: Final = frozenset({"RSA", "EC", "OKP"})  # no `oct`: a shared secret is no key for a signature that others verify
_HINT: Final = "look at ISSUER/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    device_authorization_endpoint: str  # "": it has none
    is_issuer_in_response: bool  # RFC 9207 3
    takes_post_secret_only: bool


class ProviderMetadata:
    """Metadata and keys of one issuer."""

    def __init__(self, issuer: str, fetch: Fetch) -> None:
        self._issuer, self._fetch = fetch.check_url(issuer, "issuer"), fetch
        self._metadata: tuple[Metadata, float] | None = None
        self._keys: tuple[KeySet, float] | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Metadata:
        async with self._lock:
            if self._metadata is None or _now() - self._metadata[1] > METADATA_SECONDS:
                answer = await self._fetch.get(self._issuer.rstrip("/") + WELL_KNOWN)
                if answer.status != 200:
                    raise Broken(f"the OpenID provider answers {answer.status} to discovery", hint=_HINT)
                self._metadata = (parse_metadata(answer.document, self._issuer, self._fetch), _now())
            return self._metadata[0]

    async def keys(self, *, must_be_fresh: bool = False) -> KeySet:
        """The provider's keys; fetched anew with `must_be_fresh` unless that happened a moment ago."""
        metadata = await self.get()
        async with self._lock:
            limit = KEYS_AGAIN_SECONDS if must_be_fresh else KEYS_SECONDS
            if self._keys is None or _now() - self._keys[1] > limit:
                answer = await self._fetch.get(metadata.jwks_uri)
                self._keys = (parse_keys(answer.document), _now())
            return self._keys[0]


def parse_metadata(document: Mapping[str, Any], issuer: str, fetch: Fetch) -> Metadata:
    """`Broken` unless it speaks for exactly `issuer` (OpenID Connect Discovery 1.0 4.3) and all its endpoints are safe to talk to."""
    if document.get("issuer") != issuer:
        raise Broken(
            "the OpenID provider speaks for another issuer than the configuration names", hint="sign_in.oidc.issuer, to the letter"
        )
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    device = document.get("device_authorization_endpoint", "")
    return Metadata(
        issuer,
        _endpoint(document, "authorization_endpoint", fetch),
        _endpoint(document, "token_endpoint", fetch),
        _endpoint(document, "jwks_uri", fetch),
        _endpoint(document, "device_authorization_endpoint", fetch) if device else "",
        document.get("authorization_response_iss_parameter_supported") is True,
        isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods,
    )


def parse_keys(document: Mapping[str, Any]) -> KeySet:
    """The keys for signatures among a JWK set (RFC 7517 5). `Broken` when there is none, or far too many."""
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise Broken(f"the OpenID provider's key set has no keys, or more than {KEYS_MAX}", hint=_HINT)
    wanted = [
        key for key in listed if isinstance(key, dict) and key.get("kty") in _KINDS and key.get("use", "sig") == "sig" and _is_long(key)
    ]
    try:
        return KeySet.import_key_set(cast(KeySetSerialization, {"keys": wanted}))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise Broken("the OpenID provider's key set cannot be read", hint=_HINT) from error


def _is_long(key: Mapping[str, Any]) -> bool:
    modulus = key.get("n")
    return key.get("kty") != "RSA" or (isinstance(modulus, str) and len(modulus) * 6 >= RSA_BITS_MIN)


def _endpoint(document: Mapping[str, Any], name: str, fetch: Fetch) -> str:
    url = document.get(name)
    if not isinstance(url, str):
        raise Broken(f"the OpenID provider names no {name}", hint=_HINT)
    return fetch.check_url(url, name)


def _now() -> float:
    return asyncio.get_running_loop().time()
