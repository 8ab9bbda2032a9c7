"""`chargepki up`: runs a node in this process until it is told to stop."""

import asyncio
import gc
import hashlib
import resource
import shlex
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from chargepki import __version__
from chargepki.adapters.keys.process import harden_process
from chargepki.adapters.telemetry.logs import configure_logs
from chargepki.cli.output import Output
from chargepki.config import Config, load_config
from chargepki.node import Node, running_node
from chargepki.testing.fleet import running_fleet


def serve(data: Path, overrides: Mapping[str, Any], *, stations: int = 0, is_json: bool = False) -> None:
    """Returns after SIGINT or SIGTERM, when everything is closed."""
    harden_process()
    _raise_descriptor_limit()
    configure_logs()
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    uvloop.run(_run(load_config(data, overrides=overrides), stations, is_json))


async def _run(config: Config, stations: int, is_json: bool) -> None:
    stop, output = asyncio.Event(), Output(is_json=is_json)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        output.talk(f"ChargePKI {__version__} starts over {config.data_dir} ...")
        node = await stack.enter_async_context(running_node(config))
        await _greet(node, output)
        _spare_the_collector()
        if stations:
            await stack.enter_async_context(running_fleet(config.data_dir, stations))
        await stop.wait()
        output.talk("Stopping ...")


def _raise_descriptor_limit() -> None:
    """Every station is a descriptor; the usual soft limit of 1,024 is soon reached, and the hard one is ours to use."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _spare_the_collector() -> None:
    """What stands after the start stands for good: looking through it again and again was 7 % of issuing a certificate."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _greet(node: Node, output: Output) -> None:
    """Where it listens, what to trust, what to do next."""
    endpoints, data = node.endpoints, node.config.data_dir
    if output.is_json:
        roots = [{"id": r.authority.id, "sha256": hashlib.sha256(r.certificate_der).hexdigest()} for r in await node.roots()]
        output.json({**asdict(endpoints), "is_new": node.is_new, "roots": roots})
        sys.stdout.flush()
        return
    if node.is_new:
        mark = " It is for DEVELOPMENT: the name of every authority says so." if node.config.pki.development else ""
        output.line(f"A new platform was made.{mark}")
    output.facts(
        ("API", f"{endpoints.api}/api/v1"),
        ("Stations", f"{endpoints.ocpp}/STATION-ID"),
        ("Status", f"{endpoints.status}/ocsp  /crl/AUTHORITY.crl  /ca/AUTHORITY.cer"),
        ("Metrics", f"{endpoints.metrics}/metrics"),
    )
    output.line("")
    output.line("Roots (SHA-256)")
    output.facts(*((f"  {root.authority.id}", _fingerprint(root.certificate_der)) for root in await node.roots()))
    option = "" if str(data) == "data" else f" --data {data}"
    output.line("")
    output.line("Next, in another terminal")
    for command in _next_commands(node):
        output.line(f"  chargepki {command}{option}")
    output.line("")
    output.line("Ctrl-C stops the platform; everything is kept.")


def _next_commands(node: Node) -> tuple[str, ...]:
    if not node.config.pki.development:
        return ("login --username NAME", "party list", "approval list --mine")
    operator = shlex.quote(node.config.pki.organization)
    return (f"station add CS-1 --serial SN-0001 --operator {operator}", "station password CS-1", "cert list")


def _fingerprint(der: bytes) -> str:
    digest = hashlib.sha256(der).hexdigest()
    return " ".join(digest[at : at + 8] for at in range(0, len(digest), 8))
