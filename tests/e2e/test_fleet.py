"""`make run` has stations that live on it."""

import asyncio
from pathlib import Path

import httpx

from chargepki.client.client import Client
from chargepki.testing.server import running_server


async def seen_by(client: Client) -> set[tuple[str, str]]:
    return {(session.ocpp_version, session.security_profile) for session in await client.stations.sessions()}


async def test_the_demo_stations_reach_mutual_tls_and_are_counted(tmp_path: Path) -> None:
    async with running_server(tmp_path, "--stations", "3") as server, server.client() as client:
        async with asyncio.timeout(30):
            while await seen_by(client) != {("1.6", "3"), ("2.0.1", "3"), ("2.1", "3")}:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.1)
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{server.metrics}/metrics")).text
            assert (await http.get(f"{server.metrics}/readyz")).text == "ok\n"
    assert "pki_connected_stations 3.0" in metrics
    assert 'pki_certificates_issued_total{profile="ocpp/station"} 3.0' in metrics
