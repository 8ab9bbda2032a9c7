"""The API over real services and an embedded store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chargepki.services.access import TokenOrder
from chargepki.testing.workbench import ADMIN, open_workbench
from tests.api.api_platform import Platform, api_services, open_http


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_workbench(tmp_path) as bench:
        _, token = await bench.services.access.create_token(ADMIN, TokenOrder("tests", frozenset({"*:*:*"})))
        services = api_services(bench)
        async with open_http(services, token) as http:
            yield Platform(bench, services, http, token)


@pytest.fixture
async def station(platform: Platform) -> str:
    answer = await platform.http.post("/stations", json={"id": "CS-17", "serial_number": "SN-0017", "operator": "demo-cpo"})
    assert answer.status_code == 201
    return "CS-17"
