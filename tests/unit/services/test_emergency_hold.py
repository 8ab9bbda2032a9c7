"""An emergency hold: one person at once, a day at most, unless two others say that it lasts. Under production's policy."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog.testing

from chargepki.adapters.telemetry.alarms import sound_alarm
from chargepki.adapters.telemetry.metrics import Metrics
from chargepki.core.access.model import Role, Scope
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import (
    Certificate,
    CertificateEventKind,
    CertificateId,
    Intent,
    IntentId,
    Outcome,
    PartyId,
    ProfileId,
    ProposalId,
    ProposalState,
)
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, NeedsVotes, NotAuthorised, NotFound, Refused
from chargepki.ports import AddCertificate, AddIntent
from chargepki.services.audit import Caller
from chargepki.services.orders import CertificateOrder
from chargepki.services.revocation import EMERGENCY_HOLD
from chargepki.testing.workbench import ADMIN, Workbench, open_workbench
from tests.unit.services.status_bench import SUB, ask_status
from tests.unit.services.status_bench import issue as issue_alone

HELD, RELEASED = CertificateEventKind.HELD, CertificateEventKind.RELEASED


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with open_workbench(tmp_path, policy=PRODUCTION) as opened:
        yield opened


@pytest.fixture
async def sela(production: Workbench) -> Caller:
    return await production.person("sela", Role.SECURITY_OFFICER)


@pytest.fixture
async def others(production: Workbench) -> tuple[Caller, Caller]:
    return await production.person("carl", Role.CA_OFFICER), await production.person("rune", Role.REVOCATION_OFFICER)


async def issue(bench: Workbench) -> Certificate:
    """One of the platform's own: in production nobody else gets one alone."""
    order = CertificateOrder(ProfileId("backend/tls-server"), key_spec=KeySpec.P256, host="csms.example.org", issuer=SUB)
    return (await bench.services.issuance.request(bench.system, order)).certificate


async def add(bench: Workbench, party: str) -> CertificateId:
    now, id = bench.clock.now(), CertificateId(f"crt_{party}")
    intent, profile, sha256 = IntentId(f"int_{party}"), ProfileId("ocpp/station"), b"\1" * 32
    await bench.ports.store.commit(AddIntent(Intent(intent, SUB, 77, sha256, profile, "{}", "test", now, None, PartyId(party))))
    until = now + timedelta(days=365)
    der = (await bench.services.authorities.view(SUB)).certificate_der
    certificate = Certificate(id, SUB, 77, profile, "CN=SN-77", der, sha256, now, until, intent, "test", now, party=PartyId(party))
    await bench.ports.store.commit(AddCertificate(certificate))
    return id


async def kinds(bench: Workbench, id: CertificateId) -> list[CertificateEventKind]:
    return [event.kind for event in await bench.ports.store.list_certificate_events(id)]


async def vote(bench: Workbench, voter: Caller, proposal: str) -> ProposalState:
    found = await bench.ports.store.get_proposal(ProposalId(proposal))
    return (await bench.services.approvals.vote(voter, found.id, found.digest, is_for=True)).proposal.state


async def test_one_person_holds_at_once_and_everybody_is_told(production: Workbench, sela: Caller) -> None:
    metrics, certificate = Metrics(), await issue(production)
    production.ports.notifier.subscribe(metrics.observe)
    production.ports.notifier.subscribe(sound_alarm)
    with structlog.testing.capture_logs() as lines:
        held = await production.services.revocation.hold(sela, certificate.id, note="seen in a list of stolen keys")
    assert held.event.until == production.clock.now() + EMERGENCY_HOLD
    assert await ask_status(production, certificate) == "REVOKED"
    (line,) = lines
    assert (line["log_level"], line["certificate"], line["by"]) == ("critical", certificate.id, sela.actor.id)
    assert b"pki_emergency_holds_total 1.0" in metrics.render()
    (entry,) = (await production.ports.store.list_audit(action="revocation:emergency:suspend", outcome=Outcome.DONE)).items
    assert (entry.object, entry.actor) == (f"certificate:{certificate.id}", sela.actor.id)
    assert b"stolen keys" not in entry.body


async def test_a_day_later_it_is_over(production: Workbench, sela: Caller) -> None:
    certificate = await issue(production)
    await production.services.revocation.hold(sela, certificate.id)
    production.clock.advance(EMERGENCY_HOLD - timedelta(seconds=1))
    assert await production.services.revocation.release_due() == 0
    production.clock.advance(timedelta(seconds=1))
    assert await production.services.revocation.release_due() == 1
    assert await production.services.revocation.release_due() == 0
    events = await production.ports.store.list_certificate_events(certificate.id)
    assert [(e.kind, e.actor) for e in events] == [(HELD, sela.actor.id), (RELEASED, "system")]
    assert await ask_status(production, certificate) == "GOOD"


async def test_two_others_make_it_last(production: Workbench, sela: Caller, others: tuple[Caller, Caller]) -> None:
    certificate = await issue(production)
    held = await production.services.revocation.hold(sela, certificate.id)
    assert await vote(production, others[0], held.proposal) is ProposalState.OPEN
    assert await vote(production, others[1], held.proposal) is ProposalState.EXECUTED
    production.clock.advance(EMERGENCY_HOLD)
    assert await production.services.revocation.release_due() == 0
    assert await kinds(production, certificate.id) == [HELD, HELD]
    assert await ask_status(production, certificate) == "REVOKED"


