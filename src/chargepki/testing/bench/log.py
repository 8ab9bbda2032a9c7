"""The log by itself: entries that 32 callers commit and wait for, durable tiles on this machine's disk, real signatures.

A caller does what issuing does: one entry, the wait until it stands in a signed checkpoint, one more entry. The database is a list in
memory, so what is measured is what the log adds to it.
"""

import asyncio
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

from chargepki.adapters.clock import SystemClock
from chargepki.adapters.entropy import SystemEntropy
from chargepki.adapters.notify import LocalNotifier
from chargepki.adapters.tlog.files import TileDirectory
from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.merkle import hash_leaf
from chargepki.errors import Broken
from chargepki.ports import Event, Ports, SecretBox, Store
from chargepki.services.log import LogSettings, TransparencyLog
from chargepki.testing.bench.measurement import CPU_SECONDS_MIN, Measurement
from chargepki.testing.vault import MemoryVault

COUNT: Final = 6_000
CALLERS: Final = 32
ENTRY: Final = b"x" * 1_000  # an audit entry of an issued certificate has about that
_TREE_LEAVES: Final = 300_000


class _Leaves:
    """As much of a store as the log asks for."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def append(self) -> None:
        self.entries.append(b"%d %b" % (len(self.entries), ENTRY))

    async def count_leaves(self) -> int:
        return len(self.entries)

    async def list_leaves(self, *, first: int, limit: int) -> tuple[bytes, ...]:
        return tuple(self.entries[first : first + limit])


async def bench_log(count: int = COUNT) -> Measurement:
    """`count` entries, half of them waited for. The times are those of the waits."""
    with tempfile.TemporaryDirectory(prefix="chargepki-bench-") as directory:
        leaves, tiles = _Leaves(), TileDirectory(Path(directory) / "log")
        # `Store` and `SecretBox`: the log asks the one for leaves, the other for nothing
        ports = Ports(
            cast(Store, leaves),
            MemoryVault(),
            SystemClock(),
            SystemEntropy(),
            LocalNotifier(_no_events),
            tiles,
            cast(SecretBox, None),
        )
        log = TransparencyLog(ports, LogSettings())
        await log.start()
        cpu, began = time.process_time(), time.perf_counter()
        waits = await _append(log, leaves, count)
        seconds, cpu_seconds = time.perf_counter() - began, max(time.process_time() - cpu, CPU_SECONDS_MIN)
        await log.settle()
        if log.health().size != len(leaves.entries):
            raise Broken("the log lost entries", hint="the measured log is not what it should be")
        await tiles.close()
    return _measurement("log", len(leaves.entries), seconds, cpu_seconds, waits)


def bench_tree(count: int = _TREE_LEAVES) -> Measurement:
    """Leaves hashed into the tree, without files or signatures."""
    cpu, began, edge = time.process_time(), time.perf_counter(), TreeEdge()
    edge.append(hash_leaf(ENTRY) for _ in range(count))
    edge.root()
    return _measurement("log-tree", count, time.perf_counter() - began, time.process_time() - cpu, [0.0])


async def _append(log: TransparencyLog, leaves: _Leaves, count: int) -> list[float]:
    waits: list[float] = []

    async def call(times: int) -> None:
        for _ in range(times):
            leaves.append()
            began = time.perf_counter()
            await log.settle()
            waits.append(time.perf_counter() - began)
            leaves.append()

    await asyncio.gather(*(call(max(1, count // 2 // CALLERS)) for _ in range(CALLERS)))
    return waits


def _measurement(name: str, count: int, seconds: float, cpu_seconds: float, waits: Sequence[float]) -> Measurement:
    ordered = sorted(waits)
    return Measurement(
        name=name,
        count=count,
        per_second=round(count / seconds, 1),
        per_cpu_second=round(count / cpu_seconds, 1),
        cpu_seconds=round(cpu_seconds, 2),
        peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        p50_ms=round(ordered[len(ordered) // 2] * 1000, 2),
        p99_ms=round(ordered[len(ordered) * 99 // 100] * 1000, 2),
        store="memory",
    )


def _no_events(event: Event, error: Exception) -> None:
    raise Broken(f"the log publishes no events: {event}") from error
