"""The OpenAPI document is what is checked in, and it describes every operation."""

import json
from pathlib import Path

from chargepki.api.app import create_routes
from chargepki.api.openapi import describe

CHECKED_IN = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def operations() -> list[tuple[str, str, dict]]:
    paths = describe(create_routes())["paths"]
    return [(method, path, operation) for path, methods in paths.items() for method, operation in methods.items()]


def test_the_document_is_the_one_checked_in():
    fresh = json.loads(json.dumps(describe(create_routes())))
    assert fresh == json.loads(CHECKED_IN.read_text()), "run: python -m chargepki.api.openapi > docs/reference/openapi.json"


def test_every_operation_has_a_summary_an_id_and_its_problems():
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    for method, path, operation in operations():
        assert operation["summary"], (method, path)
        assert {"401", "403", "404", "409", "422", "500", "503"} <= set(operation["responses"]), (method, path)
        assert "application/problem+json" in operation["responses"]["422"]["content"], (method, path)


def test_every_post_takes_an_idempotency_key():
    for method, path, operation in operations():
        if method == "post":
            assert "Idempotency-Key" in [p["name"] for p in operation["parameters"]], path


def test_every_reference_leads_somewhere():
    document = describe(create_routes())
    for reference in json.dumps(document).split('"$ref": "#/')[1:]:
        node = document
        for step in reference.partition('"')[0].split("/"):
            node = node[step]