async def test_whoever_made_it_is_none_of_the_two(production: Workbench, others: tuple[Caller, Caller]) -> None:
    """A CA officer could take a seat, but not about what she did herself: not as proposer, and not by voting."""
    (carl, rune), certificate = others, await issue(production)
    await production.services.revocation.hold(carl, certificate.id)
    with pytest.raises(NeedsVotes) as waits:
        await production.services.revocation.confirm(rune, certificate.id)
    assert waits.value.missing == ("1 who holds revocation:bulk:approve",)
    with pytest.raises(NotAuthorised, match="seat"):
        await vote(production, carl, waits.value.proposal)
    assert await vote(production, await production.person("cora", Role.CA_OFFICER), waits.value.proposal) is ProposalState.EXECUTED


async def test_what_was_agreed_on_is_this_hold_and_no_later_one(production: Workbench, sela: Caller, others: tuple[Caller, Caller]) -> None:
    (carl, rune), certificate = others, await issue(production)
    first = await production.services.revocation.hold(sela, certificate.id)
    await production.services.revocation.release(carl, certificate.id)
    await production.services.revocation.hold(carl, certificate.id)
    await vote(production, carl, first.proposal)
    assert await vote(production, rune, first.proposal) is ProposalState.FAILED
    assert (await production.ports.store.list_certificate_events(certificate.id))[-1].until is not None


async def test_the_same_person_does_not_hold_it_day_after_day(production: Workbench, sela: Caller, others: tuple[Caller, Caller]) -> None:
    certificate = await issue(production)
    await production.services.revocation.hold(sela, certificate.id)
    production.clock.advance(EMERGENCY_HOLD)
    await production.services.revocation.release_due()
    with pytest.raises(Conflict, match="nobody confirmed"):
        await production.services.revocation.hold(sela, certificate.id)
    assert await kinds(production, certificate.id) == [HELD, RELEASED]
    assert (await production.services.revocation.hold(others[0], certificate.id)).event.until is not None


async def test_who_may_only_revoke_does_not_end_it(production: Workbench, sela: Caller) -> None:
    own = Scope(parties=frozenset({"demo-cpo"}))
    requester = await production.person("renate", Role.REQUESTER, party="demo-cpo", scope=own)
    stranger = await production.person("olga", Role.REQUESTER, party="other-cpo", scope=Scope(parties=frozenset({"other-cpo"})))
    id = await add(production, "demo-cpo")
    await production.services.revocation.hold(sela, id)
    with pytest.raises(NotAuthorised, match="revocation:emergency:suspend"):
        await production.services.revocation.release(requester, id)
    with pytest.raises(NotFound):  # as for any certificate of another party
        await production.services.revocation.release(stranger, id)
    with pytest.raises(NotAuthorised):
        await production.services.revocation.hold(requester, id)
    assert await kinds(production, id) == [HELD]
    await production.services.revocation.revoke(requester, id, reason=RevocationReason.KEY_COMPROMISE)  # more is always possible


async def test_what_two_confirmed_one_does_not_end(production: Workbench, sela: Caller, others: tuple[Caller, Caller]) -> None:
    certificate = await issue(production)
    held = await production.services.revocation.hold(sela, certificate.id)
    for voter in others:
        await vote(production, voter, held.proposal)
    with pytest.raises(NeedsVotes) as waits:
        await production.services.revocation.release(sela, certificate.id)
    for voter in others:
        await vote(production, voter, waits.value.proposal)
    assert await kinds(production, certificate.id) == [HELD, HELD, RELEASED]


async def test_there_is_nothing_to_confirm_on_an_ordinary_hold(bench: Workbench) -> None:
    certificate = await issue_alone(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.CERTIFICATE_HOLD)
    with pytest.raises(Conflict, match="no such emergency hold"):
        await bench.services.revocation.confirm(ADMIN, certificate.id)
    with pytest.raises(Conflict, match="held since"):
        await bench.services.revocation.hold(ADMIN, certificate.id)
    await bench.services.revocation.release(ADMIN, certificate.id)


async def test_alone_on_a_development_platform_the_hold_still_ends_unless_confirmed(bench: Workbench) -> None:
    certificate = await issue_alone(bench)
    assert (await bench.services.revocation.hold(ADMIN, certificate.id)).proposal == ""
    await bench.services.revocation.confirm(ADMIN, certificate.id)
    bench.clock.advance(EMERGENCY_HOLD)
    assert await bench.services.revocation.release_due() == 0
    await bench.services.revocation.release(ADMIN, certificate.id)
    assert await kinds(bench, certificate.id) == [HELD, HELD, RELEASED]


async def test_an_authority_is_not_held(production: Workbench, sela: Caller) -> None:
    authority = (await production.services.authorities.view(SUB)).authority
    with pytest.raises(Refused, match="cannot be put on hold"):
        await production.services.revocation.hold(sela, authority.certificate)
