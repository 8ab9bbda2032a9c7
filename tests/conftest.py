"""Fixtures that every test may use."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chargepki.testing.workbench import Workbench, open_workbench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """All services over an embedded store, with the development hierarchies and a clock that stands."""
    async with open_workbench(tmp_path) as opened:
        yield opened
