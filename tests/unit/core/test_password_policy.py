"""Passwords that everybody tries first are refused; long ones that nobody knows are not."""

import pytest

from chargepki.core.password_policy import find_password_faults, normalize_password

GOOD = [
    "correct gravel tuesday",
    "vq7nmWzx2Kfe",
    "ein-pferd-frisst-gurken",
    "pa55word maple stove",
    "日本語のとても長い合言葉です",
]
BAD = {
    "short": "length",
    "x" * 129: "length",
    "aaaaaaaaaaaa": "repeated",
    "abababababab": "repeated",
    "password1234": "trivial",
    "P@ssw0rd2026!": "trivial",
    "passwordpassword": "trivial",
    "ChargePKI-2026": "trivial",
    "correct horse battery staple": "trivial",
    "qwertyuiopas": "trivial",
    "1234567890123": "trivial",
    "admin admin 1234": "trivial",
    "anna.berg2026": "username",
    "with\x00a nul inside": "characters",
}


@pytest.mark.parametrize("password", GOOD)
def test_a_long_password_is_taken(password: str) -> None:
    assert list(find_password_faults(normalize_password(password), username="anna.berg")) == []


@pytest.mark.clause("NIST SP 800-63B-4 3.1.1.2")
@pytest.mark.parametrize(("password", "slug"), BAD.items())
def test_a_password_that_is_tried_first_is_refused_with_its_reason(password: str, slug: str) -> None:
    codes = {finding.code for finding in find_password_faults(normalize_password(password), username="anna.berg")}
    assert f"sign_in.password.{slug}" in codes
    assert all(password not in finding.message for finding in find_password_faults(password, username="anna.berg"))


def test_the_same_password_from_another_keyboard_is_the_same() -> None:
    assert normalize_password("cafe\u0301 au lait noir") == normalize_password("caf\u00e9 au lait noir")
