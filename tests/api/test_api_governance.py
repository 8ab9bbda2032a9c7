"""Parties, people, machines and grants over HTTP: secrets shown once, borders kept, 202 where others have to agree."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from chargepki.core.access.model import Role, Scope
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.records import PersonId
from chargepki.ports import AddSession
from chargepki.services.audit import Caller
from chargepki.services.parties import DEVELOPMENT_SPACES
from chargepki.testing.workbench import Workbench, open_workbench
from tests.api.api_platform import Platform, api_services, open_http

ACME = {"id": "acme", "name": "Acme CPO", "roles": ["cpo"], "spaces": ["evse-operator:DE*ACM", "dns:acme.example"]}


@pytest.fixture
async def acme(platform: Platform) -> str:
    for body in (ACME, {"id": "rival", "name": "Rival", "roles": ["mo"], "spaces": ["dns:rival.example"]}):
        answer = await platform.http.post("/parties", json=body)
        assert answer.status_code == 201, answer.text
    return "acme"


@pytest.fixture
async def of_acme(platform: Platform, acme: str) -> AsyncIterator[httpx.AsyncClient]:
    """What the administrator of one party sees."""
    pat = await platform.bench.person("pat", Role.PARTY_ADMIN, party=acme, scope=Scope(parties=frozenset({acme})))
    async with platform.speaking_as(await session_of(platform.bench, pat)) as http:
        yield http


async def test_a_party_is_registered_changed_and_shown(platform: Platform, acme: str):
    changed = await platform.http.patch("/parties/acme", json={"add_spaces": ["wmi:wdb"], "state": "suspended"})
    shown = await platform.http.get("/parties/acme")
    assert changed.json()["spaces"] == ["dns:acme.example", "evse-operator:DE*ACM", "wmi:WDB"]
    assert shown.json() == changed.json()
    assert shown.json()["state"] == "suspended"
    assert shown.json() in (await platform.http.get("/parties")).json()["items"]


async def test_a_name_space_that_overlaps_is_refused_without_saying_whose_it_is(platform: Platform, acme: str):
    answer = await platform.http.patch("/parties/rival", json={"add_spaces": ["dns:eu.acme.example"]})
    assert answer.status_code == 422
    assert [finding["code"] for finding in answer.json()["findings"]] == ["party.space.taken"]
    assert '"acme"' not in answer.text
    assert "Acme" not in answer.text


async def test_an_invitation_is_shown_once_and_never_repeated(platform: Platform, acme: str):
    headers = {"Idempotency-Key": "0123456789abcdef-invite"}
    body = {"username": "anna.berg", "display_name": "Anna Berg", "email": "anna@acme.example", "party": acme}
    made = await platform.http.post("/people", json=body, headers=headers)
    again = await platform.http.post("/people", json=body, headers=headers)
    listed = await platform.http.get("/people")
    assert made.status_code == 201, made.text
    assert made.json()["secret"].startswith("cpin_")
    assert made.json()["secret"] not in again.text + listed.text
    assert made.json()["person"] in listed.json()["items"]
    assert set(made.json()["person"]) == {"id", "username", "display_name", "email", "party", "state", "created_at", "version"}


async def test_a_person_leaves_and_is_forgotten(platform: Platform):
    await platform.http.post("/people", json={"username": "anna"})
    again = await platform.http.post("/people/anna/invitation", json={"valid_hours": 1})
    left = await platform.http.post("/people/anna/offboarding")
    erased = await platform.http.post(f"/people/{left.json()['id']}/erasure")
    assert again.json()["secret"].startswith("cpin_")
    assert left.json()["state"] == "offboarded"
    assert erased.json()["username"].startswith("erased-")
    assert (await platform.http.get("/people/anna")).status_code == 404


async def test_a_machine_gets_its_one_role_and_is_suspended(platform: Platform, acme: str):
    made = await platform.http.post("/machines", json={"name": "acme-csms", "party": acme, "role": "csms"})
    assert made.status_code == 201, made.text
    machine = made.json()
    assert (machine["role"], machine["scope"]["parties"], machine["client_profile"]) == ("csms", ["acme"], "backend/mtls-client")
    suspended = await platform.http.patch(f"/machines/{machine['id']}", json={"state": "suspended"})
    assert suspended.json()["state"] == "suspended"
    assert (await platform.http.get(f"/machines/{machine['id']}")).json() == suspended.json()
    assert suspended.json() in (await platform.http.get("/machines")).json()["items"]
    assert (await platform.http.post("/machines", json={"name": "x", "party": acme, "role": "auditor"})).status_code == 422


async def test_a_grant_is_proposed_listed_and_ended(platform: Platform):
    await platform.bench.person("anna")
    made = await platform.http.post("/grants", json={"holder": "person:anna", "role": "operator"})
    assert made.status_code == 201, made.text
    grant = made.json()
    assert (grant["holder_name"], grant["state"], grant["scope"]["parties"]) == ("anna", "offered", None)
    listed = await platform.http.get("/grants", params={"role": "operator", "state": "offered", "holder": "person:anna"})
    assert listed.json()["items"] == [grant]
    ended = await platform.http.post(f"/grants/{grant['id']}/end")
    assert ended.json()["state"] == "ended"
    assert (await platform.http.get(f"/grants/{grant['id']}")).json() == ended.json()


@pytest.mark.parametrize(
    "until", ["2027-01-01", "2027-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "never", 10**30]
)
async def test_an_end_that_is_no_day_within_bounds_is_refused(platform: Platform, until: object):
    await platform.bench.person("anna")
    answer = await platform.http.post("/grants", json={"holder": "person:anna", "role": "operator", "until": until})
    assert answer.status_code == 422


async def test_a_conflict_of_duties_tells_both_roles(platform: Platform):
    await platform.bench.person("anna", Role.AUDITOR)
    answer = await platform.http.post("/grants", json={"holder": "person:anna", "role": "ca-officer"})
    assert answer.status_code == 422
    assert "auditor" in answer.text
    assert "ca-officer" in answer.text


async def test_a_review_is_read_and_signed_by_an_auditor(platform: Platform):
    otto = await platform.bench.person("otto", Role.AUDITOR)
    review = (await platform.http.get("/access-reviews")).json()
    assert {line["grant"]["holder_name"] for line in review["lines"]} == {"admin", "otto"}
    signed = await platform.bench.services.grants.reviews.sign(otto, bytes.fromhex(review["digest"].removeprefix("sha256:")))
    assert signed.startswith("aud_")
    over_http = await platform.http.post("/access-reviews", json={"digest": review["digest"]})
    assert over_http.status_code == 201, over_http.text
    assert (await platform.http.post("/access-reviews", json={"digest": "sha256:" + "0" * 64})).status_code == 409
    assert (await platform.http.post("/access-reviews", json={"digest": "nonsense"})).status_code == 422


async def test_nothing_of_another_party_exists(platform: Platform, of_acme: httpx.AsyncClient):
    bench, admin = platform.bench, platform.http
    theirs = await bench.person("theirs", party="rival")
    machine = (await admin.post("/machines", json={"name": "m", "party": "rival", "role": "mo-backend"})).json()["id"]
    grant = (await admin.post("/grants", json={"holder": "person:theirs", "role": "requester"})).json()["id"]
    person = theirs.actor.person
    for path in ("/parties/rival", f"/people/{person}", "/people/theirs", f"/machines/{machine}", f"/grants/{grant}"):
        assert (await of_acme.get(path)).status_code == 404, path
    for path in (f"/people/{person}/offboarding", "/people/theirs/offboarding", f"/people/{person}/erasure", f"/grants/{grant}/end"):
        assert (await of_acme.post(path)).status_code == 404, path
    assert (await of_acme.patch(f"/machines/{machine}", json={"state": "suspended"})).status_code == 404
    assert (await of_acme.post("/grants", json={"holder": "person:theirs", "role": "requester"})).status_code == 404
    for noun in ("parties", "people", "machines", "grants"):
        page = await of_acme.get(f"/{noun}")
        assert page.status_code == 200, page.text
        assert "rival" not in page.text
        assert "theirs" not in page.text
    assert "rival" not in (await of_acme.get("/access-reviews")).text
    assert (await admin.get(f"/machines/{machine}")).json()["state"] == "active"


async def test_a_name_space_in_production_waits_for_others_as_202(tmp_path: Path):
    async with open_workbench(tmp_path, policy=PRODUCTION, has_authorities=False) as bench:
        ada = await bench.person("ada", Role.ADMINISTRATOR)
        async with open_http(api_services(bench), await session_of(bench, ada)) as http:
            # What a development start made speaks for every name; taking that away needs nobody else.
            cleaned = await http.patch("/parties/demo-cpo", json={"remove_spaces": [*DEVELOPMENT_SPACES]})
            assert cleaned.status_code == 200, cleaned.text
            waiting = await http.post("/parties", json=ACME)
            assert waiting.status_code == 202, waiting.text
            assert waiting.json()["proposal"].startswith("prp_")
            assert waiting.json()["missing"] == ["2 who hold registration:identity:approve"]
            assert (await http.get("/parties/acme")).status_code == 404


async def session_of(bench: Workbench, caller: Caller) -> str:
    """A session with a fresh second factor."""
    person = await bench.ports.store.get_person(PersonId(caller.actor.person))
    opened = bench.services.sessions.plan(person, method="local", client="", stepped_up_at=bench.clock.now())
    await bench.ports.store.commit(AddSession(opened.session))
    return opened.secret
