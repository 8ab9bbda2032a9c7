"""Approvals over HTTP: 202 and who is missing, a vote for exact bytes, and the border between parties."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from chargepki.api.app import create_api
from chargepki.app import api_services
from chargepki.core.access.model import Role, Scope
from chargepki.testing.workbench import Workbench
from tests.unit.services.approvals_board import LENIENT, Board, add_token, open_board

People = dict[str, httpx.AsyncClient]
OWN = Scope(parties=frozenset({"demo-cpo"}))


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with open_board(tmp_path, LENIENT) as opened:
        yield opened


@pytest.fixture
async def people(board: Board) -> AsyncIterator[People]:
    """Everybody's own client of one API."""
    bench = board.bench
    renate = await bench.person("renate", Role.REQUESTER, party="demo-cpo", scope=OWN)
    stranger = await bench.person("olga", Role.REQUESTER, party="other-cpo", scope=Scope(parties=frozenset({"other-cpo"})))
    callers = {"adam": board.proposer, "rita": board.officers[0], "rosa": board.officers[1], "renate": renate, "olga": stranger}
    services = replace(api_services(bench.ports, bench.services), approvals=board.approvals)
    app = create_api(services)
    async with AsyncExitStack() as stack:
        clients = {}
        for name, caller in callers.items():
            headers = {"Authorization": f"Bearer {await add_token(bench, caller)}"}
            transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 4711))
            client = httpx.AsyncClient(transport=transport, base_url="https://pki.test/api/v1", headers=headers)
            clients[name] = await stack.enter_async_context(client)
        yield clients


def standing_order(bench: Workbench, per_hour_max: int = 10) -> dict[str, object]:
    until = (bench.clock.now() + timedelta(days=30)).isoformat()
    names = ["station-serial:SN-2026"]
    return {"party": "demo-cpo", "profiles": ["ocpp/station"], "names": names, "per_hour_max": per_hour_max, "until": until}


async def propose(board: Board, people: People) -> str:
    answer = await people["adam"].post("/standing-approvals", json=standing_order(board.bench))
    assert answer.status_code == 202
    return str(answer.json()["proposal"])


async def test_an_act_that_needs_others_is_accepted_and_says_who_is_missing(board: Board, people: People) -> None:
    answer = await people["adam"].post("/standing-approvals", json=standing_order(board.bench))
    problem = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/v1/approvals/{problem['proposal']}"
    assert problem["missing"] == ["2 who hold approval:standing:approve"]
    assert (await people["adam"].get("/standing-approvals")).json()["items"] == []


async def test_the_digest_is_of_the_payload_that_is_shown(board: Board, people: People) -> None:
    shown = (await people["rita"].get(f"/approvals/{await propose(board, people)}")).json()
    assert shown["digest"] == "sha256:" + hashlib.sha256(shown["payload"].encode()).hexdigest()
    assert json.loads(shown["payload"])["order"]["per_hour_max"] == 10
    assert (shown["may_vote"], shown["missing"]) == (True, [{"permission": "approval:standing:approve", "count": 2, "roles": []}])


async def test_the_last_vote_carries_it_out(board: Board, people: People) -> None:
    id = await propose(board, people)
    digest = (await people["rita"].get(f"/approvals/{id}")).json()["digest"]
    first = await people["rita"].post(f"/approvals/{id}/votes", json={"digest": digest, "is_for": True, "note": "seen"})
    assert (first.status_code, first.json()["state"]) == (201, "open")
    second = await people["rosa"].post(f"/approvals/{id}/votes", json={"digest": digest, "is_for": True})
    assert (second.status_code, second.json()["state"]) == (201, "executed")
    (standing,) = (await people["rita"].get("/standing-approvals")).json()["items"]
    assert (standing["proposal"], second.json()["outcome"]) == (id, f"standing:{standing['id']}")
    assert (await people["rosa"].delete(f"/standing-approvals/{standing['id']}")).json()["ended_at"]


async def test_the_same_call_after_an_edit_is_refused(board: Board, people: People) -> None:
    """The same bearer, the same body: it was good before the edit and is worth nothing after it."""
    id = await propose(board, people)
    before = (await people["rita"].get(f"/approvals/{id}")).json()
    body = {"digest": before["digest"], "is_for": True}
    assert (await people["rita"].post(f"/approvals/{id}/votes", json=body)).status_code == 201
    order = json.loads(before["payload"])["order"] | {"per_hour_max": 99_999}
    edited = await people["adam"].post(f"/approvals/{id}/revisions", json={"order": order})
    assert (edited.status_code, edited.json()["revision"], edited.json()["votes"]) == (201, 2, [])
    assert {"path": "order.per_hour_max", "before": "10", "after": "99999"} in edited.json()["changes"]
    for name in ("rita", "rosa"):
        replayed = await people[name].post(f"/approvals/{id}/votes", json=body)
        assert (replayed.status_code, replayed.json()["findings"][0]["code"]) == (409, "approval.proposal.edited")
    assert (await people["rita"].get("/standing-approvals")).json()["items"] == []


