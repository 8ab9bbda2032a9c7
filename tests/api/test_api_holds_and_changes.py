"""Emergency holds, changes of profiles and keys over HTTP: done alone in development, 202 and who is missing in production."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from chargepki.core import canonical_json
from chargepki.core.access.model import Role
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRef, ProfileId
from chargepki.ports import KeyAttestation
from chargepki.services.access import TokenOrder
from chargepki.services.orders import CertificateOrder
from chargepki.testing.vault import MemoryVault
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.api.api_platform import Platform, api_services, open_http
from tests.unit.services.approvals_board import LENIENT, add_token
from tests.unit.services.status_bench import issue

Clients = dict[str, httpx.AsyncClient]
PROFILE = "backend/tls-server"


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with open_workbench(tmp_path, policy=LENIENT) as bench:
        yield bench


@pytest.fixture
async def people(production: Workbench) -> AsyncIterator[Clients]:
    """Everybody's own client of one API."""
    roles = {
        "adam": Role.ADMINISTRATOR,
        "sela": Role.SECURITY_OFFICER,
        "carl": Role.CA_OFFICER,
        "rune": Role.REVOCATION_OFFICER,
        "kira": Role.KEY_CUSTODIAN,
        "anna": Role.AUDITOR,
    }
    services = api_services(production)
    async with AsyncExitStack() as stack:
        clients = {}
        for name, role in roles.items():
            token = await add_token(production, await production.person(name, role))
            clients[name] = await stack.enter_async_context(open_http(services, token))
        yield clients


async def vote(client: httpx.AsyncClient, proposal: str) -> str:
    digest = (await client.get(f"/approvals/{proposal}")).json()["digest"]
    voted = await client.post(f"/approvals/{proposal}/votes", json={"digest": digest, "is_for": True})
    assert voted.status_code == 201, voted.text
    return str(voted.json()["state"])


async def test_a_hold_and_its_confirmation(production: Workbench, people: Clients) -> None:
    order = CertificateOrder(ProfileId(PROFILE), key_spec=KeySpec.P256, host="csms.example.org")
    id = (await production.services.issuance.request(production.system, order)).certificate.id
    assert (await people["adam"].post(f"/certificates/{id}/hold", json={})).status_code == 403
    held = await people["sela"].post(f"/certificates/{id}/hold", json={"note": "ticket 4711"})
    body = held.json()
    assert (held.status_code, body["kind"], body["until"]) == (200, "held", "2026-11-23T12:00:00Z")
    shown = (await people["sela"].get(f"/certificates/{id}")).json()
    assert (shown["state"], shown["revocation"]["until"]) == ("held", body["until"])
    again = await people["carl"].post(f"/certificates/{id}/hold/confirm")
    assert (again.status_code, again.json()["missing"]) == (202, ["1 who holds revocation:bulk:approve"])
    assert [await vote(people[name], body["proposal"]) for name in ("carl", "rune")] == ["open", "executed"]
    events = (await people["sela"].get(f"/certificates/{id}/events")).json()["items"]
    assert [(event["kind"], event["until"]) for event in events] == [("held", body["until"]), ("held", None)]
    assert (await people["sela"].post(f"/certificates/{id}/release")).status_code == 202


async def test_alone_in_development_a_hold_has_no_proposal(platform: Platform) -> None:
    certificate = await issue(platform.bench)
    assert (await platform.http.post(f"/certificates/{certificate.id}/hold", json={})).json()["proposal"] is None
    assert (await platform.http.post(f"/certificates/{certificate.id}/hold/confirm")).json()["until"] is None
    assert (await platform.http.post(f"/certificates/{certificate.id}/release")).json()["kind"] == "released"


async def test_a_profile_is_narrowed_by_two_and_says_where_its_limits_come_from(people: Clients) -> None:
    body = {"profile": PROFILE, "base": 0, "narrowing": {"validity_days_max": 30, "organizations": ["demo-cpo"]}}
    proposed = await people["adam"].post("/profile-versions", json=body)
    assert (proposed.status_code, proposed.json()["missing"]) == (202, ["1 who holds profile:definition:activate"])
    proposal = proposed.json()["proposal"]
    assert await vote(people["carl"], proposal) == "executed"
    shown = (await people["anna"].get(f"/profiles/{PROFILE}")).json()
    assert (shown["effective_version"], shown["change"], shown["validity_days_max"]) == ("1.1", 1, 30)
    assert {"field": "organizations", "by": proposal} in shown["sources"]
    (version,) = (await people["anna"].get("/profile-versions", params={"profile": PROFILE})).json()["items"]
    assert (version["number"], version["proposal"], version["narrowing"]["keys"]) == (1, proposal, None)
    assert (await people["anna"].get("/profile-versions", params={"profile": "ocpp/station"})).json()["items"] == []
    widen = await people["adam"].post("/profile-versions", json={"profile": PROFILE, "narrowing": {}})
    activate = "1 who holds profile:definition:activate"
    assert widen.json()["missing"] == [f"{activate} as security-officer", f"{activate} as ca-officer"]
    assert (await people["adam"].post("/profile-versions", json=body)).json()["findings"][0]["code"] == "profile.change.outdated"


