"""A process that appends to the log until it is killed: `python -m tests.adapters.store.appender URL NAME`."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import replace

from chargepki.adapters.store import open_store
from chargepki.core.records import AuditId
from chargepki.errors import Conflict
from chargepki.ports import AddStation, AppendAudit
from tests.adapters.store.facts import audit, station


async def append(url: str, name: str) -> None:
    """Every second one wants a station that is there already. Tells what became durable, one line each."""
    store = open_store(url)

    async def one(number: int) -> None:
        entry = replace(audit(number), id=AuditId(f"aud_{name}_{number:08}"))
        wanted = f"CS-{name}-{number // 2}"
        with suppress(Conflict):
            await store.commit(AppendAudit(entry), AddStation(station(wanted)))
            sys.stdout.write(f"{entry.id}\n")
            sys.stdout.flush()

    for start in range(0, 10**9, 8):
        await asyncio.gather(*map(one, range(start, start + 8)))


if __name__ == "__main__":
    asyncio.run(append(*sys.argv[1:]))
