"""Certificates through the API: P-256 keys of their own, 32 connections over TLS, every commit durable as in production."""

from typing import Final

from chargepki.testing.bench.measurement import Measurement, measure
from chargepki.testing.bench.stage import CONNECTIONS, api_target, fresh_server, name_of, prepare_orders
from chargepki.testing.load import connected_load

COUNT: Final = 3_000
_WARM_UP: Final = 200  # the first requests compile templates and statements


async def bench_issue(store: str, count: int = COUNT) -> Measurement:
    """Keys and CSRs are made before the clock starts, and by the client."""
    async with fresh_server(store) as server:
        warm_up = await prepare_orders(server, (f"warm-up-{number}" for number in range(_WARM_UP)))
        orders = await prepare_orders(server, (f"client-{number}" for number in range(count)))
        async with connected_load(api_target(server), warm_up, connections=CONNECTIONS) as load:
            await load.run()
            load.check(201)
        async with connected_load(api_target(server), orders, connections=CONNECTIONS) as load:
            return await measure("issue", server, load, store=name_of(store), status=201)
