"""Attacks on the separation of duties by those inside it: one officer who would be several, or do alone what takes others."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core import totp
from chargepki.core.access.decide import decide
from chargepki.core.access.model import EVERYWHERE, Allow, Assurance, Deny, Resource, Role, Scope
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import (
    Account,
    AuthorityId,
    GrantId,
    GrantState,
    Outcome,
    PartyId,
    Person,
    PersonId,
    PersonState,
    ProfileId,
    ProposalId,
    ProposalState,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import NeedsStepUp, NeedsVotes, NotAuthenticated, NotAuthorised, Refused, TooMany
from chargepki.ports import AddPerson
from chargepki.services.access import TokenOrder
from chargepki.services.audit import PROPOSALS_PER_HOUR_MAX, Caller, Order
from chargepki.services.batches import BatchOrder
from chargepki.services.openid import DeviceCode, Identity, OpenId, Return
from chargepki.services.sessions import Session, signing_in
from chargepki.services.sign_in import totp_context
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.test_issuance import codes

PARTY = PartyId("demo-cpo")
OWN = Scope(parties=frozenset({PARTY}))
KEY = b"k" * totp.SECRET_OCTETS
NEW_PASSWORD = "seven purple ladders"
STRANGER = Caller(signing_in(None), "api", "192.0.2.66")
AT_IDP = "mallory-at-idp"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with open_workbench(tmp_path, policy=PRODUCTION, has_authorities=False) as opened:
        yield opened


@pytest.fixture
async def mallory(bench: Workbench) -> Caller:
    """An administrator, who keeps the accounts."""
    return await bench.person("mallory", Role.ADMINISTRATOR)


# ------------------------------------------------------------------------------------------------- being somebody else


@dataclass
class MallorysProvider:
    """A configured OpenID provider where Mallory has an account with a second factor, like everybody else."""

    bench: Workbench
    title: str = "The organisation"
    issuer: str = "https://id.example"

    async def authorization_url(self, *, state: str, **_: object) -> str:
        self.state = state
        return f"{self.issuer}/authorize"

    async def redeem_code(self, **_: object) -> Identity:
        return Identity(self.issuer, AT_IDP, "mallory", True, self.bench.clock.now())

    async def start_device(self) -> DeviceCode:
        raise NotImplementedError

    async def redeem_device_code(self, device_code: str) -> Identity | None:
        raise NotImplementedError


@dataclass
class Door:
    provider: MallorysProvider
    openid: OpenId

    async def come_in(self, invitation: str = "") -> None:
        departure = await self.openid.depart(STRANGER, "idp", invitation=invitation)
        back = Return(state=self.provider.state, code="code", issuer=self.provider.issuer)
        assert not isinstance(await self.openid.arrive(STRANGER, "idp", handle=departure.handle, back=back), Session)


@pytest.fixture
def door(bench: Workbench) -> Door:
    provider, services = MallorysProvider(bench), bench.services
    openid = OpenId(
        bench.ports, services.audit, services.sessions, services.sign_in, bench.ports.secrets, {"idp": provider}, lambda _: "https://pki/cb"
    )
    return Door(provider, openid)


async def officer_with_telephone(bench: Workbench, name: str, role: Role) -> PersonId:
    """Somebody who works here: a password, and a second factor of ours."""
    id, now = PersonId(f"per_{name}"), bench.clock.now()
    sealed = bench.ports.secrets.seal(KEY, totp_context(id))
    await bench.ports.store.commit(
        AddPerson(Person(id, name, PartyId(""), PersonState.ACTIVE, now), Account(id, password_hash="$argon2id$none", totp_sealed=sealed))
    )
    del role
    return id


async def test_an_administrator_links_no_identity_of_theirs_to_an_officer_and_becomes_them(
    bench: Workbench, mallory: Caller, door: Door
) -> None:
    carla = PersonId((await bench.person("carla", Role.CA_OFFICER)).actor.person)
    with pytest.raises(Refused) as refusal:
        await door.openid.link_identity(mallory, carla, issuer=door.provider.issuer, subject=AT_IDP)
    assert codes(refusal) == {"person.state"}
    with pytest.raises(NotAuthenticated):
        await door.come_in()


async def test_an_invitation_made_again_links_no_identity_either(bench: Workbench, mallory: Caller, door: Door) -> None:
    carla = await officer_with_telephone(bench, "carla", Role.CA_OFFICER)
    _, invitation = await bench.services.people.invite_again(mallory, carla)
    with pytest.raises(NotAuthenticated):
        await door.come_in(invitation)
    assert await bench.ports.store.lookup_person_by_identity(door.provider.issuer, AT_IDP) is None


async def test_somebody_new_is_linked_before_they_come_in(bench: Workbench, mallory: Caller, door: Door) -> None:
    person, _ = await bench.services.people.invite_person(mallory, username="nora")
    await door.openid.link_identity(mallory, person.id, issuer=door.provider.issuer, subject=AT_IDP)
    await door.come_in()


async def test_an_invitation_kept_back_opens_nothing_once_its_person_is_linked(bench: Workbench, mallory: Caller, door: Door) -> None:
    """Else whoever made it would set a password and a second factor of their own, after the offices were given."""
    person, invitation = await bench.services.people.invite_person(mallory, username="nora", valid_hours=300)
    await door.openid.link_identity(mallory, person.id, issuer=door.provider.issuer, subject="nora-at-idp")
    with pytest.raises(NotAuthenticated):
        await bench.services.sign_in.redeem_invitation(STRANGER, invitation=invitation, password=NEW_PASSWORD)


async def test_an_invitation_made_again_does_not_read_as_the_auditor(bench: Workbench, mallory: Caller) -> None:
    """Whoever makes an invitation could use it: without the telephone it opens nothing."""
    aude = await officer_with_telephone(bench, "aude", Role.AUDITOR)
    _, invitation = await bench.services.people.invite_again(mallory, aude)
    sign_in = bench.services.sign_in
    with pytest.raises(NeedsStepUp):
        await sign_in.redeem_invitation(STRANGER, invitation=invitation, password=NEW_PASSWORD)
    wrong = f"{(int(right_code(bench)) + 1) % 1_000_000:06}"
    for _ in range(2):  # the second time it is spent
        with pytest.raises(NotAuthenticated):
            await sign_in.redeem_invitation(STRANGER, invitation=invitation, password=NEW_PASSWORD, code=wrong)
    with pytest.raises(NotAuthenticated):
        await sign_in.redeem_invitation(STRANGER, invitation=invitation, password=NEW_PASSWORD, code=right_code(bench))
    with pytest.raises(NotAuthenticated):
        await sign_in.with_password(STRANGER, username="aude", password=NEW_PASSWORD)


async def test_the_auditor_takes_up_their_own_invitation_with_their_telephone(bench: Workbench, mallory: Caller) -> None:
    aude = await officer_with_telephone(bench, "aude", Role.AUDITOR)
    _, invitation = await bench.services.people.invite_again(mallory, aude)
    new = await bench.services.sign_in.redeem_invitation(STRANGER, invitation=invitation, password=NEW_PASSWORD, code=right_code(bench))
    assert (await bench.services.sessions.authenticate(new.secret)).assurance is Assurance.MFA
    with pytest.raises(NotAuthenticated):  # a code works once
        await bench.services.sign_in.with_password(STRANGER, username="aude", password=NEW_PASSWORD, code=right_code(bench))


def right_code(bench: Workbench) -> str:
    return totp.code_at(KEY, totp.step_of(bench.clock.now()))


# --------------------------------------------------------------------------------------------------------------- puppets


async def offer(bench: Workbench, by: Caller, holder: Caller | str, role: Role, scope: Scope = EVERYWHERE) -> GrantId:
    to = holder if isinstance(holder, str) else holder.actor.id
    return (await bench.services.grants.propose_grant(by, holder=to, role=role, scope=scope)).record.id


@pytest.mark.parametrize("role", [Role.APPROVER, Role.PARTY_ADMIN])
async def test_an_administrator_makes_nobody_alone_who_agrees_to_what_puppets_order(bench: Workbench, mallory: Caller, role: Role) -> None:
    puppet = await bench.person("puppet", party=PARTY)
    with pytest.raises(NeedsVotes):
        await offer(bench, mallory, puppet, role)
    assert (await bench.ports.store.list_grants(holder=puppet.actor.id)).items == ()


async def test_a_party_admin_makes_no_approver_alone_and_is_none(bench: Workbench) -> None:
    pat = await bench.person("pat", Role.PARTY_ADMIN, party=PARTY, scope=OWN)
    puppet = await bench.person("puppet", party=PARTY)
    with pytest.raises(NeedsVotes) as waiting:
        await offer(bench, pat, puppet, Role.APPROVER)
    both = replace(pat.actor, other_roles=frozenset({Role.APPROVER}))
    resource = Resource(party=PARTY, role=Role.APPROVER)
    assert isinstance(decide(both, Permission.ACCESS_GRANT_PROPOSE, resource, bench.clock.now(), PRODUCTION), Deny)
    amy = await bench.person("amy", Role.APPROVER, party=PARTY, scope=OWN)
    proposal = await bench.ports.store.get_proposal(ProposalId(waiting.value.proposal))
    await bench.services.approvals.vote(amy, proposal.id, proposal.digest, is_for=True)
    assert (await bench.ports.store.get_proposal(proposal.id)).state is ProposalState.EXECUTED
    [granted] = (await bench.ports.store.list_grants(holder=puppet.actor.id)).items
    assert granted.state is GrantState.OFFERED


async def test_the_first_approver_of_a_party_takes_a_registration_officer(bench: Workbench, mallory: Caller) -> None:
    puppet, rita = await bench.person("puppet", party=PARTY), await bench.person("rita", Role.REGISTRATION_OFFICER)
    with pytest.raises(NeedsVotes) as waiting:
        await offer(bench, mallory, puppet, Role.APPROVER)
    proposal = await bench.ports.store.get_proposal(ProposalId(waiting.value.proposal))
    with pytest.raises(NotAuthorised):  # nobody judges in their own cause, and another party's approver not in this one's
        await bench.services.approvals.vote(puppet, proposal.id, proposal.digest, is_for=True)
    await bench.services.approvals.vote(rita, proposal.id, proposal.digest, is_for=True)
    assert (await bench.ports.store.get_proposal(proposal.id)).state is ProposalState.EXECUTED


async def test_nobody_alone_widens_what_a_working_backend_may_order(bench: Workbench, mallory: Caller) -> None:
    csms = await bench.machine("csms", Role.CSMS, party=PARTY, scope=replace(OWN, profiles=frozenset({"ocpp/station"})))
    with pytest.raises(NeedsVotes):
        await offer(bench, mallory, csms, Role.CSMS, OWN)
    reloaded = await bench.services.actors.reload(csms.actor.id)
    assert [grant.scope.profiles for grant in reloaded.grants] == [frozenset({"ocpp/station"})]


async def test_an_administrator_ends_a_stolen_office_at_once_and_alone(bench: Workbench, mallory: Caller) -> None:
    """Nobody else has to agree to less: a quorum here would keep an intruder in."""
    await bench.person("carla", Role.CA_OFFICER)
    ended = await bench.services.grants.end_grant(mallory, GrantId("grt_carla_ca-officer"))
    assert ended.record.state is GrantState.ENDED
    pat = await bench.person("pat", Role.PARTY_ADMIN, party=PARTY, scope=OWN)
    await bench.person("amy", Role.APPROVER, party=PARTY, scope=OWN)
    assert (await bench.services.grants.end_grant(pat, GrantId("grt_amy_approver"))).record.state is GrantState.ENDED


async def test_a_token_does_not_carry_what_its_holder_does_about_their_own_account(bench: Workbench) -> None:
    otto = await bench.person("otto", Role.OPERATOR)
    _, secret = await bench.services.access.create_token(otto, TokenOrder("ci", frozenset({"*:*:*"})))
    actor = await bench.services.access.authenticate(secret)
    assert {grant.role for grant in actor.grants} == {Role.OPERATOR}


# ---------------------------------------------------------------------------------------------- alone what takes others


@pytest.mark.parametrize("by_serial", [False, True])
async def test_one_revocation_officer_does_not_bring_down_an_authority(tmp_path: Path, by_serial: bool) -> None:
    async with open_workbench(tmp_path, policy=PRODUCTION) as bench:
        rex = await bench.person("rex", Role.REVOCATION_OFFICER)
        first, second = [await bench.person(name, Role.CA_OFFICER) for name in ("carla", "cem")]
        authority = (await bench.services.authorities.view(AuthorityId("operator-sub"))).authority
        certificate = await bench.ports.store.get_certificate(authority.certificate)
        revocation, reason = bench.services.revocation, RevocationReason.CESSATION_OF_OPERATION
        named = (certificate.issuer, certificate.serial) if by_serial else (certificate.id,)
        revoke = revocation.revoke_by_serial if by_serial else revocation.revoke
        with pytest.raises(NeedsVotes) as waiting:
            await revoke(rex, *named, reason=reason)  # type: ignore[operator]
        assert await bench.ports.store.list_certificate_events(certificate.id) == ()
        proposal = await bench.ports.store.get_proposal(ProposalId(waiting.value.proposal))
        for officer in (first, second):
            await bench.services.approvals.vote(officer, proposal.id, proposal.digest, is_for=True)
        assert (await bench.ports.store.get_proposal(proposal.id)).state is ProposalState.EXECUTED
        [event] = await bench.ports.store.list_certificate_events(certificate.id)
        assert event.reason is reason


async def test_batches_ordered_at_once_are_counted_together(bench: Workbench) -> None:
    """What one person may give alone within a day is not given five times in one moment."""
    renate = await bench.person("renate", Role.REQUESTER, party=PARTY, scope=OWN)
    order = BatchOrder(PARTY, ProfileId("ocpp/station"), frozenset({"SN-2026-"}), 100, bench.clock.now() + timedelta(days=7))
    results = await asyncio.gather(*(bench.services.batches.create(renate, order) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, NeedsVotes) for result in results) == 4, results


async def test_nobody_buries_the_approvers_under_proposals(bench: Workbench, mallory: Caller) -> None:
    act = mallory.act(Permission.CA_AUTHORITY_CREATE, "authority:flood", resource=Resource(profile="sub/operator"))

    async def propose() -> None:
        async with bench.services.audit.act(act, order=Order({"id": "flood"})):
            raise AssertionError("allowed")

    for _ in range(PROPOSALS_PER_HOUR_MAX):
        with pytest.raises(NeedsVotes):
            await propose()
    with pytest.raises(TooMany):
        await propose()
    other = await bench.person("abel", Role.ADMINISTRATOR)
    with pytest.raises(NeedsVotes):  # one flood shuts nobody else out
        await offer(bench, other, await bench.person("carla"), Role.CA_OFFICER)


# --------------------------------------------------------------------------------------------- strangers and the gate


@pytest.mark.parametrize("permission", sorted(set(Permission) - {Permission.ACCESS_SESSION_CREATE}))
def test_somebody_who_signs_in_may_do_nothing_else(permission: Permission) -> None:
    from datetime import UTC, datetime

    resources = (Resource(), Resource(party="*"), Resource(party=PARTY, is_own=True), Resource(subject="per_anna", is_own=True))
    for actor in (signing_in(None), replace(signing_in(PersonId("per_anna")), assurance=Assurance.HARDWARE)):
        assert not any(isinstance(decide(actor, permission, r, datetime.now(tz=UTC), PRODUCTION), Allow) for r in resources)


async def test_a_refused_attack_is_on_record(bench: Workbench, mallory: Caller, door: Door) -> None:
    carla = PersonId((await bench.person("carla", Role.CA_OFFICER)).actor.person)
    with pytest.raises(Refused):
        await door.openid.link_identity(mallory, carla, issuer=door.provider.issuer, subject=AT_IDP)
    [entry] = (await bench.ports.store.list_audit(actor=mallory.actor.id, outcome=Outcome.REFUSED)).items
    assert AT_IDP.encode() not in entry.body


async def test_a_token_named_after_its_owner_names_nobody_in_the_log(bench: Workbench) -> None:
    otto = await bench.person("otto", Role.OPERATOR)
    _, secret = await bench.services.access.create_token(otto, TokenOrder("Otto Normal's laptop", frozenset({"*:*:*"})))
    token = Caller(await bench.services.access.authenticate(secret), "api")
    assert token.actor.id.startswith("token:per_otto/tok_")
    with pytest.raises(Refused):  # a token is too weak for that, and says so in the log
        await bench.services.access.create_token(token, TokenOrder("Otto Normal's telephone", frozenset({"*:*:*"})))
    entries = (await bench.ports.store.list_audit(limit=100)).items
    assert {entry.outcome for entry in entries if entry.action == Permission.ACCESS_TOKEN_CREATE} == {Outcome.DONE, Outcome.REFUSED}
    assert all(b"Normal" not in entry.body for entry in entries)


async def test_no_key_made_over_the_api_passes_for_one_of_the_logs(tmp_path: Path) -> None:
    """Two keys of one label, and the log would not start again."""
    async with open_workbench(tmp_path, has_authorities=False) as bench:
        [taken] = [handle.label for handle in await bench.ports.vault.list() if handle.label.startswith("log ed25519")]
        with pytest.raises(Refused) as refusal:
            await bench.services.keys.generate(ADMIN, KeySpec.ED25519, label=taken)
        assert codes(refusal) == {"key.label.reserved"}
        await bench.services.log.start()


async def test_an_order_that_cannot_be_read_stops_nothing_else(bench: Workbench, mallory: Caller) -> None:
    """One poisoned proposal, and the chores that carry out all others would end."""
    officers = [await bench.person(name, Role.CA_OFFICER) for name in ("carla", "cem")]
    act = mallory.act(Permission.CA_AUTHORITY_CREATE, "authority:x", resource=Resource(profile="sub/operator"))
    with pytest.raises(NeedsVotes) as waiting:
        async with bench.services.audit.act(act, order=Order({"id": "x"})):
            raise AssertionError("allowed")
    proposal = await bench.ports.store.get_proposal(ProposalId(waiting.value.proposal))
    for officer in officers:
        await bench.services.approvals.vote(officer, proposal.id, proposal.digest, is_for=True)
    stuck = await bench.ports.store.get_proposal(proposal.id)
    assert stuck.state is ProposalState.APPROVED
    assert "broken" in stuck.outcome
    bench.clock.advance(timedelta(hours=1))
    await bench.services.approvals.carry_out_due()
    assert await bench.ports.store.list_authorities() == ()
