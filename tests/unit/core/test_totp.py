"""One-time codes agree with the standard's own examples, and work once."""

from datetime import UTC, datetime, timedelta

import pytest

from chargepki.core import totp

SECRET = b"12345678901234567890"


@pytest.mark.clause("RFC 6238 B")
@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code_at(SECRET, seconds // totp.STEP_SECONDS) == code


@pytest.mark.clause("RFC 6238 5.2")
def test_a_code_works_one_step_to_either_side_and_only_after_the_last_one_used() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    step = totp.step_of(now)
    for near in (step - 1, step, step + 1):
        assert totp.find_step(SECRET, totp.code_at(SECRET, near), now, after=0) == near
    assert totp.find_step(SECRET, totp.code_at(SECRET, step), now, after=step) is None
    assert totp.find_step(SECRET, totp.code_at(SECRET, step - 1), now, after=step) is None
    assert totp.find_step(SECRET, totp.code_at(SECRET, step), now + timedelta(minutes=2), after=0) is None
    for wrong in ("", "12345", "abcdef", "²²²²²²", "1" * 4000):
        assert totp.find_step(SECRET, wrong, now, after=0) is None


def test_the_uri_names_issuer_and_user_and_escapes_both() -> None:
    uri = totp.spell_uri(SECRET, username="anna berg", issuer="Charge:PKI")
    assert uri.startswith("otpauth://totp/Charge%3APKI:anna%20berg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Charge%3APKI&")