@pytest.mark.parametrize(
    "body",
    [
        {"profile": PROFILE},
        {"profile": PROFILE, "narrowing": {"validity_days_max": 399}},
        {"profile": PROFILE, "narrowing": {"validity_days_max": 0}},
        {"profile": PROFILE, "narrowing": {"keys": []}},
        {"profile": PROFILE, "narrowing": {"keys": ["rot13"]}},
        {"profile": PROFILE, "narrowing": {"host_suffixes": ["*.example.org"]}},
        {"profile": PROFILE, "narrowing": {"organizations": [" "]}},
        {"profile": PROFILE, "narrowing": {"subject": ["CN"]}},
        {"profile": PROFILE, "narrowing": {}},
        {"profile": PROFILE, "base": -1, "narrowing": {"validity_days_max": 30}},
    ],
)
async def test_what_is_no_change_is_refused(platform: Platform, body: dict[str, object]) -> None:
    assert (await platform.http.post("/profile-versions", json=body)).status_code == 422
    assert (await platform.http.get("/profile-versions")).json()["items"] == []


async def test_a_key_lives_from_pending_to_destroyed(platform: Platform) -> None:
    made = await platform.http.post("/keys", json={"key_spec": "ec-p256", "label": "authority next-root"})
    key = made.json()
    assert (made.status_code, key["state"], key["vault"], key["attestation"]) == (201, "pending", "file", None)
    assert made.headers["Location"] == f"/api/v1/keys/{key['ref']}"
    states = [(await platform.http.post(f"/keys/{key['ref']}/{verb}")).json()["state"] for verb in ("activate", "retire", "destroy")]
    assert states == ["active", "retired", "destroyed"]
    assert (await platform.http.post(f"/keys/{key['ref']}/activate")).status_code == 409
    assert (await platform.http.get(f"/keys/{key['ref']}")).json()["state"] == "destroyed"
    assert (await platform.http.get("/keys/key_none")).status_code == 404


async def test_the_register_has_the_keys_of_the_authorities(platform: Platform) -> None:
    items = (await platform.http.get("/keys", params={"limit": 500})).json()["items"]
    labels = {item["label"] for item in items if item["state"] == "active"}
    assert {"authority operator-root", "authority operator-sub", "authority manufacturer-sub"} <= labels
    page = (await platform.http.get("/keys", params={"limit": 2})).json()
    assert [item["ref"] for item in page["items"]] == [item["ref"] for item in items[:2]]
    assert (await platform.http.get("/keys", params={"limit": 2, "cursor": page["next"]})).json()["items"][0] == items[2]


async def test_in_production_nobody_makes_or_destroys_a_key_alone(production: Workbench, people: Clients) -> None:
    made = await people["kira"].post("/keys", json={"key_spec": "ec-p256", "label": "root"})
    assert made.status_code == 202
    assert "2 who hold ca:key:generate" in made.json()["missing"]
    (key, *_) = (await people["anna"].get("/keys")).json()["items"]
    for verb in ("activate", "retire", "destroy"):
        assert (await people["kira"].post(f"/keys/{key['ref']}/{verb}")).status_code == 202
        assert (await people["carl"].post(f"/keys/{key['ref']}/{verb}")).status_code == 403
    assert (await people["adam"].get("/keys")).status_code == 403
    assert (await people["carl"].get(f"/keys/{key['ref']}")).json() == key


class AttestingVault(MemoryVault):
    """What a token says of its keys, without one."""

    async def attest(self, ref: KeyRef) -> KeyAttestation | None:
        await self.get(ref)
        return KeyAttestation("pkcs11", canonical_json.encode({"CKA_SENSITIVE": True}), is_hardware=True)


async def test_the_key_of_an_authority_is_registered_with_what_its_device_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepki.testing.workbench.MemoryVault", AttestingVault)
    async with open_workbench(tmp_path) as bench:
        authority = (await bench.services.authorities.views())[0].authority
        services = api_services(bench)
        _, token = await bench.services.access.create_token(ADMIN, TokenOrder("tests", frozenset({"ca:key:read"})))
        async with open_http(services, token) as http:
            shown = (await http.get(f"/keys/{authority.key}")).json()["attestation"]
            assert (shown["kind"], shown["is_hardware"]) == ("pkcs11", True)
            assert json.loads(base64.b64decode(shown["statement"])) == {"CKA_SENSITIVE": True}
            assert (await http.post("/keys", json={"key_spec": "ec-p256", "label": "x"})).status_code == 403
