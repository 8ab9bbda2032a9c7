"""Profiles changed while the platform runs, under production's policy: one other person to narrow, three and a day to allow again."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.app import Settings, compose
from chargepki.core.access.model import Role, Scope
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.backend import TLS_SERVER
from chargepki.core.profiles.model import Narrowing
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import Proposal, ProposalId, ProposalState
from chargepki.errors import Broken, Conflict, NeedsVotes, NotAuthorised, NotFound, Refused
from chargepki.ports import AddProfileVersion
from chargepki.services.audit import Caller
from chargepki.services.authorities import StatusUrls
from chargepki.services.orders import CertificateOrder
from chargepki.services.profiles import KNOWN_FOR, ProfileChange, ProfileRegister
from chargepki.services.server_certificates import ServerNames
from chargepki.testing.workbench import Workbench, open_workbench

SHORT = Narrowing(TLS_SERVER, validity_days_max=30, keys=frozenset({KeySpec.P256}))
SHORTER = replace(SHORT, validity_days_max=10)
BUILT_IN = Narrowing(TLS_SERVER)


@dataclass(frozen=True)
class Office:
    bench: Workbench
    adam: Caller  # proposes
    sela: Caller  # security officer
    carl: Caller  # CA officer
    cora: Caller  # CA officer

    @property
    def profiles(self) -> ProfileRegister:
        return self.bench.services.profiles

    async def propose(self, narrowing: Narrowing, base: int | None = None) -> Proposal:
        with pytest.raises(NeedsVotes) as waits:
            await self.profiles.change(self.adam, ProfileChange(narrowing, base))
        return await self.bench.ports.store.get_proposal(ProposalId(waits.value.proposal))

    async def vote(self, voter: Caller, proposal: Proposal) -> Proposal:
        return (await self.bench.services.approvals.vote(voter, proposal.id, proposal.digest, is_for=True)).proposal

    async def narrow(self, narrowing: Narrowing) -> Proposal:
        done = await self.vote(self.sela, await self.propose(narrowing))
        assert done.state is ProposalState.EXECUTED
        return done

    async def days_max(self) -> int:
        return (await self.profiles.get(TLS_SERVER)).profile.validity_days_max


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with open_workbench(tmp_path, policy=PRODUCTION) as bench:
        people = [await bench.person("adam", Role.ADMINISTRATOR), await bench.person("sela", Role.SECURITY_OFFICER)]
        yield Office(bench, *people, *[await bench.person(name, Role.CA_OFFICER) for name in ("carl", "cora")])


async def test_one_other_person_narrows_and_it_holds_at_once(office: Office) -> None:
    proposal = await office.propose(SHORT)
    assert (proposal.rule, await office.days_max()) == ("profile-narrow", 398)
    assert (await office.vote(office.carl, proposal)).outcome == f"profile:{TLS_SERVER} change 1"
    offered = await office.profiles.get(TLS_SERVER)
    assert (offered.profile.validity_days_max, offered.profile.validity_days, offered.profile.keys) == (30, 30, {KeySpec.P256})
    assert offered.version == "1.1"
    assert {source.field: source.by for source in offered.sources} == dict.fromkeys(
        ("validity_days", "validity_days_max", "keys"), proposal.id
    )


async def test_what_is_issued_from_then_on_is_narrowed_and_names_the_version(office: Office) -> None:
    bench = office.bench
    order = CertificateOrder(TLS_SERVER, key_spec=KeySpec.P256, host="csms.example.org")
    before = (await bench.services.issuance.request(bench.system, order)).certificate
    await office.narrow(SHORT)
    after = (await bench.services.issuance.request(bench.system, replace(order, host="b.example.org"))).certificate
    assert [(c.not_after - bench.clock.now()).days for c in (before, after)] == [90, 30]
    with pytest.raises(Refused, match="ec-p384"):
        await bench.services.issuance.request(bench.system, replace(order, key_spec=KeySpec.P384))
    entries = (await bench.ports.store.list_audit(action="certificate:request:create", outcome="intent")).items
    said = [b'"profile_version":"1.1"' in entry.body for entry in entries]
    assert said[0]
    assert not any(said[1:])


async def test_to_allow_again_takes_a_security_officer_a_ca_officer_and_a_day(office: Office) -> None:
    await office.narrow(SHORT)
    widening = await office.propose(BUILT_IN)
    assert widening.rule == "profile-widen"
    assert b'"newly_allowed":["validity_days_max: 30 -> 398","keys: ' in widening.payload
    assert (await office.vote(office.carl, widening)).state is ProposalState.OPEN
    with pytest.raises(NotAuthorised, match="seat"):
        await office.vote(office.cora, widening)  # a second CA officer is no security officer
    assert (await office.vote(office.sela, widening)).state is ProposalState.APPROVED
    office.bench.clock.advance(timedelta(hours=23))
    await office.bench.services.approvals.carry_out_due()
    assert await office.days_max() == 30
    office.bench.clock.advance(timedelta(hours=1))
    await office.bench.services.approvals.carry_out_due()
    assert await office.days_max() == 398
    assert (await office.profiles.get(TLS_SERVER)).version == "1.2"


async def test_nothing_goes_beyond_what_is_built_in(office: Office) -> None:
    for beyond in (Narrowing(TLS_SERVER, validity_days_max=399), Narrowing(TLS_SERVER, validity_days=399)):
        with pytest.raises(Refused, match="widen"):
            await office.profiles.change(office.adam, ProfileChange(beyond))
    with pytest.raises(Refused, match="at least"):
        await office.profiles.change(office.adam, ProfileChange(Narrowing(TLS_SERVER, organizations=frozenset())))
    many = frozenset(f"{n}{'x' * 60}" for n in range(10, 74))
    with pytest.raises(Refused, match="octets of the log"):
        await office.profiles.change(office.adam, ProfileChange(Narrowing(TLS_SERVER, organizations=many)))
    with pytest.raises(Refused, match="already"):
        await office.profiles.change(office.adam, ProfileChange(BUILT_IN))
    with pytest.raises(NotFound):
        await office.profiles.change(office.adam, ProfileChange(replace(SHORT, profile="no/such")))  # type: ignore[arg-type]
    assert (await office.bench.ports.store.list_profile_versions()).items == ()


async def test_the_configuration_is_on_top_and_never_widened(office: Office) -> None:
    configured = Narrowing(TLS_SERVER, validity_days_max=60, keys=frozenset({KeySpec.P256, KeySpec.P384}))
    names = ServerNames(("localhost",), ())
    settings = Settings("demo-cpo", lambda: StatusUrls("http://127.0.0.1"), names, PRODUCTION, (configured,))
    node = compose(office.bench.ports, settings)
    await office.narrow(Narrowing(TLS_SERVER, validity_days_max=90, keys=frozenset({KeySpec.P256, KeySpec.RSA3072})))
    offered = await node.profiles.get(TLS_SERVER)
    assert (offered.profile.validity_days_max, offered.profile.keys) == (60, {KeySpec.P256})
    assert [s.by for s in offered.sources if s.field == "validity_days_max"][-1] == "config"
    disjoint = Narrowing(TLS_SERVER, keys=frozenset({KeySpec.RSA3072}))
    with pytest.raises(Refused, match="no keys"):
        await node.profiles.change(office.adam, ProfileChange(disjoint))


async def test_another_node_sees_it_within_a_second(office: Office) -> None:
    other = ProfileRegister(office.bench.ports, office.bench.services.audit, Profiles())
    assert (await other.get(TLS_SERVER)).profile.validity_days_max == 398
    await office.narrow(SHORT)
    office.bench.clock.advance(KNOWN_FOR)
    assert (await other.get(TLS_SERVER)).profile.validity_days_max == 30


async def test_what_was_agreed_on_against_another_version_is_not_carried_out(office: Office) -> None:
    """Harmless when it was voted on: by the time it is due it would allow again what was taken away meanwhile."""
    late = await office.propose(SHORT)
    await office.narrow(SHORTER)
    failed = await office.vote(office.sela, late)
    assert (failed.state, await office.days_max()) == (ProposalState.FAILED, 10)
    assert "profile.change.outdated" in failed.outcome
    with pytest.raises(Conflict, match="change 1 is in force"):
        await office.profiles.change(office.adam, ProfileChange(SHORT, base=0))


async def test_an_edited_order_says_truly_what_it_newly_allows(office: Office) -> None:
    await office.narrow(SHORTER)
    proposal = await office.propose(replace(SHORTER, validity_days_max=5))
    order = {"profile": TLS_SERVER, "base": 1, "narrowing": {}, "newly_allowed": []}
    with pytest.raises(Refused, match="this newly allows: validity_days_max: 10 -> 398"):
        await office.bench.services.approvals.edit(office.adam, proposal.id, order)
    newly = ["validity_days_max: 10 -> 398"]
    order = {"profile": TLS_SERVER, "base": 1, "narrowing": {"keys": ["ec-p256"]}, "newly_allowed": newly}
    edited = (await office.bench.services.approvals.edit(office.adam, proposal.id, order)).proposal
    assert edited.rule == "profile-widen"
    for damaged in ({}, order | {"base": True}, order | {"narrowing": []}, order | {"more": 1}):
        with pytest.raises(Refused):
            await office.bench.services.approvals.edit(office.adam, proposal.id, damaged)


async def test_nobody_changes_a_profile_beyond_their_scope(office: Office) -> None:
    elsewhere = Scope(profiles=frozenset({"ocpp/station"}))
    narrow = await office.bench.person("nora", Role.ADMINISTRATOR, scope=elsewhere)
    with pytest.raises(NotAuthorised, match="does not cover the profile"):
        await office.profiles.change(narrow, ProfileChange(SHORT))
    with pytest.raises(NotAuthorised):
        await office.profiles.change(office.sela, ProfileChange(SHORT))  # who activates does not propose
    officer = await office.bench.person("otto", Role.SECURITY_OFFICER, scope=elsewhere)
    with pytest.raises(NotAuthorised):
        await office.vote(officer, await office.propose(SHORT))


async def test_the_history_is_kept(office: Office) -> None:
    await office.narrow(SHORT)
    await office.narrow(SHORTER)
    page = await office.profiles.versions(office.carl, profile=TLS_SERVER)
    assert [(version.number, version.narrowing) for version in page.items] == [(2, SHORTER), (1, SHORT)]
    assert all(version.proposal and version.created_by == office.adam.actor.id for version in page.items)
    with pytest.raises(Conflict):
        await office.bench.ports.store.commit(AddProfileVersion(page.items[1]))


async def test_limits_that_cannot_be_read_stop_issuance(office: Office, tmp_path: Path) -> None:
    """A row that somebody changed by hand: without its limits the profile is not used."""
    import sqlite3

    await office.narrow(SHORT)
    with sqlite3.connect(tmp_path / "chargepki.db") as database:
        database.execute('UPDATE profile_version SET narrowing = \'{"keys": ["rot13"]}\'')
    office.bench.clock.advance(KNOWN_FOR)
    order = CertificateOrder(TLS_SERVER, key_spec=KeySpec.P256, host="csms.example.org")
    with pytest.raises(Broken, match="cannot be read"):
        await office.bench.services.issuance.request(office.bench.system, order)
