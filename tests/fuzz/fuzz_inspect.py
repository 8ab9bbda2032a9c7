"""The inspector: a tree that is JSON, or a refusal."""

import json
from datetime import UTC, datetime

from chargepki.core.inspect import inspect
from chargepki.errors import Refused

_NOW = datetime(2026, 12, 1, tzinfo=UTC)


def one_input(data: bytes) -> None:
    try:
        inspection = inspect(data, now=_NOW)
    except Refused:
        return
    json.dumps(inspection.to_json())


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
