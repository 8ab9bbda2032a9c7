"""Idempotency-Key: a lost answer is had again, nothing happens twice."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from chargepki.api.idempotency import parse_key
from chargepki.errors import Refused, StoreUnavailable
from chargepki.ports import ClaimIdempotencyKey
from tests.api.api_platform import Platform, make_csr

pytestmark = pytest.mark.clause("draft-ietf-httpapi-idempotency-key-header-07 2")
STATION = {"id": "CS-1", "serial_number": "SN-1", "operator": "demo-cpo"}


async def add(platform: Platform, key: str, **given: object):
    return await platform.http.post("/stations", json={**STATION, **given}, headers={"Idempotency-Key": key})


async def test_the_same_request_again_gets_the_same_answer(platform: Platform):
    first, again = await add(platform, "k1"), await add(platform, '"k1"')
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"


async def test_a_key_belongs_to_one_request(platform: Platform):
    await add(platform, "k1")
    other = await add(platform, "k1", id="CS-2", serial_number="SN-2")
    assert other.status_code == 422
    assert other.json()["findings"][0]["code"] == "idempotency.key_reused"


async def test_a_key_belongs_to_one_caller(platform: Platform):
    await add(platform, "k1")
    made = (await platform.http.post("/tokens", json={"name": "second", "scopes": ["*:*:*"]})).json()
    async with platform.speaking_as(made["secret"]) as second:
        other = await second.post("/stations", json={**STATION, "id": "CS-2", "serial_number": "SN-2"}, headers={"Idempotency-Key": "k1"})
    assert other.status_code == 201


async def test_concurrent_twins_issue_once(platform: Platform, station: str):
    body = {"profile": "backend/tls-server", "key_spec": "ec-p256", "host": "a.example.org"}
    answers = await asyncio.gather(*(platform.http.post("/certificates", json=body, headers={"Idempotency-Key": "twin"}) for _ in range(8)))
    done = [a for a in answers if a.status_code == 201]
    waiting = [a for a in answers if a.status_code == 409]
    assert len(done) + len(waiting) == 8
    assert len({a.json()["certificate"]["id"] for a in done}) == 1
    assert all(a.headers["retry-after"] and a.json()["findings"][0]["code"] == "idempotency.still_running" for a in waiting)
    assert len((await platform.http.get("/certificates", params={"profile": "backend/tls-server"})).json()["items"]) == 1


async def test_a_refusal_frees_the_key(platform: Platform):
    refused = await add(platform, "k1", serial_number="")
    assert refused.status_code == 422
    assert (await add(platform, "k1")).status_code == 201


async def test_a_breakdown_frees_the_key(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(platform.services.inventory, "add_station", fail)
        assert (await add(platform, "k1")).status_code == 503
    assert (await add(platform, "k1")).status_code == 201


async def test_a_secret_is_shown_once_even_to_its_own_key(platform: Platform, station: str):
    path, headers = f"/stations/{station}/password", {"Idempotency-Key": "k1"}
    first, again = await platform.http.post(path, headers=headers), await platform.http.post(path, headers=headers)
    kept = await platform.bench.ports.store.lookup_idempotent((await platform.http.get("/whoami")).json()["actor"], "k1")
    assert first.status_code == 201
    assert again.status_code == 409
    assert again.json()["findings"][0]["code"] == "idempotency.shown_once"
    assert kept is not None
    assert kept.body == b""


async def test_a_binary_answer_comes_back_as_it_was(platform: Platform, station: str):
    body = {"profile": "ocpp/station", "csr": make_csr(), "station": station}
    headers = {"Idempotency-Key": "k1", "Accept": "application/pkix-cert"}
    first, again = [await platform.http.post("/certificates", json=body, headers=headers) for _ in range(2)]
    assert again.headers["content-type"] == first.headers["content-type"] == "application/pkix-cert"
    assert again.content == first.content


async def test_a_call_that_a_crash_cut_off_is_said_to_be_unknown(platform: Platform):
    first = await add(platform, "k1")
    kept = await platform.bench.ports.store.lookup_idempotent((await platform.http.get("/whoami")).json()["actor"], "k1")
    assert first.status_code == 201
    assert kept is not None
    claim = replace(kept, key="k2", status=0, body=b"")
    await platform.bench.ports.store.commit(ClaimIdempotencyKey(claim))
    assert (await add(platform, "k2")).json()["findings"][0]["code"] == "idempotency.still_running"
    platform.bench.clock.advance(timedelta(minutes=2))
    assert (await add(platform, "k2")).json()["findings"][0]["code"] == "idempotency.outcome_unknown"


async def test_a_key_is_forgotten_after_a_day(platform: Platform):
    await add(platform, "k1")
    platform.bench.clock.advance(timedelta(hours=25))
    assert (await add(platform, "k1", id="CS-2", serial_number="SN-2")).status_code == 201


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "two words", "ümlaut"])
def test_a_malformed_key_is_refused(key: str):
    with pytest.raises(Refused, match="key_malformed"):
        parse_key(key)
