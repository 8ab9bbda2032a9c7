"""A node stops when it is told to, however early."""

import asyncio
from pathlib import Path

import pytest

from chargepki.testing.server import start_server


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1, 0.4])
async def test_a_node_that_is_told_to_stop_right_after_its_start_stops(tmp_path: Path, seconds: float) -> None:
    for _ in range(2):  # the second start finds everything made
        server = await start_server(tmp_path)
        await asyncio.sleep(seconds)
        assert await server.stop() == 0
        assert not (tmp_path / "endpoints.json").exists()
