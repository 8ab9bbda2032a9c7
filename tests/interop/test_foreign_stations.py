"""Stations that nobody here wrote go the whole way: password, CSR, chain, mutual TLS, revocation, refusal."""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chargepki.client.client import Client
from chargepki.testing.server import ServerProcess, running_server

NODE_FOLDER = Path(__file__).parent / "node"
EVENT_SECONDS = 30.0


def needs(package: str) -> pytest.MarkDecorator:
    missing = [program for program in ("node", "openssl") if shutil.which(program) is None]
    if not (NODE_FOLDER / "node_modules" / package).is_dir():
        missing.append(f"{package} (make test-deps)")
    return pytest.mark.skipif(bool(missing), reason=f"{package}: not here: {', '.join(missing)}")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """The platform as a user starts it, in a process of its own."""
    async with running_server(tmp_path / "data") as started:
        yield started


@needs("em-ocpp-chargepoint-simulator")
@pytest.mark.clause("OCPP 1.6 security whitepaper A02", "OCPP 1.6 security whitepaper A05")
async def test_em_ocpp_chargepoint_simulator_goes_to_mutual_tls_and_is_shut_out(server: ServerProcess, tmp_path: Path) -> None:
    async with server.client() as client:
        password = await add_station(client, "EM-1")
        plain = f"{server.ocpp}/EM-1"
        main = "node_modules/em-ocpp-chargepoint-simulator/build/src/main.js"
        with_password = plain.replace("wss://", f"wss://EM-1:{password}@")
        more = {"URL_WITH_PASSWORD": with_password, "URL_WITHOUT_PASSWORD": plain, "SSL_CLIENT_KEYSTORE_ROOT": str(tmp_path)}
        async with node(server, tmp_path, "EM-1", main, "station16.js", **more) as station:
            await play(client, station, "EM-1")


@needs("ocpp-rpc")
@pytest.mark.clause("OCPP A02", "OCPP A05")
async def test_ocpp_rpc_with_strict_schemas_goes_to_mutual_tls_and_is_shut_out(server: ServerProcess, tmp_path: Path) -> None:
    async with server.client() as client:
        more = {"ENDPOINT": server.ocpp, "PASSWORD": await add_station(client, "RPC-1")}
        async with node(server, tmp_path, "RPC-1", "station201.js", **more) as station:
            await play(client, station, "RPC-1")


async def add_station(client: Client, id: str) -> str:
    await client.stations.add(id=id, serial_number=f"SN-{id}", operator="demo-cpo")
    return (await client.stations.set_password(id)).password


async def play(client: Client, station: Process, id: str) -> None:
    assert (await expect(station, "booted"))["status"] == "Accepted"
    assert (await expect(station, "signing"))["status"] == "Accepted"
    await expect(station, "installed")
    assert (await expect(station, "mutual-tls"))["status"] == "Accepted"
    [live] = await client.stations.sessions()
    assert (live.station, live.security_profile) == (id, "3")
    assert live.certificate is not None
    await client.certificates.revoke(live.certificate, reason="keyCompromise")
    async with asyncio.timeout(5):
        await expect(station, "closed")
    refused = (await expect(station, "refused"))["error"]
    assert "403" in refused or "Forbidden" in refused
    assert await station.wait() == 0
    assert (await client.stations.get(id)).security_profile == "3"
    refusals = [entry async for entry in client.audit_entries.list(object=f"station:{id}", outcome="refused")]
    assert "admission.certificate.revoked" in {finding["code"] for entry in refusals for finding in entry.body["findings"]}


async def expect(station: Process, event: str) -> dict[str, Any]:
    """The next line about `event`; other lines are passed over, a complaint about our schemas is not."""
    assert station.stdout is not None
    seen = []
    async with asyncio.timeout(EVENT_SECONDS):
        async for line in station.stdout:
            seen.append(line.decode(errors="replace").rstrip())
            if not line.startswith(b"@@"):
                continue
            said: dict[str, Any] = json.loads(line[2:])
            assert said["event"] not in ("invalid", "failed", "reconnected"), said
            if said["event"] == event:
                return said
    raise AssertionError(f"the station ended before {event}:\n" + "\n".join(seen[-40:]))


@asynccontextmanager
async def node(server: ServerProcess, work: Path, id: str, *arguments: str, **more: str) -> AsyncIterator[Process]:
    roots = work / "roots.pem"
    roots.write_text(server.operator_roots_pem())
    own = {"STATION": id, "SERIAL_NUMBER": f"SN-{id}", "ROOTS": str(roots), "NODE_EXTRA_CA_CERTS": str(roots), "WORK": str(work)}
    environment = {"PATH": os.environ["PATH"], "HOME": str(work), **own, **more}
    process = await asyncio.create_subprocess_exec(
        "node", *arguments, cwd=NODE_FOLDER, env=environment, stdout=PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 20
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
