"""Every operation of the API, generated from its OpenAPI document, asked by somebody who may do nothing."""

import hashlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from chargepki.api.app import create_routes
from chargepki.api.openapi import describe
from chargepki.core.access.model import Role
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.records import ApiToken, PartyId, ProfileId, StationId, TokenId
from chargepki.core.secret_text import new_secret
from chargepki.ports import AddApiToken
from chargepki.services.access import TokenOrder
from chargepki.services.batches import BatchOrder
from chargepki.services.orders import CertificateOrder
from chargepki.services.standing import StandingOrder
from chargepki.testing.workbench import ADMIN, open_workbench
from tests.api.api_platform import Platform, api_services, make_csr, open_http
from tests.security.valid_bodies import BODIES

DOCUMENT: Final = describe(create_routes())
OPEN_TO_STRANGERS: Final = "/api/v1/sign-in"  # and below: test_sign_in.py
OPEN_TO_ALL: Final = {"/api/v1/whoami"}  # whoever has a token may ask what it is good for
# Refusals are recorded, and so is the log's head that comes of it; a claimed key is freed again.
UNCHANGING: Final = {"audit_entry", "idempotency", "log_head"}


def operations() -> list[tuple[str, str, str]]:
    found = [(method, path, op["operationId"]) for path, methods in DOCUMENT["paths"].items() for method, op in methods.items()]
    return [(method, path, id) for method, path, id in found if path not in OPEN_TO_ALL and not path.startswith(OPEN_TO_STRANGERS)]


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_workbench(tmp_path) as bench:
        yield Platform(bench, api_services(bench), open_http(api_services(bench), "none"), "none")


async def idle_token(platform: Platform) -> str:
    """A token that exists, is valid, and may do nothing: the service would refuse to make it."""
    ports = platform.bench.ports
    secret, now = new_secret("cpat", ports.entropy.octets(32)), ports.clock.now()
    machine = await platform.bench.machine("idle", Role.MONITOR)
    id, digest = TokenId(ports.entropy.ulid("tok")), hashlib.sha256(secret.encode()).digest()
    token = ApiToken(id, digest, "idle", (), machine.actor.id, "system", now, now + timedelta(days=1))
    await ports.store.commit(AddApiToken(token))
    return secret


async def enrolment_token(platform: Platform, station: str) -> str:
    _, secret = await platform.bench.services.inventory.create_enrolment_token(ADMIN, StationId(station), profile=ProfileId("ocpp/station"))
    return secret


async def stand(platform: Platform) -> dict[str, str]:
    """Things to attack, by the name of their path parameter's noun."""
    services, bench = platform.bench.services, platform.bench
    await services.inventory.add_station(ADMIN, id="CS-17", serial_number="SN-17", operator="demo-cpo")
    order = CertificateOrder(ProfileId("ocpp/station"), csr=make_csr().encode(), station=StationId("CS-17"))
    certificate = (await services.issuance.request(ADMIN, order)).certificate
    token, _ = await services.access.create_token(ADMIN, TokenOrder("another", frozenset({"*:*:*"})))
    victim = await bench.person("victim", Role.OPERATOR)
    (grant,) = (await bench.ports.store.list_grants(holder=victim.actor.id)).items
    machine = (await services.machines.create_machine(ADMIN, name="csms", party=PartyId("demo-cpo"), role=Role.CSMS)).machine
    until = bench.clock.now() + timedelta(days=7)
    wanted = BatchOrder(PartyId("demo-cpo"), ProfileId("ocpp/station"), frozenset({"SN-2026-"}), 5, until)
    batch = await services.batches.create(ADMIN, wanted)
    spaces = frozenset({parse_name_space("station-serial:SN-2026")})
    standing = await services.standing.create(
        ADMIN, StandingOrder(PartyId("demo-cpo"), frozenset({ProfileId("ocpp/station")}), spaces, frozenset(), 5, until)
    )
    entry = (await services.audit.list(ADMIN)).items[0]
    return {
        "certificates": certificate.id,
        "stations": "CS-17",
        "authorities": "operator-sub",
        "profiles": "ocpp/station",
        "tokens": token.id,
        "audit-entries": entry.id,
        "log": entry.id,
        "parties": "demo-cpo",
        "people": victim.actor.person,
        "grants": grant.id,
        "machines": machine.id,
        "batches": batch.id,
        "standing-approvals": standing.approval.id,
        "keys": (await bench.ports.store.list_authorities())[0].key,
    }


