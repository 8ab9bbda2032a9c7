"""Who may revoke what, what it says afterwards, and what falls with it."""

from datetime import timedelta

import pytest

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import AuthorityId, AuthorityState, Certificate, CertificateEventKind, CertificateId, Outcome, ProfileId
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, NotAuthorised, NotFound, Refused
from chargepki.ports import CertificateStatusChanged, Event
from chargepki.services.audit import Caller
from chargepki.services.authorities import NewAuthority
from chargepki.services.revocation import IMPACT_COUNT_MAX, NOTE_CHARACTERS_MAX
from chargepki.testing.workbench import ADMIN, Workbench, limited
from tests.unit.services.status_bench import ROOT, SUB, issue


async def certificate_of(bench: Workbench, id: AuthorityId) -> CertificateId:
    return (await bench.services.authorities.view(id)).authority.certificate


@pytest.mark.clause("RFC 5280 5.3.1")
async def test_a_revocation_is_an_event_an_audit_entry_and_a_message(bench: Workbench) -> None:
    heard: list[Event] = []
    bench.ports.notifier.subscribe(heard.append)
    certificate = await issue(bench)
    heard.clear()
    event = await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE, note="stolen")
    assert (event.kind, event.reason, event.at, event.actor) == (
        CertificateEventKind.REVOKED,
        RevocationReason.KEY_COMPROMISE,
        bench.clock.now(),
        ADMIN.actor.id,
    )
    assert await bench.ports.store.list_certificate_events(certificate.id) == (event,)
    assert heard == [CertificateStatusChanged(event, None)]
    (entry, *_) = (await bench.ports.store.list_audit(object=f"certificate:{certificate.id}", action="certificate:object:revoke")).items
    assert entry.outcome is Outcome.DONE
    assert b'"reason":"keyCompromise"' in entry.body
    assert f"{certificate.serial:x}".encode() in entry.body


async def test_nobody_revokes_twice(bench: Workbench) -> None:
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.SUPERSEDED)
    with pytest.raises(Conflict, match=r"revoked since .* \(superseded\)"):
        await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    assert len(await bench.ports.store.list_certificate_events(certificate.id)) == 1


@pytest.mark.clause("RFC 5280 5.3.1")
async def test_a_hold_is_released_or_becomes_final(bench: Workbench) -> None:
    revocation, released, ended = bench.services.revocation, await issue(bench, "a.example.org"), await issue(bench, "b.example.org")
    for certificate in (released, ended):
        held = await revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.CERTIFICATE_HOLD)
        assert held.kind is CertificateEventKind.HELD
    with pytest.raises(Conflict, match="held since"):
        await revocation.revoke(ADMIN, released.id, reason=RevocationReason.CERTIFICATE_HOLD)
    assert (await revocation.release(ADMIN, released.id)).kind is CertificateEventKind.RELEASED
    final = await revocation.revoke(ADMIN, ended.id, reason=RevocationReason.KEY_COMPROMISE)
    assert final.kind is CertificateEventKind.REVOKED
    for certificate, state in ((released, "released"), (ended, "revoked"), (await issue(bench, "c.example.org"), "good")):
        with pytest.raises(Conflict, match=f"is {state}, not held"):
            await revocation.release(ADMIN, certificate.id)
    again = await revocation.revoke(ADMIN, released.id, reason=RevocationReason.SUPERSEDED)
    assert again.kind is CertificateEventKind.REVOKED


@pytest.mark.parametrize(
    ("reason", "note", "codes"),
    [
        (RevocationReason.CA_COMPROMISE, "", ["revocation.reason.ca_compromise"]),
        (RevocationReason.AA_COMPROMISE, "x" * (NOTE_CHARACTERS_MAX + 1), ["revocation.reason.aa_compromise", "revocation.note"]),
    ],
)
async def test_reasons_that_do_not_fit_are_refused_with_all_findings(
    bench: Workbench, reason: RevocationReason, note: str, codes: list[str]
) -> None:
    certificate = await issue(bench)
    with pytest.raises(Refused) as refusal:
        await bench.services.revocation.revoke(ADMIN, certificate.id, reason=reason, note=note)
    assert [finding.code for finding in refusal.value.findings] == codes
    assert await bench.ports.store.list_certificate_events(certificate.id) == ()


