"""The log over the API: its head, its files and its proofs, each to those who may see what is in it."""

import hashlib
from pathlib import Path

import pytest

from chargepki.core.access.model import Role, Scope
from chargepki.core.records import ProfileId, StationId
from chargepki.core.tlog.audit import audit_copy, copy_paths
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.notes import parse_note
from chargepki.core.tlog.policy import parse_policy
from chargepki.core.tlog.proof import check_proof, parse_proof
from chargepki.errors import NotAuthorised, NotFound
from chargepki.services.audit import Caller
from chargepki.services.log_access import LogAccess
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.api.api_platform import Platform, make_csr


async def test_the_log_can_be_copied_and_checked_over_the_api(platform: Platform) -> None:
    status = (await platform.http.get("/log")).json()
    policy = parse_policy(status["policy"])
    files = {"checkpoint": (await platform.http.get("/log/checkpoint")).content}
    size = parse_checkpoint(parse_note(files["checkpoint"]).text).size
    for path in copy_paths(size):
        answer = await platform.http.get(f"/log/files/{path}")
        assert answer.status_code == 200, path
        files[path] = answer.content
    assert audit_copy(files.get, policy).findings == ()
    assert (status["size"], status["quorum"], status["monitor"]) == (size, "none", None)
    assert (await platform.http.get("/log/checkpoint", params={"cosigned": True})).status_code == 404


async def test_a_certificate_is_proved_with_its_intent(platform: Platform, station: str) -> None:
    made = await platform.http.post("/certificates", json={"profile": "ocpp/station", "station": station, "csr": make_csr()})
    id = made.json()["certificate"]["id"]
    items = (await platform.http.get(f"/log/proofs/{id}")).json()["items"]
    assert [(item["outcome"], item["object"]) for item in items] == [("done", f"certificate:{id}"), ("intent", "station:CS-17")]
    policy = parse_policy((await platform.http.get("/log")).json()["policy"])
    for item in items:
        proof = parse_proof(item["proof"].encode())
        assert check_proof(proof, policy).is_accepted
        assert item["entry"].encode() in proof.leaf
        by_id = (await platform.http.get(f"/log/proofs/{item['entry']}")).json()["items"][0]
        by_index = (await platform.http.get(f"/log/proofs/{item['index']}")).json()["items"][0]
        assert by_id["index"] == by_index["index"] == item["index"]
    sub = next(a for a in (await platform.http.get("/authorities")).json()["items"] if a["id"] == "operator-sub")
    assert (await platform.http.get(f"/log/proofs/{sub['certificate']}")).json()["items"][0]["object"] == "authority:operator-sub"


@pytest.mark.parametrize("what", ["aud_none", "999999", "crt_none", "999999999999999999999", "٣"])
async def test_what_is_not_there_is_not_found(platform: Platform, what: str) -> None:
    assert (await platform.http.get(f"/log/proofs/{what}")).status_code == 404


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/../../keys", "tile/9/000", "tile/0/1", "policy", "tile/0/999"])
async def test_no_path_leads_out_of_the_log(platform: Platform, path: str) -> None:
    assert (await platform.http.get(f"/log/files/{path}")).status_code in (404, 422)


@pytest.fixture
async def world(tmp_path: Path):  # type: ignore[no-untyped-def]
    async with open_workbench(tmp_path) as bench:
        await bench.services.parties.ensure_development(ADMIN, "other-cpo")
        yield bench


async def issue(bench: Workbench, number: int) -> str:
    await bench.services.inventory.add_station(ADMIN, id=f"CS-{number}", serial_number=f"SN-{number}", operator="demo-cpo")
    order = CertificateOrder(ProfileId("ocpp/station"), csr=make_csr().encode(), station=StationId(f"CS-{number}"))
    return str((await bench.services.issuance.request(ADMIN, order)).certificate.id)


async def test_a_party_gets_proofs_of_its_own_and_of_nobody_elses(world: Workbench) -> None:
    access = LogAccess(world.ports, world.services.audit, world.services.log)
    id = await issue(world, 1)
    own, foreign = [await auditor(world, party) for party in ("demo-cpo", "other-cpo")]
    done, intent = await access.prove(own, id)
    assert hashlib.sha256(done.proof.leaf).digest() != hashlib.sha256(intent.proof.leaf).digest()
    assert (await access.prove(own, done.entry.id))[0].entry.id == done.entry.id
    for what in (id, done.entry.id, intent.entry.id, str(done.proof.index)):
        with pytest.raises(NotFound):
            await access.prove(foreign, what)
    tile = f"tile/0/000.p/{parse_checkpoint(access.checkpoint(own).text).size}"
    assert await access.file(own, tile)  # hashes tell nobody anything
    with pytest.raises(NotAuthorised):
        await access.file(own, tile.replace("tile/0", "tile/entries"))  # the entries of everybody do
    whole = await world.person("ada", Role.AUDITOR)
    assert await access.file(whole, tile.replace("tile/0", "tile/entries"))
    with pytest.raises(NotAuthorised):
        await access.prove(await world.person("eve", Role.OPERATOR), id)


async def auditor(bench: Workbench, party: str) -> Caller:
    scope = Scope(parties=frozenset({party}))
    return await bench.person(f"aud-{party}", Role.PARTY_AUDITOR, party=party, scope=scope)