def contents(database: Path) -> dict[str, list[Any]]:
    """Every row of every table but those that record the attempt itself."""
    with sqlite3.connect(database) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names if name not in UNCHANGING}


def spell(path: str, things: dict[str, str]) -> str:
    noun = path.removeprefix("/api/v1/").partition("/")[0]
    return re.sub(r"\{\w+\}", things.get(noun, "none"), path.removeprefix("/api/v1"))


def body_of(operation: str, method: str) -> Any:
    return BODIES.get(operation, {}) if method in ("post", "patch", "put") else None


def refusals(path: str) -> tuple[int, ...]:
    """A token is no session: for what people do to their own account nobody is signed in."""
    return (401,) if path.startswith("/api/v1/account/") else (403, 404)


def query_of(operation: str) -> dict[str, str]:
    return {"person": "per_victim"} if operation == "end_user_sessions" else {}


def test_every_operation_with_a_body_has_one_here() -> None:
    with_body = {op["operationId"] for methods in DOCUMENT["paths"].values() for op in methods.values() if "requestBody" in op}
    assert with_body <= set(BODIES), "say in BODIES what a valid request looks like, so that this test reaches the authorisation"


async def test_a_token_without_scopes_gets_nothing_and_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    things, token = await stand(platform), await idle_token(platform)
    before = contents(tmp_path / "chargepki.db")
    got = {}
    async with platform.speaking_as(token) as http:
        for method, path, id in operations():
            answer = await http.request(method, spell(path, things), json=body_of(id, method), params=query_of(id))
            got[method, path] = answer.status_code
    assert got == {(method, path): status for (method, path), status in got.items() if status in refusals(path)}
    assert contents(tmp_path / "chargepki.db") == before


async def test_nobody_gets_nothing(platform: Platform, tmp_path: Path) -> None:
    things = await stand(platform)
    before = contents(tmp_path / "chargepki.db")
    for token in ("cpat_forged", "cpet_forged", "", "x" * 600, "cpat_\u00e9"):
        header = {"Authorization": f"Bearer {token}".encode("latin-1")}
        async with platform.http as http:
            for method, path, id in operations():
                answer = await http.request(method, spell(path, things), json=body_of(id, method), params=query_of(id), headers=header)
                assert answer.status_code == 401, (method, path)
        platform = Platform(platform.bench, platform.services, open_http(platform.services, "none"), "none")
    assert contents(tmp_path / "chargepki.db") == before


async def test_a_stations_enrolment_token_opens_one_door_only(platform: Platform, tmp_path: Path) -> None:
    things = await stand(platform)
    token = await enrolment_token(platform, "CS-17")
    before = contents(tmp_path / "chargepki.db")
    async with platform.speaking_as(token) as http:
        for method, path, id in operations():
            answer = await http.request(method, spell(path, things), json=body_of(id, method), params=query_of(id))
            assert answer.status_code in refusals(path), (method, path, answer.status_code, answer.text)
        assert contents(tmp_path / "chargepki.db") == before
        wanted = {"profile": "ocpp/station", "station": "CS-17", "csr": make_csr()}
        others = [{**wanted, "station": "CS-18"}, {**wanted, "profile": "ocpp/station-eku"}]
        await platform.bench.services.inventory.add_station(ADMIN, id="CS-18", serial_number="SN-18", operator="demo-cpo")
        assert [(await http.post("/certificates", json=other)).status_code for other in others] == [403, 403]
        assert (await http.post("/certificates", json=wanted)).status_code == 201
        assert (await http.post("/certificates", json=wanted)).status_code == 403  # it was used


async def test_two_authorization_headers_are_none(platform: Platform) -> None:
    _, secret = await platform.bench.services.access.create_token(ADMIN, TokenOrder("one", frozenset({"*:*:*"})))
    async with platform.http as http:
        http.headers.pop("authorization")
        pairs = [("Authorization", f"Bearer {secret}"), ("Authorization", "Bearer cpat_other")]
        assert (await http.get("/tokens", headers=pairs[:1])).status_code == 200
        assert (await http.get("/tokens", headers=pairs)).status_code == 401
        assert (await http.get("/tokens", headers=pairs[::-1])).status_code == 401


