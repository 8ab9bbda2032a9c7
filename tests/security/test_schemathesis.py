"""The API under generated requests, valid and not: never a 5xx, and every answer is one that the OpenAPI document tells of.

Bounded for the suite; SCHEMATHESIS_EXAMPLES gives each operation more (`make fuzz`).
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from chargepki.api.app import create_api, create_routes
from chargepki.api.openapi import describe
from chargepki.app import api_services
from chargepki.core.access.policy import PRODUCTION
from chargepki.services.access import TokenOrder
from chargepki.testing.workbench import ADMIN
from tests.security.borders import GHOST, Things, open_world
from tests.security.valid_bodies import BODIES

EXAMPLES: Final = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "16"))
# A guess at a password takes a quarter of a second on purpose, a key of an authority a signature or three.
SLOW: Final = {"sign_in_with_password", "redeem_invitation", "change_password", "enrol_totp", "create_authority", "generate_key"}
CHECKS: Final = [status_code_conformance, content_type_conformance, response_schema_conformance]
STRANGERS: Final = "/api/v1/sign-in"
URL: Final = "https://pki.test"

SCHEMA: Final = schemathesis.openapi.from_dict(describe(create_routes()))
OPERATIONS: Final[dict[str, Any]] = {
    operation.definition.raw["operationId"]: operation for operation in (result.ok() for result in SCHEMA.get_all_operations())
}


@dataclass(frozen=True)
class Asked:
    """The API in its own event loop, and who can ask it: the administrator of a development platform, others in production."""

    loop: asyncio.AbstractEventLoop
    development: Any
    production: Any
    things: Things
    secrets: dict[str, str]

    def send(self, case: Any, caller: str) -> httpx.Response:
        secret = self.secrets[caller]
        sent = requests.Request(**case.as_transport_kwargs(base_url=URL)).prepare()
        headers = {name: value for name, value in sent.headers.items() if name.lower() not in ("authorization", "content-length")}
        if secret:
            headers["Authorization"] = f"Bearer {secret}"
        app = self.development if caller == "administrator" else self.production
        return self.loop.run_until_complete(self._send(app, sent, headers))

    async def _send(self, app: Any, sent: requests.PreparedRequest, headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
        body = sent.body.encode() if isinstance(sent.body, str) else sent.body
        async with httpx.AsyncClient(transport=transport) as http:
            return await http.request(str(sent.method), str(sent.url), content=body, headers=headers)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Asked:
            world = await stack.enter_async_context(open_world(tmp_path_factory.mktemp("generated"), PRODUCTION))
            _, admin = await world.bench.services.access.create_token(ADMIN, TokenOrder("admin", frozenset({"*:*:*"})))
            development, production = (
                create_api(api_services(world.bench.ports, services)) for services in (world.bench.services, world.services)
            )
            secrets = {"administrator": admin, "requester": world.secrets["requester"], "stranger": ""}
            return Asked(runner.get_loop(), development, production, world.ours, secrets)

        yield runner.run(start())
        runner.run(stack.aclose())


def requests_for(id: str, things: Things) -> st.SearchStrategy[Any]:
    """Valid and invalid ones; some about what exists, or with a body that gets past the schema."""
    operation = OPERATIONS[id]
    has_input = any(True for _ in operation.iter_parameters()) or bool(operation.body)
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if has_input else [])]
    known = st.sampled_from([*things.texts().values(), *GHOST.texts().values(), "operator-sub", "ocpp/station"])
    return st.builds(
        _with_known,
        st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes)),
        st.dictionaries(st.sampled_from(["id", "ref", "path"]), known),
        st.one_of(st.none(), st.sets(st.sampled_from(sorted(BODIES.get(id, {})) or ["none"]))),
        st.just(BODIES.get(id)),
    )


def _with_known(case: Any, path: dict[str, str], kept: set[str] | None, valid: dict[str, Any] | None) -> Any:
    if case.path_parameters:
        case.path_parameters = {name: path.get(name, value) for name, value in case.path_parameters.items()}
    if valid is not None and kept is not None and isinstance(case.body, dict):
        case.body = {**valid, **{name: value for name, value in case.body.items() if name in kept}}
    return case


def asks() -> list[tuple[str, str]]:
    everybody = [(caller, id) for id in OPERATIONS for caller in ("administrator", "requester")]
    strangers = [("stranger", id) for id, operation in OPERATIONS.items() if operation.path.startswith(STRANGERS)]
    return [ask for ask in (*everybody, *strangers) if ask[0] == "stranger" or ask not in _AS_STRANGERS]


# Whoever is signed in is nobody there: it would be the same requests again.
_AS_STRANGERS: Final = {
    (caller, id)
    for id, operation in OPERATIONS.items()
    if operation.path.startswith(STRANGERS)
    for caller in ("administrator", "requester")
}


@pytest.mark.parametrize(("caller", "id"), asks())
def test_no_request_breaks_the_api_and_every_answer_is_as_described(asked: Asked, caller: str, id: str) -> None:
    examples = max(EXAMPLES // 4, 2) if id in SLOW else EXAMPLES

    @given(case=requests_for(id, asked.things))
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize="SCHEMATHESIS_EXAMPLES" not in os.environ,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        answer = asked.send(case, caller)
        assert answer.status_code < 500, (case.as_transport_kwargs(base_url=URL), answer.text)
        case.validate_response(answer, checks=CHECKS)

    ask()
