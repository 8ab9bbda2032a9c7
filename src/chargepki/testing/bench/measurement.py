"""One measured run, and how it is measured."""

from dataclasses import dataclass
from typing import Final

from chargepki.testing.load import Load
from chargepki.testing.process_use import read_use
from chargepki.testing.server import ServerProcess

CPU_SECONDS_MIN: Final = 0.01  # one tick of the kernel's clock: below it there is nothing to divide by


@dataclass(frozen=True, slots=True)
class Measurement:
    """`cpu_seconds` are user and system time of the server and its children; a PostgreSQL server is not among them.

    `count` is the number of things done (certificates, answers, CRL entries), the rates count the same things. `p50_ms` and `p99_ms`
    are per request. `openssl_speed`: P-256 signatures per CPU-second of `openssl speed` in the same run, None where it is missing.
    """

    name: str
    count: int
    per_second: float
    per_cpu_second: float
    cpu_seconds: float
    peak_rss_mb: float
    p50_ms: float
    p99_ms: float
    store: str
    openssl_speed: float | None = None


async def measure(
    name: str, server: ServerProcess, load: Load, *, store: str, status: int = 200, things_per_request: int = 1
) -> Measurement:
    """Runs the load to its end. `Broken` unless every answer has `status`."""
    before = read_use(server.pid)
    await load.run()
    after = read_use(server.pid)
    load.check(status)
    count, cpu_seconds = load.answered * things_per_request, max(after.cpu_seconds - before.cpu_seconds, CPU_SECONDS_MIN)
    return Measurement(
        name=name,
        count=count,
        per_second=round(count / load.seconds, 1),
        per_cpu_second=round(count / cpu_seconds, 1),
        cpu_seconds=round(cpu_seconds, 2),
        peak_rss_mb=round(after.peak_rss_mb, 1),
        p50_ms=round(load.milliseconds(0.5), 2),
        p99_ms=round(load.milliseconds(0.99), 2),
        store=store,
    )