async def test_a_vote_without_a_whole_digest_is_refused(board: Board, people: People) -> None:
    id = await propose(board, people)
    for digest in ("", "sha256:", "sha256:00", "md5:" + "0" * 64, "0" * 65):
        assert (await people["rita"].post(f"/approvals/{id}/votes", json={"digest": digest, "is_for": True})).status_code == 422
    for is_for in ("yes", 1, None):
        body = {"digest": "sha256:" + "0" * 64, "is_for": is_for}
        assert (await people["rita"].post(f"/approvals/{id}/votes", json=body)).status_code == 422


async def test_withdrawing_is_the_proposers(board: Board, people: People) -> None:
    id = await propose(board, people)
    assert (await people["rita"].post(f"/approvals/{id}/withdrawal")).status_code == 403
    assert (await people["adam"].post(f"/approvals/{id}/withdrawal")).json()["state"] == "withdrawn"


async def test_mine_lists_what_i_could_vote_on(board: Board, people: People) -> None:
    id = await propose(board, people)
    assert [p["id"] for p in (await people["rita"].get("/approvals", params={"mine": True})).json()["items"]] == [id]
    assert (await people["adam"].get("/approvals", params={"mine": True})).json()["items"] == []
    assert [p["id"] for p in (await people["adam"].get("/approvals", params={"state": "open"})).json()["items"]] == [id]


async def test_another_partys_proposals_batches_and_approvals_do_not_exist(board: Board, people: People) -> None:
    id = await propose(board, people)
    batch = (await people["renate"].post("/batches", json=batch_order(board.bench, 5))).json()["id"]
    for path in (f"/approvals/{id}", f"/batches/{batch}"):
        assert (await people["olga"].get(path)).status_code == 404
    body = {"digest": "sha256:" + "0" * 64, "is_for": True}
    assert (await people["olga"].post(f"/approvals/{id}/votes", json=body)).status_code == 404
    assert (await people["olga"].get("/approvals")).json()["items"] == []
    assert (await people["olga"].get("/batches")).json()["items"] == []
    assert (await people["olga"].post(f"/batches/{batch}/token")).status_code == 404
    assert (await people["olga"].delete(f"/batches/{batch}")).status_code == 404
    assert (await people["olga"].post("/batches", json=batch_order(board.bench, 5))).status_code == 404


def batch_order(bench: Workbench, count: int) -> dict[str, object]:
    until = (bench.clock.now() + timedelta(days=7)).isoformat()
    return {"party": "demo-cpo", "prefixes": ["SN-2026-"], "count": count, "until": until}


async def test_a_batch_its_token_and_its_end(board: Board, people: People) -> None:
    made = await people["renate"].post("/batches", json=batch_order(board.bench, 5))
    batch = made.json()
    assert (made.status_code, batch["count"], batch["left"], batch["prefixes"]) == (201, 5, 5, ["SN-2026-"])
    token = await people["renate"].post(f"/batches/{batch['id']}/token")
    assert (token.status_code, token.json()["secret"].startswith("cpat_")) == (201, True)
    assert (await people["renate"].delete(f"/batches/{batch['id']}")).json()["ended_at"]
    assert (await people["renate"].post(f"/batches/{batch['id']}/token")).status_code == 409


async def test_a_large_batch_is_accepted_and_waits(board: Board, people: People) -> None:
    answer = await people["renate"].post("/batches", json=batch_order(board.bench, 500))
    assert (answer.status_code, answer.json()["missing"]) == (202, ["2 who hold registration:batch:approve"])


async def test_a_bulk_revocation_wants_its_preview(board: Board, people: People) -> None:
    rune = await board.bench.person("rune", Role.REVOCATION_OFFICER)
    headers = {"Authorization": f"Bearer {await add_token(board.bench, rune)}"}
    nothing = await people["rita"].post("/bulk-revocations/previews", json={"issuer": "operator-sub"}, headers=headers)
    assert (nothing.status_code, nothing.json()["findings"][0]["code"]) == (422, "revocation.bulk.empty")
    everything = await people["rita"].post("/bulk-revocations/previews", json={}, headers=headers)
    assert everything.json()["findings"][0]["code"] == "revocation.bulk.selection"
    unseen = await people["rita"].post("/bulk-revocations", json={"issuer": "operator-sub", "reason": "superseded"}, headers=headers)
    assert unseen.status_code == 422
    assert (await people["rita"].post("/bulk-revocations/previews", json={"issuer": "operator-sub"})).status_code == 403