async def test_a_revoked_token_ends_at_once(platform: Platform) -> None:
    token, secret = await platform.bench.services.access.create_token(ADMIN, TokenOrder("one", frozenset({"*:*:*"})))
    async with platform.speaking_as(secret) as http:
        assert (await http.get("/tokens")).status_code == 200
        await platform.bench.services.access.revoke_token(ADMIN, token.id)
        assert (await http.get("/tokens")).status_code == 401


HOSTILE_TEXTS: Final = ["\ud800", "a\0b", "\u202e", "x" * 5000, "'; DROP TABLE station; --", "%00", "../../etc/passwd", "{}", "\U0010ffff"]


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=lambda text: ascii(text[:12]))
async def test_no_text_breaks_the_api(platform: Platform, text: str) -> None:
    """Whatever stands in a field, the answer is a refusal or a success, never our bug."""
    _, secret = await platform.bench.services.access.create_token(ADMIN, TokenOrder("one", frozenset({"*:*:*"})))
    things = await stand(platform)
    async with platform.speaking_as(secret) as http:
        for method, path, id in operations():
            if method not in ("post", "patch"):
                continue
            for field, value in BODIES.get(id, {}).items():
                body = {**BODIES[id], field: [text] if isinstance(value, list) else text}
                sent = json.dumps(body).encode()
                answer = await http.request(method, spell(path, things), content=sent, headers={"Content-Type": "application/json"})
                assert answer.status_code < 500, (path, field, answer.text)


HOSTILE_BODIES: Final = {
    "deep list": b"[" * 60_000,
    "deep object": b'{"csr":' * 8_000 + b"1" + b"}" * 8_000,
    "huge integer": b'{"profile":"ocpp/station","validity_days":' + b"9" * 60_000 + b"}",
    "huge float": b'{"profile":"ocpp/station","validity_days":1e999999}',
    "not utf-8": b'{"profile":"\xff\xfe"}',
    "utf-16": '{"profile":"ocpp/station"}'.encode("utf-16"),
    "nothing": b"",
    "null": b"null",
    "nan": b'{"profile":"ocpp/station","validity_days":NaN}',
}


@pytest.mark.parametrize("name", HOSTILE_BODIES)
async def test_no_body_breaks_the_api(platform: Platform, name: str) -> None:
    _, secret = await platform.bench.services.access.create_token(ADMIN, TokenOrder("one", frozenset({"*:*:*"})))
    async with platform.speaking_as(secret) as http:
        for path in ("/certificates", "/stations", "/inspections", "/tokens"):
            answer = await http.post(path, content=HOSTILE_BODIES[name], headers={"Content-Type": "application/json"})
            assert 400 <= answer.status_code < 500, (path, answer.text)


HOSTILE_QUERIES: Final = [
    "/certificates?expires_before=9999-12-31T23:59:59-14:00",
    "/certificates?expires_before=0001-01-01T00:00:00%2B14:00",
    "/certificates?expires_before=1e400",
    "/certificates?expires_before=99999999999999999999",
    "/certificates?limit=99999999999999999999999",
    "/certificates?limit=-1",
    "/certificates?text=%25%5C_",
    "/certificates?text=" + "f" * 200,
    "/certificates?cursor=W10",
    "/certificates?cursor=WyJjZXJ0aWZpY2F0ZXMiLCA5OTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ",
    "/certificates?cursor=WyJjZXJ0aWZpY2F0ZXMiLCB0cnVlXQ",
    "/certificates?text=%ED%A0%80",
    "/stations?text=%00",
    "/stations/%2e%2e%2fCS-17",
    "/stations/CS-17/",
    "/stations/CS-17%00",
    "/profiles/" + "a/" * 5000,
    "/audit-entries?object=*",
    "/audit-entries?object=%F4%8F%BF%BF*",
]


@pytest.mark.parametrize("path", HOSTILE_QUERIES, ids=lambda path: path[:48])
async def test_no_query_breaks_the_api(platform: Platform, path: str) -> None:
    _, secret = await platform.bench.services.access.create_token(ADMIN, TokenOrder("one", frozenset({"*:*:*"})))
    await stand(platform)
    async with platform.speaking_as(secret) as http:
        answer = await http.get(path)
        assert answer.status_code < 500, answer.text
        assert answer.status_code != 200 or "CS-17" not in path, "another spelling of a station's path leads to the station"
