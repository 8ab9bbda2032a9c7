"""Joins the nouns into one ASGI application."""

from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from chargepki.api import (
    approvals,
    audit_entries,
    authorities,
    batches,
    bulk_revocations,
    certificates,
    csr_checks,
    grants,
    inspections,
    intents,
    keys,
    log,
    machines,
    openapi,
    parties,
    people,
    problems,
    profiles,
    sessions,
    sign_in,
    standing_approvals,
    stations,
    tokens,
    user_sessions,
)
from chargepki.api.edge import Edge
from chargepki.api.idempotency import Idempotency
from chargepki.api.services import ApiServices

PREFIX = "/api/v1"
_ROUTERS: tuple[APIRouter, ...] = (
    certificates.router,
    authorities.router,
    profiles.router,
    profiles.versions_router,
    csr_checks.router,
    inspections.router,
    stations.router,
    sessions.router,
    parties.router,
    people.router,
    machines.router,
    grants.router,
    grants.review_router,
    tokens.router,
    approvals.router,
    standing_approvals.router,
    batches.router,
    bulk_revocations.router,
    tokens.identity_router,
    sign_in.router,
    sign_in.account_router,
    sign_in.identities_router,
    user_sessions.router,
    audit_entries.router,
    intents.router,
    keys.router,
    log.router,
)


def create_api(services: ApiServices) -> FastAPI:
    """The API under /api/v1. Middleware runs in the order edge, idempotency, routes."""
    app = create_routes()
    app.add_middleware(Idempotency, services=services)
    app.add_middleware(Edge, services=services)
    return app


def create_routes() -> FastAPI:
    """The routes without what answers them: enough to describe them."""
    app = FastAPI(
        title="ChargePKI",
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    for router in _ROUTERS:
        app.include_router(router, prefix=PREFIX)
    problems.install(app, _allowed_methods)
    document: dict[str, Any] = {}

    def described() -> dict[str, Any]:
        if not document:
            document.update(openapi.describe(app))
        return document

    app.openapi = described  # type: ignore[method-assign]
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def _allowed_methods(path: str) -> str:
    """RFC 9110 15.5.6: all methods of this path; the router knows one route per method."""
    below = path.removeprefix(PREFIX)
    routes = (route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute))
    return ", ".join(sorted({method for route in routes if route.path_regex.match(below) for method in route.methods or ()}))
