"""Simulated stations that live on a running platform, so that there is something to look at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog

from chargepki.client.client import Client
from chargepki.client.connection import Connection, find_connection
from chargepki.core.bundle import OcppVersion
from chargepki.errors import ChargePkiError, Conflict
from chargepki.testing.station.simulator import StationSimulator

OPERATOR: Final = "demo-cpo"
HEARTBEAT_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 15.0  # after a connection that ended or was refused

_log = structlog.get_logger(__name__)


@asynccontextmanager
async def running_fleet(data: Path, count: int) -> AsyncIterator[None]:
    """`count` stations, of all OCPP versions in turn, over the platform in `data`. Each keeps its key in DATA/demo-stations."""
    connection = find_connection(data)
    tasks = [asyncio.create_task(_live(data, connection, number), name=f"demo station {number}") for number in range(1, count + 1)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _live(data: Path, connection: Connection, number: int) -> None:
    """For ever: a station that connects, gets its certificate, heartbeats, and comes back."""
    version = list(OcppVersion)[number % len(OcppVersion)]
    roots = await asyncio.to_thread((data / "trust" / "operator-roots.pem").read_text)
    id, serial = f"DEMO-{number:02}", f"SN-DEMO-{number:04}"
    station = StationSimulator(
        id, connection.endpoints["ocpp"], roots, serial_number=serial, version=version, directory=data / "demo-stations" / id
    )
    while True:
        try:
            async with Client(connection.url, connection.token, connection.ca_file) as client, station:
                if station.certificate is None:
                    await _enrol(client, station, id, serial)
                await station.connect_mutual_tls()
                await station.boot()
                await station.report_status()
                while True:
                    await station.heartbeat()
                    await asyncio.sleep(HEARTBEAT_SECONDS)
        except (ChargePkiError, TimeoutError) as error:
            _log.info("demo station is away", station=id, why=str(error), retry_seconds=RETRY_SECONDS)
        await asyncio.sleep(RETRY_SECONDS)


async def _enrol(client: Client, station: StationSimulator, id: str, serial: str) -> None:
    """From the inventory to an installed certificate, over a password."""
    try:
        await client.stations.add(id=id, serial_number=serial, operator=OPERATOR)
    except Conflict:
        _log.debug("demo station is registered already", station=id)
    await station.connect_basic((await client.stations.set_password(id)).password)
    await station.boot()
    await station.wait_for_certificate()
    await station.disconnect()
