"""An OpenID provider's answers: documents, keys, device codes and ID tokens of any shape end in a value or a refusal."""

import base64
from datetime import UTC, datetime

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from chargepki.adapters.oidc.fetch import Fetch, parse_answer
from chargepki.adapters.oidc.id_token import Expectation, UnknownKey, parse_id_token
from chargepki.adapters.oidc.metadata import parse_keys, parse_metadata
from chargepki.adapters.oidc.provider import parse_device_code
from chargepki.errors import Broken, Refused

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ISSUER = "https://idp.example"
WANTED = Expectation(ISSUER, "chargepki", "n", "preferred_username", frozenset({"a"}), frozenset({"mfa"}))
KEY = ECKey.generate_key("P-256", {"kid": "one"})
KEYS = KeySet([KEY])
FETCH = Fetch()
SEEDS = (
    b'{"issuer":"https://idp.example","authorization_endpoint":"https://idp.example/a","token_endpoint":"https://idp.example/t",'
    b'"jwks_uri":"https://idp.example/k","device_authorization_endpoint":"https://idp.example/d"}',
    b'{"issuer":"https://idp.example","authorization_endpoint":"https://[","token_endpoint":"https://idp.example:x/t","jwks_uri":"https://["}',
    b'{"keys":[{"kty":"EC","crv":"P-256","kid":"one","x":"8BYd1zSzdBWUqU0vWRaS8FmgXQ7X5iz8Xu3WQnOhBw0","y":"AAAA"}]}',
    b'{"device_code":"d","user_code":"ABCD-EFGH","verification_uri":"https://idp.example/c","expires_in":600,"interval":5}',
    b'{"iss":"https://idp.example","aud":["chargepki"],"azp":"chargepki","sub":"s","exp":1795348900,"iat":1795348800,"nonce":"n","amr":["mfa"]}',
)


def one_input(data: bytes) -> None:
    try:
        document = parse_answer(data)
    except Broken:
        document = {}
    for parse in (
        lambda: parse_metadata(document, ISSUER, FETCH),
        lambda: parse_keys(document),
        lambda: parse_device_code(document, FETCH),
    ):
        try:
            parse()
        except Broken:
            continue
    _as_token(data, dict(document))


def _as_token(data: bytes, claims: dict[str, object]) -> None:
    signed = jwt.encode({"alg": "ES256", "kid": "one"}, claims, KEY)
    head, _, tail = signed.split(".")
    body = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    for token in (signed, f"{head}.{body}.{tail}", f"{body}..", data.decode("latin-1")):
        try:
            identity = parse_id_token(token, KEYS, WANTED, NOW)
        except (Refused, UnknownKey):
            continue
        assert identity.issuer == ISSUER
        assert identity.subject.isprintable()


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
