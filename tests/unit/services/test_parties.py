"""Parties: who may speak for which names, and who says so."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import NO_BALLOT, Role, Scope
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import PartyId, PartyRole, PartyState, Proposal, ProposalId, ProposalState
from chargepki.errors import Broken, Conflict, NeedsVotes, NotAuthorised, NotFound, Refused
from chargepki.services.audit import Caller
from chargepki.services.parties import DEVELOPMENT_SPACES, Parties
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.test_issuance import codes

CPO = frozenset({PartyRole.CPO})


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    """Without authorities: nothing is issued here."""
    async with open_workbench(tmp_path, has_authorities=False) as opened:
        yield opened


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Workbench]:
    """Without the party that a development start makes, which speaks for every name."""
    async with open_workbench(tmp_path, policy=PRODUCTION, has_authorities=False) as opened:
        cleaner = await opened.person("cleaner", Role.ADMINISTRATOR)
        await opened.services.parties.update_party(cleaner, PartyId("demo-cpo"), remove_spaces=DEVELOPMENT_SPACES)
        yield opened


async def create(bench: Workbench, id: str, *spaces: str, caller: Caller = ADMIN) -> None:
    await bench.services.parties.create_party(caller, id=id, name=f"{id} GmbH", roles=CPO, spaces=spaces)


async def agree(bench: Workbench, waiting: NeedsVotes, *voters: Caller) -> Proposal:
    """Every voter says yes to exactly what is on record."""
    id = ProposalId(waiting.proposal)
    for voter in voters:
        digest = (await bench.services.approvals.get(voter, id)).proposal.digest
        await bench.services.approvals.vote(voter, id, digest, is_for=True)
    return await bench.ports.store.get_proposal(id)


async def test_a_party_is_found_by_its_id_its_name_and_its_hosts(bench: Workbench) -> None:
    parties = bench.services.parties
    made = await parties.create_party(ADMIN, id="acme-cpo", name="Acme CPO", roles=CPO, spaces=("evse-operator:DE*ACM", "dns:acme.example"))
    assert await parties.get(PartyId("acme-cpo")) == made
    assert await parties.find_by_operator("Acme CPO") == await parties.find_by_operator("acme-cpo") == made
    assert await parties.owner_of_host("csms.eu.acme.example") == made
    assert await parties.find_by_operator("nobody") is None


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("dns:acme.example", "dns:acme.example"),
        ("dns:acme.example", "dns:eu.acme.example"),
        ("dns:eu.acme.example", "dns:acme.example"),
        ("evse-operator:DE*ACM", "evse-operator:de*acm"),
        ("emaid-provider:DE-ACM", "emaid-provider:DE-ACM"),
        ("wmi:WDB", "wmi:wdb"),
        ("station-serial:ACME", "station-serial:ACME-20"),
    ],
)
async def test_two_parties_never_speak_for_one_name(bench: Workbench, held: str, wanted: str) -> None:
    await create(bench, "acme-cpo", held)
    with pytest.raises(Refused) as refusal:
        await create(bench, "rival", wanted)
    assert codes(refusal) == {"party.space.taken"}
    assert "acme-cpo" not in str(refusal.value)
    with pytest.raises(NotFound):
        await bench.services.parties.get(PartyId("rival"))


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("dns:acme.example", "dns:notacme.example"),
        ("evse-operator:DE*ACM", "evse-operator:DE*ACN"),
        ("station-serial:ACME", "station-serial:ACMEX"),
    ],
)
async def test_names_that_only_look_alike_are_free(bench: Workbench, held: str, wanted: str) -> None:
    await create(bench, "acme-cpo", held)
    await create(bench, "other", wanted)


async def test_on_a_development_platform_everybody_may_speak_for_everything(bench: Workbench) -> None:
    await create(bench, "acme-cpo", "dns:*")
    await create(bench, "other", "dns:*", "dns:other.example")
    assert (await bench.services.parties.owner_of_host("a.other.example")).id == "other"  # type: ignore[union-attr]
    assert await bench.services.parties.owner_of_host("a.third.example") is None


@pytest.mark.parametrize(
    ("spaces", "code"),
    [
        (("dns",), "name_space.kind"),
        (("colour:red",), "name_space.kind"),
        (("station:CS-17",), "party.space.kind"),
        (tuple(f"dns:a{n}.example" for n in range(65)), "party.spaces"),
    ],
)
async def test_what_is_no_name_space_of_a_party_is_refused(bench: Workbench, spaces: tuple[str, ...], code: str) -> None:
    with pytest.raises(Refused) as refusal:
        await create(bench, "acme-cpo", *spaces)
    assert code in codes(refusal)


async def test_an_operator_that_nobody_registered_is_registered_once_and_only_in_development(bench: Workbench, tmp_path: Path) -> None:
    parties = bench.services.parties
    first = await parties.ensure_development(ADMIN, "Stadtwerke Süd & Söhne")
    assert await parties.ensure_development(ADMIN, "Stadtwerke Süd & Söhne") == first
    assert first.name == "Stadtwerke Süd & Söhne"
    (tmp_path / "production").mkdir()
    async with open_workbench(tmp_path / "production", policy=PRODUCTION, has_authorities=False) as other:
        with pytest.raises(Refused) as refusal:
            await other.services.parties.ensure_development(ADMIN, "unheard")
    assert codes(refusal) == {"party.operator.unknown"}


async def test_a_name_space_is_added_by_three_people(production: Workbench) -> None:
    administrator = await production.person("ada", Role.ADMINISTRATOR)
    officers = [await production.person(name, Role.REGISTRATION_OFFICER) for name in ("rita", "rolf")]
    with pytest.raises(NeedsVotes) as waiting:
        await create(production, "acme-cpo", "dns:acme.example", caller=administrator)
    half = await agree(production, waiting.value, officers[0])
    assert half.state is ProposalState.OPEN
    with pytest.raises(NotFound):
        await production.services.parties.get(PartyId("acme-cpo"))
    whole = await agree(production, waiting.value, officers[1])
    assert (whole.state, whole.outcome) == (ProposalState.EXECUTED, "acme-cpo")
    assert (await production.services.parties.owner_of_host("a.acme.example")).id == "acme-cpo"  # type: ignore[union-attr]


async def test_a_space_that_was_taken_meanwhile_fails_when_it_is_carried_out(production: Workbench) -> None:
    administrator = await production.person("ada", Role.ADMINISTRATOR)
    officers = [await production.person(name, Role.REGISTRATION_OFFICER) for name in ("rita", "rolf")]
    waiting = []
    for id in ("first", "second"):
        with pytest.raises(NeedsVotes) as needs:
            await create(production, id, "dns:acme.example", caller=administrator)
        waiting.append(needs.value)
    won, lost = [await agree(production, proposal, *officers) for proposal in waiting]
    assert won.state is ProposalState.EXECUTED
    assert lost.state is ProposalState.FAILED
    assert "party.space.taken" in lost.outcome


async def test_taking_away_works_at_once_and_alone(production: Workbench) -> None:
    parties = production.services.parties
    administrator = await production.person("ada", Role.ADMINISTRATOR)
    officers = [await production.person(name, Role.REGISTRATION_OFFICER) for name in ("rita", "rolf")]
    with pytest.raises(NeedsVotes) as waiting:
        await create(production, "acme-cpo", "dns:acme.example", "wmi:WDB", caller=administrator)
    await agree(production, waiting.value, *officers)
    assert await parties.owner_of_host("a.acme.example") is not None
    changed = await parties.update_party(administrator, PartyId("acme-cpo"), remove_spaces=["dns:acme.example"], state=PartyState.SUSPENDED)
    assert [str(space) for space in changed.spaces] == ["wmi:WDB"]
    assert (await parties.get(PartyId("acme-cpo"))).state is PartyState.SUSPENDED
    assert await parties.owner_of_host("a.acme.example") is None
    with pytest.raises(NeedsVotes):
        await parties.update_party(administrator, PartyId("acme-cpo"), add_spaces=["dns:acme.example"])


async def test_what_another_node_changed_is_seen_a_second_later(bench: Workbench, tmp_path: Path) -> None:
    parties = bench.services.parties
    assert await parties.find_by_operator("late") is None
    await Parties(bench.ports, bench.services.audit).create_party(ADMIN, id="late", name="late", roles=CPO)
    assert await parties.find_by_operator("late") is None
    bench.clock.advance(timedelta(seconds=1))
    assert await parties.find_by_operator("late") is not None


async def test_people_of_a_party_see_that_party_and_change_none(bench: Workbench) -> None:
    await create(bench, "acme-cpo", "dns:acme.example")
    await create(bench, "rival", "dns:rival.example")
    own = await bench.person("pat", Role.PARTY_ADMIN, party="acme-cpo", scope=Scope(parties=frozenset({"acme-cpo"})))
    parties = bench.services.parties
    assert [party.id for party in (await parties.list_parties(own)).items] == ["acme-cpo"]
    assert (await parties.get_party(own, PartyId("acme-cpo"))).name == "acme-cpo GmbH"
    for id in ("rival", "nobody"):
        with pytest.raises(NotFound):
            await parties.get_party(own, PartyId(id))
    with pytest.raises(NotAuthorised):
        await parties.update_party(own, PartyId("acme-cpo"), add_spaces=["dns:more.example"])
    with pytest.raises(NotAuthorised):
        await parties.update_party(own, PartyId("rival"), state=PartyState.SUSPENDED)


async def test_a_change_that_changes_nothing_and_a_second_party_of_one_id_are_refused(bench: Workbench) -> None:
    await create(bench, "acme-cpo", "dns:acme.example")
    with pytest.raises(Refused) as refusal:
        await bench.services.parties.update_party(ADMIN, PartyId("acme-cpo"), add_spaces=["dns:acme.example"])
    assert codes(refusal) == {"party.unchanged"}
    with pytest.raises(Refused) as absent:
        await bench.services.parties.update_party(ADMIN, PartyId("acme-cpo"), remove_spaces=["dns:else.example"])
    assert codes(absent) == {"party.space.absent"}
    with pytest.raises(Conflict):
        await create(bench, "acme-cpo")


async def test_no_name_means_two_parties(bench: Workbench) -> None:
    parties = bench.services.parties
    await parties.create_party(ADMIN, id="acme", name="Acme", roles=CPO)
    await parties.create_party(ADMIN, id="emca", name="emca gmbh", roles=CPO)
    for id, name in (("acme", "Other"), ("other", "Acme"), ("other", "acme"), ("other", "emca")):
        with pytest.raises(Conflict):
            await parties.create_party(ADMIN, id=id, name=name, roles=CPO)


@pytest.mark.parametrize("change", [{"do": "else"}, {"roles": ["king"]}, {"roles": "cpo"}, {"state": "gone"}, {"add": [7]}, {"add": ["x"]}])
async def test_a_proposal_that_cannot_be_read_changes_nothing(bench: Workbench, change: dict[str, JsonValue]) -> None:
    await create(bench, "acme-cpo")
    before = await bench.ports.store.get_party(PartyId("acme-cpo"))
    order: dict[str, JsonValue] = {"do": "change", "id": "acme-cpo", "roles": ["oem"], "state": "", "add": ["wmi:WDB"], "remove": []}
    with pytest.raises((Broken, Refused)):
        await bench.services.parties.carry_out(ADMIN, {**order, **change}, NO_BALLOT)
    assert await bench.ports.store.get_party(PartyId("acme-cpo")) == before
    assert await bench.services.parties.carry_out(ADMIN, order, NO_BALLOT) == "acme-cpo"
