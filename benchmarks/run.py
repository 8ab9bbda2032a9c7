"""Prints what the platform does per CPU-second beside what bare signatures cost on the same machine: one table, one run.

    make bench                       or    .venv/bin/python benchmarks/run.py [--store URL] [--json]

Takes some four minutes on two cores. docs/explanation/performance.md says what is measured and how to read it.
"""

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from log_cost import SHARE_MAX, LogCost, bench_log_cost
from rich.console import Console
from rich.table import Table

from chargepki import __version__
from chargepki.testing.bench.crl import bench_crl
from chargepki.testing.bench.decide import KINDS, bench_decide
from chargepki.testing.bench.issue import bench_issue
from chargepki.testing.bench.log import bench_log, bench_tree
from chargepki.testing.bench.measurement import Measurement
from chargepki.testing.bench.ocsp import Question, ocsp_stage
from chargepki.testing.bench.stage import SQLITE
from chargepki.testing.bench.yardstick import Yardstick, read_yardstick

ANSWERS_FROM_MEMORY = 20_000
ANSWERS_SIGNED = 8_000
ROWS = {
    "issue": ("certificates issued (API, durable)", "certificates"),
    "ocsp": ("OCSP, POST, from memory", "answers"),
    "ocsp-get": ("OCSP, GET, from memory", "answers"),
    "ocsp-signed": ("OCSP, nonce, signed each", "answers"),
    "crl": ("CRL entries published", "entries"),
    "log": ("log entries, durable, signed", "entries"),
    "log-tree": ("log leaves into the tree alone", "entries"),
    "decide-alone": ("decisions, one actor", "decisions"),
    "decide-standing": ("decisions, standing approval", "decisions"),
    "decide-votes": ("decisions, quorum of three", "decisions"),
}


async def measure_all(store: str) -> list[Measurement]:
    """Issuing, OCSP in three ways over one server, CRLs, the log by itself, the gate by itself."""
    found = [await bench_issue(store)]
    if store != SQLITE:
        return found  # one empty database serves one platform
    async with ocsp_stage(store) as stage:
        found.append(await stage.bench(Question.CACHED, ANSWERS_FROM_MEMORY))
        found.append(await stage.bench(Question.GET, ANSWERS_FROM_MEMORY))
        found.append(await stage.bench(Question.SIGNED, ANSWERS_SIGNED))
    found.append(await bench_crl(store))
    found += [await bench_log(), bench_tree()]
    return found + [await bench_decide(kind) for kind in KINDS]


def show(found: list[Measurement], yardstick: Yardstick | None) -> None:
    table = Table(title=f"ChargePKI {__version__} on {os.cpu_count()} CPUs, store: {found[0].store}", title_justify="left")
    columns = ("", "per CPU-s", "per s", "p50 ms", "p99 ms", "peak MB", "openssl sign / ours", "openssl verify / ours")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in found:
        ratios = ("", "") if yardstick is None else (ratio(yardstick.signatures, row), ratio(yardstick.verifications, row))
        rates = (f"{row.per_cpu_second:,.0f}", f"{row.per_second:,.0f}", f"{row.p50_ms:.3g}", f"{row.p99_ms:.3g}", f"{row.peak_rss_mb:.0f}")
        table.add_row(ROWS[row.name][0], *rates, *ratios)
    if yardstick is not None:
        table.add_section()
        table.add_row("openssl speed, P-256 sign", f"{yardstick.signatures:,.0f}")
        table.add_row("openssl speed, P-256 verify", f"{yardstick.verifications:,.0f}")
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def show_cost(cost: LogCost) -> None:
    verdict = "within" if cost.is_within else "NOT within"
    each = f"{cost.with_log * 1000:.2f} ms of CPU with the log, {cost.without_log * 1000:.2f} ms without"
    print(f"A certificate takes {each}: the log costs {cost.share:.1%} of the throughput, {verdict} the {SHARE_MAX:.0%} it may.")
    print(f"(medians of {cost.rounds} rounds each, in turns, {cost.per_round} certificates a round)")


def ratio(speed: float, row: Measurement) -> str:
    return f"{speed / row.per_cpu_second:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog=Path(__file__).name, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--store", default=SQLITE, help="sqlite, or the URL of an empty PostgreSQL database (then certificates alone)")
    parser.add_argument("--json", action="store_true", help="one JSON object per line instead of the table")
    options = parser.parse_args()
    yardstick = asyncio.run(read_yardstick())
    found = asyncio.run(measure_all(options.store))
    if not options.json:
        show(found, yardstick)
    cost = asyncio.run(bench_log_cost()) if options.store == SQLITE else None
    if not options.json:
        if cost is not None:
            show_cost(cost)
        return 0
    for row in found:
        print(json.dumps({**asdict(row), "openssl_speed": None if yardstick is None else yardstick.signatures}))
    if cost is not None:
        print(json.dumps({"name": "log-cost", **asdict(cost), "share": round(cost.share, 4)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
