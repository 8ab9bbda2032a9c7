"""Which passwords people may choose: long ones nobody guesses first (NIST SP 800-63B-4 3.1.1.2); no rules about kinds of characters."""

import unicodedata
from collections.abc import Iterator
from typing import Final

from chargepki.errors import Finding

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 128  # a passphrase of twenty words; hashing takes no longer for it
DIFFERENT_MIN: Final = 5

# What is left of a password when digits, marks and repetitions are taken off its words: these alone make none.
_TRIVIAL: Final = frozenset(
    [
        "abc",
        "abcdef",
        "abcdefgh",
        "abcdefghijkl",
        "admin",
        "administrator",
        "asdf",
        "asdfgh",
        "asdfghjkl",
        "azerty",
        "certificate",
        "changeme",
        "charge",
        "chargepki",
        "charging",
        "chargingstation",
        "default",
        "demo",
        "dragon",
        "enter",
        "football",
        "guest",
        "hello",
        "hunter",
        "iloveyou",
        "letmein",
        "login",
        "master",
        "monkey",
        "mysecret",
        "ocpp",
        "office",
        "pass",
        "passphrase",
        "passwd",
        "passwort",
        "password",
        "princess",
        "qaz",
        "qazwsx",
        "qwe",
        "qwert",
        "qwerty",
        "qwertyuiop",
        "qwertz",
        "root",
        "secret",
        "shadow",
        "station",
        "summer",
        "sunshine",
        "superman",
        "superuser",
        "system",
        "temp",
        "test",
        "user",
        "welcome",
        "winter",
        "yxcvbnm",
        "zxcvbnm",
        "correcthorsebatterystaple",
    ]
)
_LOOKALIKES: Final = str.maketrans("@430157$!", "aaeoistsi")
_AROUND: Final = "0123456789!?.,;:-_+*#$%&/()= "  # what is put before and behind a word to please a rule
_RUNS: Final = (
    "0123456789012345",
    "9876543210987654",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
)
_RUN_MIN: Final = 8


def normalize_password(password: str) -> str:
    """NFKC: the same password typed on another keyboard is the same octets (RFC 8265 4.2)."""
    return unicodedata.normalize("NFKC", password)


def find_password_faults(password: str, *, username: str) -> Iterator[Finding]:
    """Everything that is wrong with a password that was normalised."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        yield _fault("length", f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters", "three or four words that have nothing in common")
        return
    if not all(c.isprintable() for c in password):
        yield _fault("characters", "a password has no control characters", "")
    if len(set(password)) < DIFFERENT_MIN:
        yield _fault("repeated", f"a password has at least {DIFFERENT_MIN} different characters", "")
    folded = password.casefold()
    if len(username) >= 3 and username.casefold() in folded and len(folded) - len(username) < LENGTH_MIN:
        yield _fault("username", "the password is little more than the user name", "")
    if _is_run(folded) or _is_trivial(folded):
        yield _fault("trivial", "this password is among the first that anybody would try", "choose words at random")


def _is_run(folded: str) -> bool:
    """Mostly the keyboard, the alphabet or the digits in their order."""
    longest = max((size for run in _RUNS for size in range(_RUN_MIN, len(run) + 1) if _holds(folded, run, size)), default=0)
    return longest >= len(folded) - 4


def _holds(folded: str, run: str, size: int) -> bool:
    return any(run[at : at + size] in folded for at in range(len(run) - size + 1))


def _is_trivial(folded: str) -> bool:
    for spelt in (folded, folded.strip(_AROUND).translate(_LOOKALIKES)):
        words = [_unrepeated("".join(c for c in word if c.isalpha())) for word in (spelt, *spelt.split())]
        if words[0] in _TRIVIAL or all(not word or word in _TRIVIAL for word in words[1:]):
            return True
    return False


def _unrepeated(word: str) -> str:
    """`passwordpassword` is `password`."""
    return next((word[:size] for size in range(1, len(word)) if len(word) % size == 0 and word[:size] * (len(word) // size) == word), word)


def _fault(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"sign_in.password.{slug}", message, path="password", clause="NIST SP 800-63B-4 3.1.1.2", hint=hint)
