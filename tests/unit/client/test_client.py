"""The SDK: typed results, errors as the server meant them, repetition that is safe."""

import dataclasses
from pathlib import Path
from typing import Any

import httpx
import pytest

from chargepki.api import audit_entries, authorities, certificates, csr_checks, impact, intents, profiles, sessions, stations, tokens
from chargepki.client import Client, Unreachable, access, find_connection
from chargepki.client import authorities as client_authorities
from chargepki.client import certificates as client_certificates
from chargepki.client import checks as client_checks
from chargepki.client import stations as client_stations
from chargepki.client.wire import decode, encode
from chargepki.errors import Broken, Conflict, NotAuthenticated, NotAuthorised, NotFound, Refused, StoreUnavailable, TooMany

PAIRS = [
    (certificates.CertificateView, client_certificates.Certificate),
    (certificates.CertificateDetail, client_certificates.CertificateDetail),
    (certificates.IssuedView, client_certificates.Issued),
    (certificates.EventView, client_certificates.StatusEvent),
    (certificates.RevocationView, client_certificates.Revocation),
    (impact.ImpactView, client_certificates.Impact),
    (authorities.AuthorityView, client_authorities.Authority),
    (authorities.CrlView, client_authorities.Crl),
    (profiles.ProfileView, client_authorities.Profile),
    (csr_checks.CsrCheckView, client_checks.CsrCheck),
    (stations.StationView, client_stations.Station),
    (stations.PasswordView, client_stations.StationPassword),
    (stations.EnrolmentTokenView, client_stations.EnrolmentToken),
    (stations.SecurityEventView, client_stations.SecurityEvent),
    (stations.TriggerView, client_stations.Trigger),
    (sessions.SessionView, client_stations.Session),
    (tokens.TokenView, access.Token),
    (tokens.NewTokenView, access.NewToken),
    (tokens.IdentityView, access.Identity),
    (audit_entries.AuditEntryView, access.AuditEntry),
    (intents.IntentView, access.Intent),
]
TOKEN = {
    "id": "tok_1",
    "name": "ci",
    "holder": "machine:mch_1",
    "party": "",
    "grants": [
        {
            "id": "grt_1",
            "role": "csms",
            "parties": ["demo-cpo"],
            "authorities": None,
            "profiles": None,
            "names": None,
            "narrowed_to": ["certificate:*:*"],
            "until": "2027-02-20T12:00:00Z",
        }
    ],
    "created_by": "system",
    "created_at": "2026-11-22T12:00:00Z",
    "expires_at": "2027-02-20T12:00:00Z",
    "revoked_at": None,
}


@pytest.mark.parametrize(("view", "shape"), PAIRS, ids=lambda one: one.__name__)
def test_the_client_knows_every_field_of_the_api(view: Any, shape: Any):
    assert [field.name for field in dataclasses.fields(shape)] == list(view.model_fields)


def client_of(handler: Any) -> Client:
    return Client("https://pki.test", "cpat_x", transport=httpx.MockTransport(handler))


def problem(status: int, slug: str, findings: list[dict[str, str]] | None = None, **headers: str) -> httpx.Response:
    finding = {"code": "a.b", "message": "no", "severity": "error", "path": "p", "clause": "c", "hint": "h"}
    body = {"type": f"urn:chargepki:problem:{slug}", "title": "T", "status": status, "detail": "d", "request_id": "req_1"}
    return httpx.Response(status, json={**body, "findings": [finding] if findings is None else findings}, headers=headers)


@pytest.mark.parametrize(
    ("status", "slug", "kind"),
    [
        (401, "not-authenticated", NotAuthenticated),
        (403, "not-authorised", NotAuthorised),
        (404, "not-found", NotFound),
        (409, "conflict", Conflict),
        (422, "refused", Refused),
        (413, "too-large", Refused),
        (500, "internal", Broken),
        (503, "store-unavailable", StoreUnavailable),
    ],
)
async def test_problems_become_the_errors_they_were(status: int, slug: str, kind: type[Exception]):
    async with client_of(lambda request: problem(status, slug)) as client:
        with pytest.raises(kind) as caught:
            await client.tokens.list()
    assert type(caught.value) is kind
    if isinstance(caught.value, Refused):
        assert (caught.value.findings[0].code, caught.value.findings[0].hint) == ("a.b", "h")
    else:
        assert "req_1" in caught.value.hint  # type: ignore[attr-defined]


