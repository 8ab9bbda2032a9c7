"""Fixtures that every test may use."""

import shutil
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Final

import pytest

from chargepki.testing.workbench import Workbench, open_workbench

JUDGES: Final = frozenset({"openssl", "curl", "ocsptool", "certtool"})  # programs that `make test-deps` installs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """A test whose judge is not on this machine is skipped by the judge's name."""
    try:
        return (yield)
    except FileNotFoundError as error:
        if error.filename in JUDGES and shutil.which(error.filename) is None:
            pytest.skip(f"{error.filename} is not installed: make test-deps")
        raise


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """All services over an embedded store, with the development hierarchies and a clock that stands."""
    async with open_workbench(tmp_path) as opened:
        yield opened
