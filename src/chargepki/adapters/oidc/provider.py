"""One configured provider, from its settings to verified identities."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from chargepki.adapters.oidc.fetch import Answer, Fetch
from chargepki.adapters.oidc.id_token import Expectation, UnknownKey, parse_id_token
from chargepki.adapters.oidc.metadata import Metadata, ProviderMetadata
from chargepki.errors import Broken, Finding, NotAuthenticated, Refused
from chargepki.ports import Clock
from chargepki.services.openid import DeviceCode, Identity

DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628 3.4
TEXT_CHARS_MAX: Final = 1024  # a device code is opaque; the known ones have 43 to 250 characters
INTERVAL_SECONDS: Final = 5  # RFC 8628 3.2: unless said
INTERVAL_SECONDS_MAX: Final = 60
LIVES_SECONDS_MAX: Final = 1800
_WAITS: Final = frozenset({"authorization_pending", "slow_down"})  # RFC 8628 3.5


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`client_secret` "" is a public client. `mfa_acr` and `mfa_amr`: what in an ID token proves a second factor."""

    issuer: str
    client_id: str
    title: str
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("openid", "profile")
    username_claim: str = "preferred_username"
    mfa_acr: frozenset[str] = frozenset()
    mfa_amr: frozenset[str] = frozenset()
    ca_file: Path | None = None
    may_be_plain: bool = False  # http:// to a provider on this machine: development only


class Provider:
    """Implements `services.openid.OpenIdProvider`."""

    def __init__(self, settings: ProviderSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._fetch = Fetch(ca_file=settings.ca_file, may_be_plain=settings.may_be_plain)
        self._metadata = ProviderMetadata(settings.issuer, self._fetch)

    def __repr__(self) -> str:
        return f"Provider({self._settings.issuer!r})"

    @property
    def title(self) -> str:
        return self._settings.title

    @property
    def issuer(self) -> str:
        return self._settings.issuer

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str, max_age: int) -> str:
        metadata = await self._metadata.get()
        values = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",  # RFC 7636 4.3
            "max_age": str(max_age),
        }
        if max_age == 0:
            values["prompt"] = "login"
        if self._settings.mfa_acr:
            values["acr_values"] = " ".join(sorted(self._settings.mfa_acr))
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return f"{metadata.authorization_endpoint}{separator}{urlencode(values)}"

    async def redeem_code(self, *, code: str, redirect_uri: str, verifier: str, nonce: str, issuer: str) -> Identity:
        metadata = await self._metadata.get()
        if (issuer or metadata.is_issuer_in_response) and issuer != metadata.issuer:
            raise _refused("the answer came from another provider than was asked", "RFC 9207 2.4")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        answer = await self._post(metadata, metadata.token_endpoint, form)
        if answer.status != 200:
            raise _refused(f"the provider did not accept its own code ({_error(answer)})", "RFC 6749 5.2")
        return await self._identity(answer.document.get("id_token"), nonce)

    async def start_device(self) -> DeviceCode:
        metadata = await self._metadata.get()
        if not metadata.device_authorization_endpoint:
            hint = "sign in with a browser, or with a local account: chargepki login --local"
            raise Refused.because("sign_in.openid.device", "this provider has no device flow", clause="RFC 8628 4", hint=hint)
        form = {"scope": " ".join(self._settings.scopes)}
        answer = await self._post(metadata, metadata.device_authorization_endpoint, form)
        if answer.status != 200:
            raise _refused(f"the provider did not start a device flow ({_error(answer)})", "RFC 8628 3.1")
        return parse_device_code(answer.document, self._fetch)

    async def redeem_device_code(self, device_code: str) -> Identity | None:
        metadata = await self._metadata.get()
        answer = await self._post(metadata, metadata.token_endpoint, {"grant_type": DEVICE_GRANT, "device_code": device_code})
        if answer.status != 200:
            if (word := _error(answer)) in _WAITS:
                return None
            raise _refused(f"the provider did not sign you in ({word})", "RFC 8628 3.5")
        return await self._identity(answer.document.get("id_token"), "")

    async def _identity(self, token: object, nonce: str) -> Identity:
        settings = self._settings
        wanted = Expectation(settings.issuer, settings.client_id, nonce, settings.username_claim, settings.mfa_acr, settings.mfa_amr)
        try:
            return parse_id_token(token, await self._metadata.keys(), wanted, self._clock.now())
        except UnknownKey:
            pass
        try:
            return parse_id_token(token, await self._metadata.keys(must_be_fresh=True), wanted, self._clock.now())
        except UnknownKey as error:
            raise _refused(
                "the provider's ID token is signed with a key the provider does not publish", "OpenID Connect Core 10.1"
            ) from error

    async def _post(self, metadata: Metadata, url: str, form: Mapping[str, str]) -> Answer:
        """With the client's credentials: Basic, in the form, or none (RFC 6749 2.3.1)."""
        id, secret = self._settings.client_id, self._settings.client_secret
        if not secret:
            return await self._fetch.post(url, {**form, "client_id": id})
        if metadata.takes_post_secret_only:
            return await self._fetch.post(url, {**form, "client_id": id, "client_secret": secret})
        return await self._fetch.post(url, form, basic=(quote(id, safe=""), quote(secret, safe="")))


def parse_device_code(document: Mapping[str, Any], fetch: Fetch) -> DeviceCode:
    """RFC 8628 3.2. `Broken` when it lacks something or could be shown to nobody."""
    texts = {name: document.get(name, "") for name in ("device_code", "user_code", "verification_uri", "verification_uri_complete")}
    if not all(isinstance(text, str) and len(text) <= TEXT_CHARS_MAX and text.isprintable() for text in texts.values()):
        raise Broken("the OpenID provider's device codes cannot be read", hint="see RFC 8628 3.2")
    if not texts["device_code"] or not texts["user_code"]:
        raise Broken("the OpenID provider's device codes are missing", hint="see RFC 8628 3.2")
    fetch.check_url(texts["verification_uri"], "verification_uri")
    if texts["verification_uri_complete"]:
        fetch.check_url(texts["verification_uri_complete"], "verification_uri_complete")
    return DeviceCode(
        **texts,
        expires_seconds=_number(document.get("expires_in"), LIVES_SECONDS_MAX, LIVES_SECONDS_MAX),
        interval_seconds=_number(document.get("interval"), INTERVAL_SECONDS, INTERVAL_SECONDS_MAX),
    )


def _number(value: object, default: int, most: int) -> int:
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def _error(answer: Answer) -> str:
    """The error code, if it is one (RFC 6749 5.2); never the provider's free text."""
    word = answer.document.get("error")
    is_word = isinstance(word, str) and len(word) <= 64 and all(c.isascii() and (c.isalnum() or c in "_-") for c in word)
    return str(word) if is_word else f"status {answer.status}"


def _refused(message: str, clause: str) -> NotAuthenticated:
    return NotAuthenticated(
        Finding("sign_in.openid.provider", message, clause=clause, hint="start again; if it stays, tell your administrator")
    )