async def test_a_revoked_authority_is_retired_with_it(bench: Workbench) -> None:
    sub = await certificate_of(bench, SUB)
    with pytest.raises(Refused, match="cannot be put on hold"):
        await bench.services.revocation.revoke(ADMIN, sub, reason=RevocationReason.CERTIFICATE_HOLD)
    event = await bench.services.revocation.revoke(ADMIN, sub, reason=RevocationReason.CA_COMPROMISE)
    assert event.issuer == ROOT
    assert (await bench.ports.store.get_authority(SUB)).state is AuthorityState.RETIRED


async def test_a_root_is_not_revoked_by_itself(bench: Workbench) -> None:
    with pytest.raises(Refused, match="nobody can revoke a root"):
        await bench.services.revocation.revoke(ADMIN, await certificate_of(bench, ROOT), reason=RevocationReason.CA_COMPROMISE)
    assert (await bench.ports.store.get_authority(ROOT)).state is AuthorityState.ACTIVE


async def test_an_expired_certificate_may_be_revoked_and_the_entry_says_so(bench: Workbench) -> None:
    certificate = await issue(bench)
    bench.clock.set(certificate.not_after + timedelta(days=1))
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    (entry, *_) = (await bench.ports.store.list_audit(object=f"certificate:{certificate.id}", action="certificate:object:revoke")).items
    assert b"revocation.expired" in entry.body


async def test_a_serial_number_is_enough(bench: Workbench) -> None:
    certificate = await issue(bench)
    event = await bench.services.revocation.revoke_by_serial(ADMIN, SUB, certificate.serial, reason=RevocationReason.SUPERSEDED)
    assert event.certificate == certificate.id
    with pytest.raises(NotFound):
        await bench.services.revocation.revoke_by_serial(ADMIN, ROOT, certificate.serial, reason=RevocationReason.SUPERSEDED)


async def test_who_may_not_is_refused_on_record(bench: Workbench) -> None:
    certificate = await issue(bench)
    reader = Caller(limited("reader", frozenset({"certificate:object:read"})), door="test")
    with pytest.raises(NotAuthorised):
        await bench.services.revocation.revoke(reader, certificate.id, reason=RevocationReason.SUPERSEDED)
    with pytest.raises(NotAuthorised):
        await bench.services.revocation.revoke_by_serial(reader, SUB, certificate.serial, reason=RevocationReason.SUPERSEDED)
    (entry, *_) = (await bench.ports.store.list_audit(actor=reader.actor.id)).items
    assert entry.outcome is Outcome.REFUSED
    assert await bench.ports.store.list_certificate_events(certificate.id) == ()


async def test_the_impact_counts_the_whole_tree_below(bench: Workbench) -> None:
    deeper = NewAuthority(AuthorityId("region"), ProfileId("sub/operator"), ROOT, KeySpec.P256, "DEVELOPMENT Region", "demo-cpo")
    await bench.services.authorities.create(ADMIN, deeper)
    leaves: list[Certificate] = [await issue(bench, f"h{n}.example.org", issuer=SUB) for n in range(2)]
    leaves.append(await issue(bench, "h3.example.org", issuer=AuthorityId("region")))
    await bench.services.revocation.revoke(ADMIN, leaves[0].id, reason=RevocationReason.SUPERSEDED)
    sub = await bench.services.revocation.impact(ADMIN, await certificate_of(bench, SUB))
    assert (sub.authorities, sub.certificates, sub.is_complete) == ((SUB,), 1, True)
    root = await bench.services.revocation.impact(ADMIN, await certificate_of(bench, ROOT))
    assert set(root.authorities) == {ROOT, SUB, AuthorityId("region")}
    assert root.certificates == 2 + 1 + 1  # two sub-CAs, a valid leaf of each
    leaf = await bench.services.revocation.impact(ADMIN, leaves[1].id)
    assert (leaf.authorities, leaf.certificates) == ((), 0)
    assert root.certificates < IMPACT_COUNT_MAX
