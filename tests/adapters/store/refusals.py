"""How tests expect a conflict: with its code, and with a hint."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chargepki.errors import Conflict


@contextmanager
def conflict(code: str) -> Iterator[None]:
    with pytest.raises(Conflict) as raised:
        yield
    assert [finding.code for finding in raised.value.findings] == [code]
    assert raised.value.findings[0].hint
