"""A CA that is made while the platform runs is used and trusted at once."""

import asyncio
from pathlib import Path

from chargepki.testing.server import running_server
from chargepki.testing.station.simulator import StationSimulator


async def test_a_station_of_a_new_authority_connects_without_a_restart(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, server.client() as client:
        await client.authorities.create(
            id="own-root", profile="root/operator", key_spec="ec-p384", common_name="Own Root CA", organization="demo-cpo"
        )
        await client.authorities.create(
            id="own-sub", profile="sub/operator", parent="own-root", key_spec="ec-p256", common_name="Own Sub CA", organization="demo-cpo"
        )
        async with asyncio.timeout(5):
            while server.operator_roots_pem().count("BEGIN") < 3:  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.05)
        await client.stations.add(id="CS-1", serial_number="SN-1", operator="demo-cpo")
        password = (await client.stations.set_password("CS-1")).password
        async with StationSimulator("CS-1", server.ocpp, server.operator_roots_pem(), serial_number="SN-1") as station:
            await station.connect_basic(password)
            await station.boot()
            certificate = await station.wait_for_certificate()
            assert "Own Sub CA" in certificate.leaf.issuer.rfc4514_string()
            await station.disconnect()
            await station.connect_mutual_tls()
            await station.boot()
