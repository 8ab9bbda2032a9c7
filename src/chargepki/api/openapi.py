"""The OpenAPI 3.1 document, made from the routes: `python -m chargepki.api.openapi` prints it (docs/reference/openapi.json)."""

import json
import sys
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chargepki import __version__
from chargepki.api.problems import Problem, Waiting

_DESCRIPTION = (
    "Lists are paged by an opaque cursor. Every POST takes an Idempotency-Key. Errors are RFC 9457 problem documents that carry "
    "every finding. Times are UTC; hexadecimal has no separators."
)


def describe(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="ChargePKI",
        version=__version__,
        openapi_version="3.1.0",
        summary="The certificate authority platform for EV charging",
        description=_DESCRIPTION,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = document["components"]["schemas"]
    for model in (Problem, Waiting):
        problem = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs"))
        schemas[model.__name__] = problem
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"bearer": []}]
    for path in document["paths"].values():
        if "post" in path:
            path["post"].setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    return document


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repetition safe for 24 hours (draft-ietf-httpapi-idempotency-key-header)",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def main() -> None:
    from chargepki.api.app import create_routes  # noqa: PLC0415  app.py imports this module

    sys.stdout.write(json.dumps(describe(create_routes()), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
