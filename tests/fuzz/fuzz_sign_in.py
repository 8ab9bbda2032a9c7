"""What strangers send to sign in: headers, cookies, handles, sealed secrets, passwords and codes of any shape."""

from datetime import UTC, datetime

from starlette.datastructures import Headers

from chargepki.adapters.keys.secret_box import FileSecretBox
from chargepki.api.who_is_asking import SESSION_COOKIE, check_own_page, parse_bearer, read_cookie, session_secret
from chargepki.core import totp
from chargepki.core.password_policy import LENGTH_MAX, find_password_faults, normalize_password
from chargepki.errors import Broken, Refused
from chargepki.services.machine_sign_in import parse_client_certificate
from chargepki.services.sign_in import network_of

BOX = FileSecretBox(b"\0" * 32)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEEDS = (
    b"Bearer cpss_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    b"__Host-chargepki-session=cpss_AAAA; __Host-chargepki-sign-in=AAAA",
    b"https://pki.example.org",
    b"[2001:db8::1]:443",
    b"192.0.2.7:80",
    b"correct horse battery staple",
    b"123456",
    BOX.seal(b"secret", "c"),
)


def one_input(data: bytes) -> None:
    raw = [(name, data) for name in (b"authorization", b"cookie", b"origin", b"host", b"sec-fetch-site")]
    for headers in (Headers(raw=raw), Headers(raw=raw[1:]), Headers(raw=[raw[1], raw[1]])):
        assert isinstance(read_cookie(headers, SESSION_COOKIE), str)
        for look in (lambda h=headers: session_secret(h), lambda h=headers: check_own_page("POST", h)):
            try:
                look()
            except Refused:
                continue
    text = data.decode("utf-8", "replace")
    for check in (lambda: parse_bearer([text]), lambda: parse_client_certificate(data), lambda: BOX.open(data, "d")):
        try:
            check()
        except (Refused, Broken):
            continue
    assert network_of(text)
    list(find_password_faults(normalize_password(text[: LENGTH_MAX + 1]), username="anna"))
    assert totp.find_step(b"k" * 20, text, NOW, after=totp.step_of(NOW) + 1) is None


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