async def test_too_many_says_when_to_come_back():
    async with client_of(lambda request: problem(429, "too-many", **{"Retry-After": "7"})) as client:
        with pytest.raises(TooMany) as caught:
            await client.tokens.list()
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "answer", [httpx.Response(502, text="<html>"), httpx.Response(404, json=[]), httpx.Response(400, json={"type": 1})]
)
async def test_another_kind_of_server_is_broken_not_a_crash(answer: httpx.Response):
    async with client_of(lambda request: answer) as client:
        with pytest.raises(Broken):
            await client.tokens.list()


async def test_an_answer_of_another_shape_is_broken():
    async with client_of(lambda request: httpx.Response(200, json={"items": [{"id": 7}]})) as client:
        with pytest.raises(Broken, match="Token"):
            await client.tokens.list()


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chargepki.client.transport._PAUSES", (0.0, 0.0))
    keys: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) < 3:
            raise httpx.ReadError("reset", request=request)
        return httpx.Response(201, json={"token": TOKEN, "secret": "cpat_new"})

    async with client_of(handler) as client:
        made = await client.tokens.create(name="ci", scopes=["a:b:c"])
    assert made.secret == "cpat_new"
    assert len(keys) == 3
    assert len(set(keys)) == 1


async def test_a_server_that_is_away_is_unreachable():
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with client_of(handler) as client:
        with pytest.raises(Unreachable, match=r"https://pki.test does not answer"):
            await client.tokens.list()


async def test_lists_follow_the_cursor():
    def handler(request: httpx.Request) -> httpx.Response:
        page = {"": ("sev_1", "c1"), "c1": ("sev_2", None)}[request.url.params.get("cursor", "")]
        event = {"station": "CS", "type": "T", "at": "2026-11-22T12:00:00Z", "received_at": "2026-11-22T12:00:00Z"}
        return httpx.Response(200, json={"items": [{**event, "id": page[0], "is_critical": False, "tech_info": ""}], "next": page[1]})

    async with client_of(handler) as client:
        assert [event.id async for event in client.stations.security_events("CS")] == ["sev_1", "sev_2"]


def test_what_is_encoded_is_decoded_to_the_same_value():
    token = decode(access.Token, TOKEN)
    assert encode(token) == TOKEN
    assert decode(access.Token, {**TOKEN, "a_field_of_tomorrow": 1}) == token


def test_a_connection_is_found_in_a_data_directory(tmp_path: Path):
    (tmp_path / "admin.token").write_text("cpat_admin\n")
    (tmp_path / "endpoints.json").write_text('{"api": "https://127.0.0.1:7443/", "metrics": "http://127.0.0.1:9"}')
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "api-roots.pem").write_text("roots")
    found = find_connection(tmp_path)
    said = find_connection(tmp_path, url="https://other", ca_file=Path("mine.pem"))
    assert (found.url, found.token, found.endpoints["metrics"]) == ("https://127.0.0.1:7443", "cpat_admin", "http://127.0.0.1:9")
    assert found.ca_file == str(tmp_path / "trust" / "api-roots.pem")
    assert (said.url, said.ca_file) == ("https://other", "mine.pem")
    assert "cpat_admin" not in repr(found)


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_damaged_directory_is_refused(tmp_path: Path, content: str):
    (tmp_path / "admin.token").write_text("cpat_admin")
    (tmp_path / "endpoints.json").write_text(content)
    with pytest.raises(Refused, match=r"client\.endpoints"):
        find_connection(tmp_path)


def test_unreadable_roots_are_refused(tmp_path: Path):
    (tmp_path / "roots.pem").write_text("no pem")
    with pytest.raises(Refused, match=r"client\.ca_file"):
        Client("https://pki.test", "t", tmp_path / "roots.pem")
