"""Every error is an RFC 9457 problem with findings, whoever noticed it."""

import json
from dataclasses import replace

import pytest

from chargepki.api.services import Limits
from chargepki.errors import StoreUnavailable
from tests.api.api_platform import Platform, make_csr, open_http

FIELDS = {"type", "title", "status", "detail", "instance", "request_id", "findings"}


def check_problem(answer, status: int, slug: str) -> list[dict]:
    problem = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == FIELDS
    assert problem["type"] == f"urn:chargepki:problem:{slug}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert all(set(f) == {"code", "message", "severity", "path", "clause", "hint"} for f in problem["findings"])
    assert problem["findings"]
    return problem["findings"]


@pytest.mark.clause("RFC 6750 3", "RFC 9457 3")
@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer ", "Bearer cpat_unknown", "Bearer " + "x" * 5000, "Bearer cpet_unknown"])
async def test_without_a_good_token_nothing_is_said(platform: Platform, header: str):
    answer = await platform.http.get("/certificates", headers={"Authorization": header})
    check_problem(answer, 401, "not-authenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_does_what_its_scopes_say_and_no_more(platform: Platform):
    made = (await platform.http.post("/tokens", json={"name": "reader", "scopes": ["certificate:object:read"]})).json()
    async with platform.speaking_as(made["secret"]) as reader:
        assert (await reader.get("/certificates")).status_code == 200
        findings = check_problem(
            await reader.post("/stations", json={"id": "A", "serial_number": "1", "operator": "o"}), 403, "not-authorised"
        )
    assert findings[0]["code"] == "access.permission.missing"
    assert "inventory:station:write" in findings[0]["hint"]


async def test_a_revoked_token_is_unknown(platform: Platform):
    made = (await platform.http.post("/tokens", json={"name": "brief", "scopes": ["certificate:object:read"]})).json()
    assert (await platform.http.delete(f"/tokens/{made['token']['id']}")).status_code == 204
    async with platform.speaking_as(made["secret"]) as ended:
        check_problem(await ended.get("/certificates"), 401, "not-authenticated")


async def test_all_wrong_fields_are_named_at_once(platform: Platform):
    body = {"profil": "x", "station": 17, "validity_days": 0, "host": "a\x00b"}
    findings = check_problem(await platform.http.post("/certificates", json=body), 422, "refused")
    assert {f["path"] for f in findings} == {"profile", "profil", "station", "validity_days", "host"}


async def test_a_refused_value_is_never_repeated(platform: Platform):
    answer = await platform.http.post("/certificates/crt_x/pkcs12", json={"passphrase": "hunter2"})
    check_problem(answer, 422, "refused")
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("body", [b"{", b"[1,", b"\xff\xfe", b'{"a": NaN', b"[" * 60_000, b'"\\ud800"'])
async def test_what_is_no_json_is_refused(platform: Platform, body: bytes):
    answer = await platform.http.post("/certificates", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    check_problem(answer, answer.status_code, "refused" if answer.status_code == 422 else "unreadable")


async def test_another_media_type_is_refused(platform: Platform):
    answer = await platform.http.post("/certificates", content=b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"})
    check_problem(answer, 415, "wrong-media-type")


async def test_a_body_over_the_limit_is_not_read(platform: Platform):
    answer = await platform.http.post("/certificates", json={"profile": "x", "csr": "a" * 70_000})
    check_problem(answer, 413, "too-large")


async def test_a_streamed_body_over_the_limit_is_not_read(platform: Platform):
    async def drip():
        for _ in range(100):
            yield b" " * 1000

    services = replace(platform.services, limits=Limits(body_octets=10_000))
    async with open_http(services, platform.token) as http:
        check_problem(await http.post("/certificates", content=drip(), headers={"Content-Type": "application/json"}), 413, "too-large")


@pytest.mark.clause("RFC 9110 15.5.6")
async def test_unknown_paths_and_methods_are_problems_too(platform: Platform):
    check_problem(await platform.http.get("/certificate"), 404, "not-found")
    wrong = await platform.http.delete("/certificates")
    check_problem(wrong, 405, "method-not-allowed")
    assert wrong.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    "path", ["/certificates/crt_none", "/stations/none", "/authorities/none", "/profiles/none/such", "/audit-entries/aud_none"]
)
async def test_what_does_not_exist_is_not_found(platform: Platform, path: str):
    check_problem(await platform.http.get(path), 404, "not-found")


async def test_a_taken_name_is_a_conflict(platform: Platform, station: str):
    again = await platform.http.post("/stations", json={"id": station, "serial_number": "SN-2", "operator": "demo-cpo"})
    check_problem(again, 409, "conflict")


async def test_a_malformed_cursor_is_refused(platform: Platform):
    check_problem(await platform.http.get("/certificates", params={"cursor": "nonsense"}), 422, "refused")


async def test_a_broken_store_is_503_and_says_when_to_come_back(platform: Platform, station: str, monkeypatch: pytest.MonkeyPatch):
    async def full(*changes: object) -> None:
        raise StoreUnavailable("the disk is full", hint="free some space")

    monkeypatch.setattr(platform.bench.ports.store, "commit", full)
    answer = await platform.http.post("/certificates", json={"profile": "ocpp/station", "csr": make_csr(), "station": station})
    findings = check_problem(answer, 503, "store-unavailable")
    assert findings[0]["hint"] == "free some space"
    assert answer.headers["retry-after"]


async def test_a_bug_is_500_without_a_traceback(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    async def fall(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(platform.services.issuance, "list", fall)
    answer = await platform.http.get("/certificates")
    check_problem(answer, 500, "internal")
    assert "secret detail" not in answer.text


async def test_answers_are_not_cached_nor_framed_nor_guessed(platform: Platform):
    headers = (await platform.http.get("/profiles")).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


async def test_the_audit_trail_knows_request_remote_and_door(platform: Platform, station: str):
    answer = await platform.http.post("/certificates", json={"profile": "ocpp/station", "station": station, "csr": "no csr at all"})
    [entry] = (await platform.http.get("/audit-entries", params={"outcome": "refused"})).json()["items"]
    assert entry["body"]["trace"] == answer.json()["request_id"]
    assert entry["personal"]["remote"] == "192.0.2.7"
    assert "192.0.2.7" not in json.dumps(entry["body"])
    assert entry["body"]["door"] == "api"
    assert (await platform.http.get(f"/audit-entries/{entry['id']}")).json() == entry
