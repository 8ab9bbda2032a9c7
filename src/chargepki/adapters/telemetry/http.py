"""GET /metrics, /livez and /readyz, on a port of their own."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chargepki.adapters.telemetry.metrics import CONTENT_TYPE, Check, Metrics, find_unready


def create_health_app(metrics: Metrics, checks: Sequence[Check]) -> Starlette:
    """`/livez` answers while the loop turns; `/readyz` says 503 and why when a dependency is away."""

    async def show_metrics(_: Request) -> Response:
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        failed = await find_unready(checks)
        return PlainTextResponse("\n".join(failed) + "\n", 503) if failed else PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/metrics", show_metrics), Route("/livez", livez), Route("/readyz", readyz)])
