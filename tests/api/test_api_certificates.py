"""Certificates through the API: ordered, spelt, found, revoked."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from tests.api.api_platform import Platform, make_csr


async def order(platform: Platform, **given: object) -> dict:
    answer = await platform.http.post("/certificates", json={"profile": "ocpp/station", "csr": make_csr(), "station": "CS-17", **given})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.clause("OCPP A00.FR.509", "OCPP A00.FR.511")
async def test_an_ordered_certificate_speaks_for_the_station_in_the_inventory(platform: Platform, station: str):
    answer = await platform.http.post(
        "/certificates", json={"profile": "ocpp/station", "csr": make_csr("another name"), "station": station}
    )
    issued = answer.json()
    leaf, sub = x509.load_pem_x509_certificates(issued["chain"].encode())
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/certificates/{issued['certificate']['id']}"
    assert leaf.subject.rfc4514_string() == "CN=SN-0017,O=demo-cpo"
    assert leaf.issuer == sub.subject
    assert issued["certificate"]["serial"] == f"{leaf.serial_number:x}"
    assert [f["code"] for f in issued["findings"]] == ["registration.name.replaced"]


async def test_the_same_key_asked_again_gets_the_same_certificate_and_200(platform: Platform, station: str):
    csr = make_csr()
    first = await order(platform, csr=csr)
    again = await platform.http.post("/certificates", json={"profile": "ocpp/station", "csr": csr, "station": station})
    assert again.status_code == 200
    assert again.json()["is_repeat"] is True
    assert again.json()["certificate"] == first["certificate"]


@pytest.mark.clause("RFC 8555 9.1", "RFC 2585 4.1", "RFC 8551 3.2.1")
@pytest.mark.parametrize(
    ("format", "media", "count"),
    [
        ("pem", "application/pem-certificate-chain", 2),
        ("ocpp", "application/pem-certificate-chain", 2),
        ("pkcs7", "application/pkcs7-mime", 2),
        ("der", "application/pkix-cert", 1),
    ],
)
async def test_a_chain_is_spelt_as_asked(platform: Platform, station: str, format: str, media: str, count: int):
    issued = await order(platform)
    answer = await platform.http.get(f"/certificates/{issued['certificate']['id']}/chain", params={"format": format})
    readers = {
        "pem": x509.load_pem_x509_certificates,
        "ocpp": x509.load_pem_x509_certificates,
        "pkcs7": pkcs7.load_der_pkcs7_certificates,
        "der": lambda octets: [x509.load_der_x509_certificate(octets)],
    }
    certificates = readers[format](answer.content)
    assert answer.headers["content-type"].startswith(media)
    assert len(certificates) == count
    assert f"{issued['certificate']['serial']}" in [f"{c.serial_number:x}" for c in certificates]


async def test_the_root_comes_only_when_asked_for(platform: Platform, station: str):
    issued = await order(platform)
    path = f"/certificates/{issued['certificate']['id']}/chain"
    assert (await platform.http.get(path)).content.count(b"BEGIN") == 2
    assert (await platform.http.get(path, params={"include_root": True})).content.count(b"BEGIN") == 3


async def test_accept_picks_the_spelling_of_an_order(platform: Platform, station: str):
    answer = await platform.http.post(
        "/certificates",
        json={"profile": "ocpp/station", "csr": make_csr(), "station": station},
        headers={"Accept": "application/pem-certificate-chain"},
    )
    assert answer.status_code == 201
    assert answer.text.startswith("-----BEGIN CERTIFICATE-----")
    assert "/api/v1/certificates/crt_" in answer.headers["location"]


async def test_a_platform_made_key_leaves_as_pkcs12_only_under_a_passphrase(platform: Platform):
    ordered = await platform.http.post(
        "/certificates", json={"profile": "backend/tls-server", "key_spec": "ec-p256", "host": "csms.example.org"}
    )
    certificate = ordered.json()["certificate"]
    answer = await platform.http.post(f"/certificates/{certificate['id']}/pkcs12", json={"passphrase": "correct horse"})
    key, leaf, above = pkcs12.load_key_and_certificates(answer.content, b"correct horse")
    assert certificate["has_key"] is True
    assert key is not None
    assert leaf is not None
    assert key.public_key() == leaf.public_key()
    assert above


async def test_a_certificate_for_a_foreign_key_has_no_pkcs12(platform: Platform, station: str):
    issued = await order(platform)
    answer = await platform.http.post(f"/certificates/{issued['certificate']['id']}/pkcs12", json={"passphrase": "correct horse"})
    assert answer.status_code == 422
    assert answer.json()["findings"][0]["code"] == "certificate.key.not_ours"


async def test_an_order_needs_exactly_one_source_of_its_key(platform: Platform, station: str):
    for given in ({}, {"csr": make_csr(), "key_spec": "ec-p256"}):
        answer = await platform.http.post("/certificates", json={"profile": "ocpp/station", "station": station, **given})
        assert answer.status_code == 422
        assert answer.json()["findings"][0]["code"] == "order.key"


async def test_lists_are_paged_by_cursor_and_narrowed_by_filters(platform: Platform, station: str):
    made = [(await order(platform))["certificate"]["id"] for _ in range(3)]
    seen, cursor = [], ""
    while True:
        page = (await platform.http.get("/certificates", params={"station": station, "limit": 2, "cursor": cursor})).json()
        seen += [item["id"] for item in page["items"]]
        if not (cursor := page["next"] or ""):
            break
    assert seen == made[::-1]
    assert (await platform.http.get("/certificates", params={"station": "CS-99"})).json() == {"items": [], "next": None}


async def test_a_certificate_is_found_by_its_serial_number(platform: Platform, station: str):
    certificate = (await order(platform))["certificate"]
    found = (await platform.http.get("/certificates", params={"text": certificate["serial"]})).json()["items"]
    assert [item["id"] for item in found] == [certificate["id"]]


async def test_expires_before_takes_a_date(platform: Platform, station: str):
    await order(platform)
    far, near = datetime(2040, 1, 1, tzinfo=UTC).isoformat(), "2026-12-01"
    assert len((await platform.http.get("/certificates", params={"expires_before": far, "station": station})).json()["items"]) == 1
    assert (await platform.http.get("/certificates", params={"expires_before": near, "station": station})).json()["items"] == []


@pytest.mark.clause("RFC 5280 5.3.1")
async def test_hold_release_and_revocation_show_in_state_and_events(platform: Platform, station: str):
    id = (await order(platform))["certificate"]["id"]

    async def state() -> str:
        return (await platform.http.get(f"/certificates/{id}")).json()["state"]

    await platform.http.post(f"/certificates/{id}/revoke", json={"reason": "certificateHold"})
    assert await state() == "held"
    await platform.http.post(f"/certificates/{id}/release")
    assert await state() == "valid"
    await platform.http.post(f"/certificates/{id}/revoke", json={"reason": "keyCompromise", "note": "found in a bin"})
    assert await state() == "revoked"
    events = (await platform.http.get(f"/certificates/{id}/events")).json()["items"]
    assert [event["kind"] for event in events] == ["held", "released", "revoked"]
    assert events[-1]["note"] == "found in a bin"


async def test_a_second_revocation_is_a_conflict(platform: Platform, station: str):
    id = (await order(platform))["certificate"]["id"]
    await platform.http.post(f"/certificates/{id}/revoke", json={"reason": "superseded"})
    again = await platform.http.post(f"/certificates/{id}/revoke", json={"reason": "superseded"})
    assert again.status_code in (409, 422)
    assert again.json()["findings"]


async def test_the_impact_of_an_authority_names_what_hangs_below_it(platform: Platform, station: str):
    await order(platform)
    authorities = {a["id"]: a for a in (await platform.http.get("/authorities")).json()["items"]}
    impact = (await platform.http.get(f"/certificates/{authorities['operator-root']['certificate']}/impact")).json()
    assert impact["authorities"] == ["operator-root", "operator-sub"]
    assert impact["stations"] == [station]
    assert impact["certificates"] >= 2
    assert impact["is_capped"] is False


async def test_an_enrolment_token_buys_one_certificate_for_its_station(platform: Platform, station: str):
    token = (await platform.http.post(f"/stations/{station}/enrolment-tokens", json={})).json()["secret"]
    async with platform.speaking_as(token) as enrolee:
        body = {"profile": "ocpp/station", "station": station}
        bought = await enrolee.post("/certificates", json={**body, "csr": make_csr()})
        again = await enrolee.post("/certificates", json={**body, "csr": make_csr()})
        listed = await enrolee.get("/certificates")
    assert bought.status_code == 201
    assert again.status_code == 403
    assert again.json()["findings"][0]["code"] == "registration.token.used"
    assert listed.status_code == 403
