"""Rights that have ended, that get in each other's way, or that are another's: each is refused, and nothing is signed or changed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from chargepki.api.app import create_routes
from chargepki.api.openapi import describe
from chargepki.core.access.model import EVERYWHERE, Role, Scope
from chargepki.core.access.policy import DEVELOPMENT, PRODUCTION
from chargepki.core.records import ExternalIdentity, GrantId, GrantRecord, GrantState, PartyId, PersonId
from chargepki.ports import AddExternalIdentity, AddGrant, AddSession
from chargepki.services.access import TokenOrder
from chargepki.services.audit import Caller
from chargepki.testing.workbench import ADMIN
from tests.api.api_platform import make_csr
from tests.security.borders import World, open_world, session_of
from tests.security.test_party_borders import contents
from tests.security.valid_bodies import BODIES

ORDER: Final = {"profile": "ocpp/station", "csr": make_csr()}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, DEVELOPMENT) as opened:
        yield opened


async def call(world: World, secret: str, method: str, path: str, **options: Any) -> httpx.Response:
    async with world.speaking_as(secret) as http:
        return await http.request(method, f"/api/v1{path}", **options)


def codes(answer: httpx.Response) -> set[str]:
    return {finding["code"] for finding in answer.json()["findings"]}


async def test_a_stolen_token_ends_with_the_person_who_made_it(world: World) -> None:
    """And so does what was narrowed from it: a leaver takes all of it along."""
    bench = world.bench
    leaver = await bench.person("leaver", Role.REQUESTER, party="borea", scope=Scope(parties=frozenset({"borea"})))
    _, token = await bench.services.access.create_token(leaver, TokenOrder("stolen", frozenset({"*:*:*"})))
    narrowed = await call(world, token, "POST", "/tokens", json={"name": "hidden", "scopes": ["certificate:*:*"]})
    order = {**ORDER, "station": world.ours.station}
    assert (await call(world, token, "GET", "/stations")).status_code == 200
    await bench.services.people.offboard_person(ADMIN, PersonId(leaver.actor.person))
    before = contents(world.database)
    for secret in (token, narrowed.json()["secret"]):
        for method, path, body in (
            ("GET", "/stations", None),
            ("POST", "/certificates", order),
            ("POST", "/tokens", BODIES["create_token"]),
        ):
            assert (await call(world, secret, method, path, json=body)).status_code == 401, path
    assert contents(world.database) == before


async def test_a_token_outlives_no_grant(world: World) -> None:
    """The grant ends in a day, the token in ninety: after the day it may do nothing."""
    bench, now = world.bench, world.bench.clock.now()
    borea = Scope(parties=frozenset({"borea"}))
    held = await bench.services.machines.create_machine(ADMIN, name="short", party=PartyId("borea"), role=Role.CSMS, scope=borea, days=1)
    machine = Caller(await bench.services.actors.of_machine(held.machine.id), "test")
    token, secret = await bench.services.access.create_token(machine, TokenOrder("long", frozenset({"*:*:*"}), valid_days=90))
    assert token.expires_at > now + timedelta(days=80)
    assert (await call(world, secret, "GET", "/stations")).status_code == 200
    bench.clock.advance(timedelta(days=1, seconds=1))
    before = contents(world.database)
    refused = [
        await call(world, secret, "GET", "/stations"),
        await call(world, secret, "POST", "/certificates", json={**ORDER, "station": world.ours.station}),
        await call(world, secret, "POST", f"/certificates/{world.ours.certificate}/revoke", json={"reason": "superseded"}),
        await call(world, secret, "POST", "/tokens", json=BODIES["create_token"]),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4
    assert contents(world.database) == before


@dataclass(frozen=True)
class TwoAccounts:
    """One person who signs in with a password here, and with an account of an OpenID provider there."""

    person: PersonId
    password: str
    provider: str


async def two_accounts(world: World, name: str, role: Role, *, party: str = "") -> TwoAccounts:
    bench, scope = world.bench, Scope(parties=frozenset({party})) if party else EVERYWHERE
    caller = await bench.person(name, role, party=party, scope=scope)
    person = await bench.ports.store.get_person(PersonId(caller.actor.person))
    identity = ExternalIdentity("https://id.example", f"sub-{name}", person.id, bench.clock.now())
    opened = bench.services.sessions.plan(person, method="oidc", client="", stepped_up_at=bench.clock.now())
    await bench.ports.store.commit(AddExternalIdentity(identity), AddSession(opened.session))
    return TwoAccounts(person.id, await session_of(bench, caller), opened.secret)


@pytest.mark.clause("CIMC FMT_SMR.2.3")
async def test_two_accounts_do_not_make_two_people_of_one(world: World) -> None:
    """A grant that slipped past the register: requester by one way in, approver by the other, and neither of them any more."""
    dora = await two_accounts(world, "dora", Role.REQUESTER, party="borea")
    assert (await call(world, dora.provider, "GET", "/stations")).status_code == 200
    _, left_out = await world.bench.services.access.create_token(
        Caller(await world.bench.services.actors.of_person(dora.person), "test"),
        TokenOrder("requester-only", frozenset({"certificate:*:*"})),
    )
    now = world.bench.clock.now()
    scope = Scope(parties=frozenset({"borea"}))
    slipped = GrantRecord(
        GrantId("grt_slipped"), f"person:{dora.person}", Role.AUDITOR, scope, now + timedelta(days=9), GrantState.ACTIVE, "system", now
    )
    await world.bench.ports.store.commit(AddGrant(slipped))
    world.bench.services.actors.forget(f"person:{dora.person}")
    before = contents(world.database)
    for secret in (dora.password, dora.provider, left_out):
        for method, path, body in (
            ("GET", f"/certificates/{world.ours.certificate}", None),
            ("POST", "/certificates", {**ORDER, "station": world.ours.station}),
        ):
            answer = await call(world, secret, method, path, json=body)
            assert answer.status_code == 403, answer.text
            assert "access.conflict" in codes(answer), answer.text
    assert contents(world.database) == before


async def test_the_second_account_has_no_second_voice(tmp_path: Path) -> None:
    """Two officers have to agree to an authority: one of them, once with a password and once through the provider, is one."""
    async with open_world(tmp_path, PRODUCTION) as world:
        administrator = await session_of(world.bench, await world.bench.person("adam", Role.ADMINISTRATOR))
        dora = await two_accounts(world, "dora", Role.CA_OFFICER)
        authority = {**BODIES["create_authority"], "id": "second-sub", "profile": "sub/operator", "parent": "operator-root"}
        proposed = await call(world, administrator, "POST", "/authorities", json=authority)
        assert proposed.status_code == 202, proposed.text
        path = f"/approvals/{proposed.json()['proposal']}"
        vote = {"digest": (await call(world, dora.provider, "GET", path)).json()["digest"], "is_for": True}
        first = await call(world, dora.password, "POST", f"{path}/votes", json=vote)
        assert first.status_code == 201, first.text
        before = contents(world.database)
        second = await call(world, dora.provider, "POST", f"{path}/votes", json=vote)
        assert (second.status_code, codes(second)) == (409, {"approval.vote.twice"}), second.text
        assert (await call(world, administrator, "GET", path)).json()["state"] == "open"
        assert contents(world.database) == before


# ------------------------------------------------------------------------------------------------------------------- keys' names

ELSEWHERE: Final = (
    *("..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fchargepki.db", "..%5c..%5cchargepki.db", "..%252f..%252fetc%252fpasswd"),
    *("%2fetc%2fpasswd", "key_%00", "key_..%2fkey", "....%2f%2f....%2f%2fetc%2fpasswd", "%c0%ae%c0%ae%2fetc", "key_01K0%2f..%2f..%2fx"),
)


NAMED: Final = [
    (method, path, operation["operationId"])
    for path, methods in describe(create_routes())["paths"].items()
    for method, operation in methods.items()
    if "{ref}" in path or "{path}" in path
]


def outside_the_log(directory: Path) -> set[Path]:
    return {file for file in directory.rglob("*") if "log" not in file.parts}


async def test_no_name_in_a_path_leads_out_of_the_vault_or_the_log(world: World, tmp_path: Path) -> None:
    assert {id for _, _, id in NAMED} >= {"get_key", "activate_key", "retire_key", "destroy_key", "get_log_file"}
    _, admin = await world.bench.services.access.create_token(ADMIN, TokenOrder("admin", frozenset({"*:*:*"})))
    before, files = contents(world.database), outside_the_log(tmp_path)
    for name in ELSEWHERE:
        for method, path, id in NAMED:
            filled = path.replace("{ref}", name).replace("{path}", name).removeprefix("/api/v1")
            answer = await call(world, admin, method, filled, json=BODIES.get(id))
            assert answer.status_code in (404, 422), (path, name, answer.status_code, answer.text)
            assert b"root:" not in answer.content
            assert b"SQLite" not in answer.content
    authority = {**BODIES["create_authority"], "id": "../../evil"}
    assert (await call(world, admin, "POST", "/authorities", json=authority)).status_code == 422
    assert contents(world.database) == before
    assert outside_the_log(tmp_path) == files


async def test_a_label_is_a_text_beside_a_key_and_never_its_name(world: World) -> None:
    _, admin = await world.bench.services.access.create_token(ADMIN, TokenOrder("admin", frozenset({"*:*:*"})))
    for label in ("../../../etc/passwd", "..\\..\\x", "/etc/passwd"):
        made = await call(world, admin, "POST", "/keys", json={"key_spec": "ec-p256", "label": label})
        assert made.status_code == 201, made.text
        assert made.json()["label"] == label
        assert made.json()["ref"].startswith("key_")
        assert not set(made.json()["ref"]) & set("./\\")


# --------------------------------------------------------------------------------------------------------------- idempotency keys


async def test_another_caller_with_the_same_idempotency_key_gets_no_answer_of_it(world: World) -> None:
    """The key is the caller's: who overheard it, and the very bytes, is judged like everybody else."""
    headers = {"Idempotency-Key": "overheard-0123456789"}
    order = {**ORDER, "csr": make_csr("BOR-0001"), "station": world.ours.station}
    first = await call(world, world.secrets["requester"], "POST", "/certificates", json=order, headers=headers)
    assert first.status_code == 201, first.text
    other = await world.bench.person("thief", Role.REQUESTER, party="alpine", scope=Scope(parties=frozenset({"alpine"})))
    thief = await session_of(world.bench, other)
    before = contents(world.database)
    for secret, status in ((thief, 404), (world.secrets["party-auditor"], 403), ("cpat_forged", 401)):
        answer = await call(world, secret, "POST", "/certificates", json=order, headers=headers)
        assert answer.status_code == status, answer.text
        assert "idempotency-replayed" not in answer.headers
        assert first.json()["certificate"]["id"] not in answer.text
    assert contents(world.database) == before
    again = await call(world, world.secrets["requester"], "POST", "/certificates", json=order, headers=headers)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
