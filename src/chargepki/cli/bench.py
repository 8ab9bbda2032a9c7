"""chargepki bench: what this machine does per CPU-second: a fresh platform in a temporary directory, or one part of it by itself."""

from typing import TYPE_CHECKING, Annotated

import typer

from chargepki.cli.desk import noun

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from chargepki.testing.bench.measurement import Measurement
    from chargepki.testing.bench.ocsp import Question

app = noun("bench", "Measure: issue, ocsp, crl, log, decide. Beside openssl speed; nothing of yours is touched.")

_PLATFORM_STARTS = "A fresh platform starts in a temporary directory ..."

StoreOption = Annotated[str, typer.Option("--store", metavar="sqlite|URL", help="sqlite, or the URL of an empty PostgreSQL database")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]


@app.command("issue")
def issue(
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="certificates")] = 3_000,
    store: StoreOption = "sqlite",
    json: JsonOption = False,
) -> None:
    """Certificates through the API: P-256, 32 connections, every commit durable."""
    from chargepki.testing.bench.issue import bench_issue

    _run(bench_issue(store, count), "certificates", is_json=json)


@app.command("ocsp")
def ocsp(
    count: Annotated[int, typer.Option(min=1, max=10_000_000, help="answers")] = 20_000,
    ask: Annotated[str, typer.Option(metavar="cached|get|signed", help="signed: with a nonce, so that each answer is signed")] = "cached",
    store: StoreOption = "sqlite",
    json: JsonOption = False,
) -> None:
    """OCSP answers for 1,000 known certificates over 32 connections."""
    from chargepki.testing.bench.ocsp import bench_ocsp

    _run(bench_ocsp(store, _question(ask), count), "answers", is_json=json)


@app.command("crl")
def crl(
    count: Annotated[int, typer.Option(min=1, max=10_000_000, help="revoked certificates on the CRL")] = 10_000,
    store: StoreOption = "sqlite",
    json: JsonOption = False,
) -> None:
    """CRLs of so many entries, ten times from the order to the stored list; the rates count entries."""
    from chargepki.testing.bench.crl import bench_crl

    _run(bench_crl(store, count), "entries", is_json=json)


@app.command("log")
def log(
    count: Annotated[int, typer.Option(min=64, max=10_000_000, help="entries")] = 6_000,
    json: JsonOption = False,
) -> None:
    """Entries into the log by itself: 32 callers, durable tiles, signed checkpoints, no database."""
    from chargepki.testing.bench.log import bench_log

    _run(bench_log(count), "entries", is_json=json, begin="A log of its own is written in a temporary directory ...", who="this process")


@app.command("decide")
def decide(
    kind: Annotated[str, typer.Option(metavar="alone|standing|votes", help="how many others the decision asks about")] = "alone",
    count: Annotated[int, typer.Option(min=100, max=10_000_000, help="decisions")] = 20_000,
    json: JsonOption = False,
) -> None:
    """Decisions by the gate itself: no network, no database. The times are of one decision."""
    from chargepki.testing.bench.decide import KINDS, bench_decide

    if kind not in KINDS:
        raise typer.BadParameter(f"one of: {', '.join(KINDS)}", param_hint="--kind")
    _run(bench_decide(kind, count), "decisions", is_json=json, begin="Decisions are made in this process ...", who="this process")


def _question(ask: str) -> "Question":
    from chargepki.testing.bench.ocsp import Question

    try:
        return Question(ask)
    except ValueError:
        raise typer.BadParameter(f"one of: {', '.join(Question)}", param_hint="--ask") from None


def _run(
    bench: "Coroutine[None, None, Measurement]", things: str, *, is_json: bool, begin: str = _PLATFORM_STARTS, who: str = "the server"
) -> None:
    """Runs the benchmark, then the yardstick, and prints both. `who` used the CPU."""
    import asyncio
    from dataclasses import replace

    from chargepki.cli.output import Output
    from chargepki.testing.bench.yardstick import read_yardstick

    output = Output(is_json=is_json)
    output.talk(begin)

    async def run() -> "Measurement":
        measured, yardstick = await bench, await read_yardstick()
        return replace(measured, openssl_speed=None if yardstick is None else yardstick.signatures)

    found = asyncio.run(run())
    if is_json:
        output.json(found)
        return
    output.facts(
        (found.name, f"{found.count} {things}" + ("" if found.store == "none" else f" on {found.store}")),
        ("Rate", f"{found.per_cpu_second:,.0f} per CPU-second, {found.per_second:,.0f} per second"),
        ("CPU", f"{found.cpu_seconds} s of {who}"),
        ("Memory", f"{found.peak_rss_mb} MB at its peak"),
        ("Each", f"{found.p50_ms} ms (median), {found.p99_ms} ms (99 %)"),
        ("OpenSSL", "not found" if found.openssl_speed is None else f"{found.openssl_speed:,.0f} P-256 signatures per CPU-second"),
    )
