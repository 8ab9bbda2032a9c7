"""What a provider may say, and what happens when it, or somebody in its place, says something else."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from chargepki.adapters.oidc.provider import Provider, ProviderSettings
from chargepki.errors import Broken, NotAuthenticated
from chargepki.services.openid import Identity
from chargepki.testing.clock import FixedClock
from tests.adapters.oidc.pocket_provider import CLIENT, PocketProvider, pocket_provider

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
NONCE = "o_nonce"


@pytest.fixture
async def pocket() -> AsyncIterator[PocketProvider]:
    async with pocket_provider() as provider:
        yield provider


def settings(pocket: PocketProvider, **changed: Any) -> ProviderSettings:
    values: dict[str, Any] = {"mfa_amr": frozenset({"otp"}), "mfa_acr": frozenset({"urn:mfa"}), "may_be_plain": True}
    return ProviderSettings(pocket.issuer, CLIENT, "Pocket", **{**values, **changed})


def relying(pocket: PocketProvider, **changed: Any) -> Provider:
    return Provider(settings(pocket, **changed), FixedClock(NOW))


def claims(pocket: PocketProvider, **changed: Any) -> dict[str, Any]:
    said = {
        "iss": pocket.issuer,
        "aud": CLIENT,
        "sub": "subject-1",
        "iat": SECONDS,
        "exp": SECONDS + 300,
        "nonce": NONCE,
        "auth_time": SECONDS - 30,
        "amr": ["pwd", "otp"],
        "preferred_username": "anna",
    }
    return {name: value for name, value in {**said, **changed}.items() if value is not None}


async def redeem(pocket: PocketProvider, token: object, *, issuer: str | None = None, **changed: Any) -> Identity:
    pocket.say("/token", {"access_token": "a", "token_type": "Bearer", "id_token": token})
    said = pocket.issuer if issuer is None else issuer
    return await relying(pocket, **changed).redeem_code(code="c", redirect_uri="https://pki/cb", verifier="v", nonce=NONCE, issuer=said)


async def test_a_good_token_says_who_it_is_and_how_surely(pocket: PocketProvider) -> None:
    assert await redeem(pocket, pocket.sign(claims(pocket))) == Identity(
        pocket.issuer, "subject-1", "anna", True, NOW - timedelta(seconds=30)
    )


async def test_what_does_not_prove_a_second_factor_does_not_count_as_one(pocket: PocketProvider) -> None:
    assert not (await redeem(pocket, pocket.sign(claims(pocket, amr=["pwd"])))).is_mfa
    assert not (await redeem(pocket, pocket.sign(claims(pocket, amr="otp")))).is_mfa
    assert not (await redeem(pocket, pocket.sign(claims(pocket, amr=None)), mfa_amr=frozenset())).is_mfa
    assert (await redeem(pocket, pocket.sign(claims(pocket, amr=None, acr="urn:mfa")))).is_mfa
    assert (await redeem(pocket, pocket.sign(claims(pocket, auth_time=None)))).authenticated_at is None


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "somebody-else"},
    "audiences without a party": {"aud": [CLIENT, "somebody-else"]},
    "another party": {"azp": "somebody-else"},
    "expired": {"exp": SECONDS - 61},
    "never expires": {"exp": None},
    "issued tomorrow": {"iat": SECONDS + 86_400},
    "not yet": {"nbf": SECONDS + 3_600},
    "another nonce": {"nonce": "replayed"},
    "no nonce": {"nonce": None},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a number for a subject": {"sub": 17},
    "a subject that fools terminals": {"sub": "a\x1b[2J"},
    "a long subject": {"sub": "x" * 256},
    "no audience": {"aud": None},
}


@pytest.mark.clause("OpenID Connect Core 3.1.3.7")
@pytest.mark.parametrize("case", BAD_CLAIMS)
async def test_a_token_that_is_not_what_was_asked_for_is_refused(pocket: PocketProvider, case: str) -> None:
    with pytest.raises(NotAuthenticated):
        await redeem(pocket, pocket.sign(claims(pocket, **BAD_CLAIMS[case])))


@pytest.mark.clause("RFC 8725 3.1")
async def test_a_token_without_a_signature_or_with_the_wrong_kind_of_key_is_refused(pocket: PocketProvider) -> None:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    body = part(claims(pocket))
    public = json.dumps(pocket.keys[0].as_dict()).encode()
    shared = OctKey.import_key(public)
    forged = [
        f"{part({'alg': 'none'})}.{body}.",
        f"{part({'alg': 'None', 'kid': 'one'})}.{body}.",
        pocket.sign(claims(pocket), key=shared, header={"alg": "HS256", "kid": "one"}),
        pocket.sign(claims(pocket), key=ECKey.generate_key("P-256"), header={"alg": "ES256", "kid": "one"}),
        pocket.sign(claims(pocket))[:-6] + "AAAAAA",
        "x.y.z",
        "",
        "a" * 20_000,
        None,
        {"not": "a string"},
    ]
    for token in forged:
        with pytest.raises(NotAuthenticated):
            await redeem(pocket, token)


@pytest.mark.clause("OpenID Connect Core 10.1")
async def test_a_new_key_is_fetched_and_an_unpublished_one_is_refused(pocket: PocketProvider) -> None:
    provider = relying(pocket)

    async def redeem_with(key: Any) -> Identity:
        pocket.say("/token", {"id_token": pocket.sign(claims(pocket), key=key)})
        return await provider.redeem_code(code="c", redirect_uri="r", verifier="v", nonce=NONCE, issuer=pocket.issuer)

    assert await redeem_with(pocket.keys[0])
    unpublished = RSAKey.generate_key(2048, {"kid": "two", "use": "sig"})
    with pytest.raises(NotAuthenticated, match="does not publish"):
        await redeem_with(unpublished)
    fetched = sum(path == "/keys" for _, path, _ in pocket.asked)
    with pytest.raises(NotAuthenticated):
        await redeem_with(unpublished)
    assert sum(path == "/keys" for _, path, _ in pocket.asked) == fetched <= 2, "a stranger's key id does not make us hammer the provider"
    pocket.keys.append(unpublished)
    pocket.publish()
    assert (await relying(pocket).authorization_url(redirect_uri="r", state="s", nonce="n", challenge="c", max_age=1)).startswith(
        pocket.issuer
    )
    pocket.say("/token", {"id_token": pocket.sign(claims(pocket), key=unpublished)})
    assert await relying(pocket).redeem_code(code="c", redirect_uri="r", verifier="v", nonce=NONCE, issuer=pocket.issuer)


@pytest.mark.clause("RFC 9207 2.4")
async def test_an_answer_of_another_provider_is_refused(pocket: PocketProvider) -> None:
    token = pocket.sign(claims(pocket))
    for issuer in ("https://evil.example", ""):
        with pytest.raises(NotAuthenticated, match="another provider"):
            await redeem(pocket, token, issuer=issuer)
    pocket.say("/.well-known/openid-configuration", pocket.discovery(authorization_response_iss_parameter_supported=None))
    assert await redeem(pocket, token, issuer="")
    with pytest.raises(NotAuthenticated):
        await redeem(pocket, token, issuer="https://evil.example")


BAD_DISCOVERY: dict[str, dict[str, Any]] = {
    "another issuer": {"issuer": "https://evil.example"},
    "the same issuer with a slash": {"issuer": "/"},
    "no token endpoint": {"token_endpoint": None},
    "a plain endpoint elsewhere": {"token_endpoint": "http://evil.example/token"},
    "a file": {"jwks_uri": "file:///etc/passwd"},
    "a password in the address": {"token_endpoint": "https://user:pw@idp.example/token"},
    "a number": {"authorization_endpoint": 7},
}


@pytest.mark.clause("OpenID Connect Discovery 1.0 4.3")
@pytest.mark.parametrize("case", BAD_DISCOVERY)
async def test_discovery_that_speaks_for_another_or_leads_elsewhere_is_refused(pocket: PocketProvider, case: str) -> None:
    pocket.say("/.well-known/openid-configuration", pocket.discovery(**BAD_DISCOVERY[case]))
    with pytest.raises(Broken):
        await relying(pocket).authorization_url(redirect_uri="r", state="s", nonce="n", challenge="c", max_age=1)


async def test_answers_are_bounded_and_are_json_objects(pocket: PocketProvider) -> None:
    deep = b'{"a":' * 40 + b"1" + b"}" * 40
    for body in (b"[1]", b"{", b"\xff", deep, b"[" * 100_000, b'{"a": "' + b"x" * 200_000 + b'"}'):
        pocket.say("/.well-known/openid-configuration", body)
        with pytest.raises(Broken):
            await relying(pocket).start_device()
    pocket.publish()
    for keys in (
        {},
        {"keys": 1},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "AAAA"}]},
        {"keys": [{"kty": "EC"}] * 65},
        {"keys": [{"kty": "EC"}]},
    ):
        pocket.say("/keys", keys)
        with pytest.raises(Broken):
            await redeem(pocket, pocket.sign(claims(pocket)))


async def test_a_redirect_is_not_followed(pocket: PocketProvider) -> None:
    pocket.say("/.well-known/openid-configuration", {}, status=302)
    with pytest.raises(Broken, match="302"):
        await relying(pocket).start_device()


def test_plain_http_is_for_this_machine_in_development_alone(pocket: PocketProvider) -> None:
    with pytest.raises(Broken, match="https"):
        relying(pocket, may_be_plain=False)
    with pytest.raises(Broken, match="https"):
        Provider(ProviderSettings("http://idp.example", CLIENT, "x", may_be_plain=True), FixedClock(NOW))


@pytest.mark.clause("RFC 7636 4.3")
async def test_the_way_there_carries_pkce_state_and_nonce(pocket: PocketProvider) -> None:
    url = await relying(pocket).authorization_url(redirect_uri="https://pki/cb", state="s", nonce="n", challenge="c", max_age=0)
    values = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
    assert values == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": "https://pki/cb",
        "scope": "openid profile",
        "state": "s",
        "nonce": "n",
        "code_challenge": "c",
        "code_challenge_method": "S256",
        "max_age": "0",
        "prompt": "login",
        "acr_values": "urn:mfa",
    }


@pytest.mark.clause("RFC 8628 3.5")
async def test_the_device_flow_waits_and_ends(pocket: PocketProvider) -> None:
    provider = relying(pocket)
    pocket.say(
        "/device",
        {"device_code": "d", "user_code": "ABCD", "verification_uri": f"{pocket.issuer}/code", "expires_in": 10**9, "interval": -3},
    )
    code = await provider.start_device()
    assert (code.expires_seconds, code.interval_seconds) == (1800, 5)
    for word in ("authorization_pending", "slow_down"):
        pocket.say("/token", {"error": word}, status=400)
        assert await provider.redeem_device_code("d") is None
    for word in ("access_denied", "expired_token", "\x1b[31mred", 7):
        pocket.say("/token", {"error": word}, status=400)
        with pytest.raises(NotAuthenticated) as refused:
            await provider.redeem_device_code("d")
        assert "\x1b" not in str(refused.value)
    pocket.say("/token", {"id_token": pocket.sign(claims(pocket, nonce=None))})
    assert await provider.redeem_device_code("d")


async def test_a_device_code_that_could_be_shown_to_nobody_is_refused(pocket: PocketProvider) -> None:
    good = {"device_code": "d", "user_code": "ABCD", "verification_uri": f"{pocket.issuer}/code"}
    for bad in ({"user_code": "\x1b]0;x\x07"}, {"user_code": ""}, {"verification_uri": "javascript:alert(1)"}, {"device_code": "x" * 5000}):
        pocket.say("/device", {**good, **bad})
        with pytest.raises(Broken):
            await relying(pocket).start_device()


async def test_a_client_secret_goes_where_the_provider_takes_it_and_shows_nowhere(pocket: PocketProvider) -> None:
    secret = "s&cr=t:ä"
    assert secret not in repr(settings(pocket, client_secret=secret))
    await redeem(pocket, pocket.sign(claims(pocket)), client_secret=secret)
    assert b"client_secret" not in pocket.asked[-2][2], "Basic is preferred (RFC 6749 2.3.1)"
    pocket.say("/.well-known/openid-configuration", pocket.discovery(token_endpoint_auth_methods_supported=["client_secret_post"]))
    await redeem(pocket, pocket.sign(claims(pocket)), client_secret=secret)
    [form] = [parse_qs(body.decode()) for _, path, body in pocket.asked[-3:] if path == "/token"]
    assert form["client_secret"] == [secret]
