"""The linter: findings for any octets, never an exception."""

from datetime import UTC, datetime

from chargepki.core.lint import LintContext, lint_tbs
from chargepki.core.profiles.registry import BUILT_IN

_NOW = datetime(2026, 12, 1, tzinfo=UTC)


def one_input(data: bytes) -> None:
    for profile in BUILT_IN:
        lint_tbs(data, LintContext(profile, None, None, None, _NOW))
        lint_tbs(data, LintContext(profile, b"0\\x00", b"key", _NOW, _NOW))


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
