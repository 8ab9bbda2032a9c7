"""The other nouns: authorities, CRLs, stations, tokens, checks."""

import pytest
from cryptography import x509

from chargepki.api.inspections import InspectionView
from chargepki.testing.workbench import ADMIN
from tests.api.api_platform import Platform, make_csr


async def test_an_authority_is_created_below_another(platform: Platform):
    body = {
        "id": "operator-sub-2",
        "profile": "sub/operator",
        "parent": "operator-root",
        "key_spec": "ec-p384",
        "common_name": "Second Sub",
        "organization": "demo-cpo",
    }
    made = await platform.http.post("/authorities", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/api/v1/authorities/operator-sub-2"
    assert made.json()["signature"] == "ecdsa-sha384"
    chain = (await platform.http.get("/authorities/operator-sub-2/certificate")).content
    own, root = x509.load_pem_x509_certificates(chain)
    assert own.issuer == root.subject


async def test_a_crl_is_published_and_read_back(platform: Platform):
    made = await platform.http.post("/authorities/operator-sub/crl")
    shown = await platform.http.get("/authorities/operator-sub/crl")
    crl = x509.load_der_x509_crl((await platform.http.get("/authorities/operator-sub/crl", params={"format": "der"})).content)
    assert made.status_code == 201
    assert shown.json() == made.json()
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == made.json()["number"]


async def test_a_station_is_changed_and_shown_without_its_password_hash(platform: Platform, station: str):
    password = (await platform.http.post(f"/stations/{station}/password")).json()["password"]
    changed = await platform.http.patch(f"/stations/{station}", json={"state": "suspended", "csr_tolerant": True})
    shown = await platform.http.get(f"/stations/{station}")
    assert changed.json()["state"] == "suspended"
    assert shown.json() == changed.json()
    assert shown.json()["has_password"] is True
    assert password not in shown.text
    assert "hash" not in shown.text


async def test_stations_are_found_by_a_part_of_their_name(platform: Platform, station: str):
    assert [s["id"] for s in (await platform.http.get("/stations", params={"text": "0017"})).json()["items"]] == [station]
    assert (await platform.http.get("/stations", params={"operator": "other"})).json()["items"] == []


async def test_a_station_that_is_not_connected_cannot_be_asked(platform: Platform, station: str):
    answer = await platform.http.post(f"/stations/{station}/certificate-trigger")
    assert answer.status_code == 404
    assert (await platform.http.get("/sessions")).json() == {"items": []}


async def test_security_events_are_listed_per_station(platform: Platform, station: str):
    assert (await platform.http.get(f"/stations/{station}/security-events")).json() == {"items": [], "next": None}


async def test_token_lists_never_show_secrets(platform: Platform):
    made = (await platform.http.post("/tokens", json={"name": "ci", "scopes": ["certificate:request:create"], "valid_days": 1})).json()
    listed = await platform.http.get("/tokens")
    assert made["secret"].startswith("cpat_")
    assert made["secret"] not in listed.text
    assert made["token"] in listed.json()["items"]


async def test_nobody_hands_out_more_than_they_hold(platform: Platform):
    maker = (await platform.http.post("/tokens", json={"name": "maker", "scopes": ["access:token:create"]})).json()["secret"]
    async with platform.speaking_as(maker) as http:
        answer = await http.post("/tokens", json={"name": "more", "scopes": ["certificate:object:read"]})
        least = await http.post("/tokens", json={"name": "as much", "scopes": ["*:*:*"]})
    assert answer.status_code == 403
    assert [grant["narrowed_to"] for grant in least.json()["token"]["grants"]] == [["access:token:create"]]


async def test_a_caller_can_ask_who_it_is(platform: Platform):
    [token] = (await platform.bench.services.access.list_tokens(ADMIN)).items
    identity = (await platform.http.get("/whoami")).json()
    assert (identity["actor"], identity["kind"], identity["assurance"]) == (f"token:tests/{token.id}", "machine", "token")
    assert [grant["role"] for grant in identity["grants"]] == ["developer"]
    assert "certificate:request:create" in identity["permissions"]


async def test_profiles_say_what_they_allow_and_why(platform: Platform):
    listed = (await platform.http.get("/profiles")).json()["items"]
    shown = (await platform.http.get("/profiles/ocpp/station")).json()
    assert shown in listed
    assert shown["subject_kind"] == "station"
    assert "OCPP A00.FR.511" in shown["clauses"]


async def test_a_csr_is_checked_without_an_order(platform: Platform):
    fine = (await platform.http.post("/csr-checks", json={"csr": make_csr(), "profile": "ocpp/station"})).json()
    broken = (await platform.http.post("/csr-checks", json={"csr": make_csr()[:-60]})).json()
    assert fine["is_acceptable"] is True
    assert fine["key_spec"] == "ec-p256"
    assert broken["is_acceptable"] is False
    assert broken["findings"]
    assert (await platform.http.get("/certificates", params={"profile": "ocpp/station"})).json()["items"] == []


@pytest.mark.parametrize("path", ["/intents", "/audit-entries", "/sessions"])
async def test_every_list_has_items(platform: Platform, path: str):
    assert isinstance((await platform.http.get(path)).json()["items"], list)


async def test_an_inspection_explains_a_certificate_and_keeps_nothing(platform: Platform):
    chain = (await platform.http.get("/authorities/operator-sub/certificate")).text
    answer = await platform.http.post("/inspections", json={"data": chain})
    assert answer.status_code == 200
    assert answer.json()["kind"] == "certificate chain"
    assert "DEVELOPMENT Operator Sub CA" in answer.text
    assert set(answer.json()) == set(InspectionView.model_fields)


async def test_an_inspection_of_noise_is_refused(platform: Platform):
    answer = await platform.http.post("/inspections", json={"data": "?!"})
    assert answer.status_code == 422
    assert answer.json()["findings"]
