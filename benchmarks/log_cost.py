"""What the log costs issuance: the same server with its log and without, in turns, so that a busy machine is as busy for both.

Without: nobody waits for a checkpoint before a signature, and nothing is published. Entries are made and committed all the same: they
are the audit trail, which was there before the log.
"""

import asyncio
import os
import signal
import statistics
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from chargepki.cli.main import main
from chargepki.errors import Broken
from chargepki.services.log import LOOK_SECONDS, TransparencyLog
from chargepki.testing.bench.stage import CONNECTIONS, SQLITE, api_target, fresh_directory, prepare_orders
from chargepki.testing.load import connected_load
from chargepki.testing.process_use import read_use
from chargepki.testing.server import ServerProcess, running_server

SHARE_MAX: Final = 0.10  # of issuance throughput: what the log may cost
ROUNDS: Final = 6  # of each kind
COUNT: Final = 400  # certificates in a round
_WARM_UP: Final = 200
_CATCH_UP_SECONDS: Final = 3 * LOOK_SECONDS  # what a round without the log left to publish is published outside of any round


@dataclass(frozen=True, slots=True)
class LogCost:
    """CPU-seconds of the server per certificate, the medians of the rounds. `share` is what the log takes away of the throughput."""

    with_log: float
    without_log: float
    rounds: int
    per_round: int

    @property
    def share(self) -> float:
        return 1 - self.without_log / self.with_log

    @property
    def is_within(self) -> bool:
        return self.share <= SHARE_MAX


async def bench_log_cost(rounds: int = ROUNDS, count: int = COUNT) -> LogCost:
    """Takes about a minute, from the root of the repository. The server is this module: `chargepki up` with a switch, which no
    installed module has."""
    found: dict[bool, list[float]] = {True: [], False: []}
    async with fresh_directory(SQLITE) as directory, running_server(directory, module="benchmarks.log_cost") as server:
        await _issue(server, "warm-up", _WARM_UP)
        for number in range(rounds):
            for is_on in (True, False) if number % 2 else (False, True):
                await _switch(server, is_on=is_on)
                found[is_on].append(await _issue(server, f"round-{number}-{is_on}", count))
                await _switch(server, is_on=True)
    return LogCost(statistics.median(found[True]), statistics.median(found[False]), rounds, count)


async def _switch(server: ServerProcess, *, is_on: bool) -> None:
    os.kill(server.pid, signal.SIGUSR1 if is_on else signal.SIGUSR2)
    await asyncio.sleep(_CATCH_UP_SECONDS if is_on else LOOK_SECONDS)


async def _issue(server: ServerProcess, name: str, count: int) -> float:
    """CPU-seconds per certificate, publishing the last of them included."""
    orders = await prepare_orders(server, (f"{name}-{number}" for number in range(count)))
    async with connected_load(api_target(server), orders, connections=CONNECTIONS) as load:
        before = read_use(server.pid).cpu_seconds
        await load.run()
        await asyncio.sleep(1.5 * LOOK_SECONDS)
        used = read_use(server.pid).cpu_seconds - before
    load.check(201)
    if used <= 0:
        raise Broken("the server used no CPU", hint="CPU is measured on Linux only")
    return used / count


def _serve() -> None:
    """The server of the measurement: SIGUSR2 switches the log off, SIGUSR1 on again."""
    is_on, settle, flush = True, TransparencyLog.settle, TransparencyLog._flush  # noqa: SLF001  # the switch sits where the work begins

    def switch(number: int, _frame: object) -> None:
        nonlocal is_on
        is_on = number == signal.SIGUSR1

    async def switched_settle(log: TransparencyLog) -> None:
        if is_on:
            await settle(log)

    async def switched_flush(log: TransparencyLog, *, is_due: bool = False) -> None:
        if is_on:
            await flush(log, is_due=is_due)

    signal.signal(signal.SIGUSR1, switch)
    signal.signal(signal.SIGUSR2, switch)
    TransparencyLog.settle, TransparencyLog._flush = switched_settle, switched_flush  # type: ignore[method-assign, assignment]  # noqa: SLF001
    with suppress(KeyboardInterrupt):
        sys.exit(main())


if __name__ == "__main__":
    _serve()
