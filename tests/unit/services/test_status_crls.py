"""CRLs over the real store and vault: numbered, complete, soon after a change, and never in the way of each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import AuthorityId, Crl, ProfileId
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, NotAuthorised, NotFound, StoreUnavailable
from chargepki.ports import AddCrl, Change, SigningOrder
from chargepki.services.audit import Caller
from chargepki.services.authorities import NewAuthority
from chargepki.services.crls import CrlPublisher
from chargepki.services.status import Status
from chargepki.testing.workbench import ADMIN, Workbench, limited
from tests.protocols.plain_server import run
from tests.unit.services.status_bench import ROOT, SUB, at_real_time, issue


def serials(crl: Crl) -> set[int]:
    return {entry.serial_number for entry in x509.load_der_x509_crl(crl.der)}


@asynccontextmanager
async def running(status: Status) -> AsyncIterator[None]:
    task = asyncio.create_task(status.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - health() is read from outside, as an operator reads it
            await asyncio.sleep(0.02)


def number(bench: Workbench, id: AuthorityId = SUB) -> int:
    return next((a.crl_number or 0 for a in bench.services.status.health().authorities if a.id == id), 0)


def problem(bench: Workbench, id: AuthorityId) -> str:
    return next((a.problem for a in bench.services.status.health().authorities if a.id == id), "")


@pytest.mark.clause("RFC 5280 5.2.3")
async def test_numbers_go_up_by_one_and_the_list_is_committed_with_its_entry(bench: Workbench) -> None:
    first = await bench.services.status.current_crl(SUB)
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    second = await bench.services.status.publish_crl(SUB, ADMIN)
    assert (first.number, second.number) == (1, 2)
    assert (serials(first), serials(second)) == (set(), {certificate.serial})
    assert await bench.ports.store.lookup_latest_crl(SUB) == second
    assert await bench.services.status.current_crl(SUB) == second
    (entry, *_) = (await bench.ports.store.list_audit(object=f"authority:{SUB}", action="ca:crl:issue")).items
    assert b'"number":2' in entry.body
    assert entry.actor == ADMIN.actor.id


async def test_released_certificates_leave_the_list(bench: Workbench) -> None:
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.CERTIFICATE_HOLD)
    assert serials(await bench.services.status.publish_crl(SUB)) == {certificate.serial}
    await bench.services.revocation.release(ADMIN, certificate.id)
    assert serials(await bench.services.status.publish_crl(SUB)) == set()


@pytest.mark.clause("RFC 5280 3.3")
async def test_an_expired_certificate_stands_in_one_more_list(bench: Workbench) -> None:
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    bench.clock.set(certificate.not_after - timedelta(minutes=1))
    await bench.services.status.publish_crl(SUB)
    bench.clock.set(certificate.not_after + timedelta(hours=1))
    assert serials(await bench.services.status.publish_crl(SUB)) == {certificate.serial}
    bench.clock.advance(timedelta(days=2))
    await bench.services.status.publish_crl(SUB)
    assert serials(await bench.services.status.publish_crl(SUB)) == set()


async def test_two_nodes_never_give_the_same_number_twice(bench: Workbench) -> None:
    audit = bench.services.audit
    nodes = [CrlPublisher(bench.ports, audit, bench.services.authorities, timedelta(days=1)) for _ in range(3)]
    crls = await asyncio.gather(*(node.publish(SUB) for node in nodes))
    assert sorted(crl.number for crl in crls) == [1, 2, 3]


async def test_a_number_that_is_always_taken_is_a_conflict_on_record(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = bench.ports.store.commit

    async def taken(*changes: Change) -> None:
        if any(isinstance(change, AddCrl) for change in changes):
            raise Conflict.because("crl.number", "taken")
        await commit(*changes)

    monkeypatch.setattr(bench.ports.store, "commit", taken)
    with pytest.raises(Conflict):
        await bench.services.status.publish_crl(SUB)
    (entry, *_) = (await bench.ports.store.list_audit(object=f"authority:{SUB}", action="ca:crl:issue")).items
    assert entry.outcome == "refused"


async def test_who_may_not_publish_is_refused_and_an_unknown_authority_is_not_found(bench: Workbench) -> None:
    reader = Caller(limited("reader", frozenset({"ca:authority:read"})))
    with pytest.raises(NotAuthorised):
        await bench.services.status.publish_crl(SUB, reader)
    with pytest.raises(NotFound):
        await bench.services.status.current_crl(AuthorityId("nobody"))


async def test_the_runner_publishes_for_everyone_at_start_and_within_a_second_after_a_change(bench: Workbench) -> None:
    certificates = [await issue(bench, f"h{n}.example.org") for n in range(3)]
    async with running(bench.services.status):
        await until(lambda: all(number(bench, a) == 1 for a in (ROOT, SUB, AuthorityId("manufacturer-sub"))))
        for certificate in certificates:
            await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.SUPERSEDED)
        await until(lambda: number(bench) == 2)
        assert serials(await bench.services.status.current_crl(SUB)) == {c.serial for c in certificates}, "a burst shares one list"
        assert number(bench, ROOT) == 1
        assert bench.services.status.health().is_well


async def test_a_crash_between_revocation_and_list_is_made_good_at_the_next_start(bench: Workbench) -> None:
    await bench.services.status.publish_crl(SUB)
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    audit = bench.services.audit
    crls = CrlPublisher(bench.ports, audit, bench.services.authorities, timedelta(days=1))
    restarted = Status(bench.ports, bench.services.authorities, crls, bench.services.status._responders, bench.services.status._settings)
    async with running(restarted):
        await until(lambda: any(a.id == SUB and a.crl_number == 2 for a in restarted.health().authorities))
    assert serials(await restarted.current_crl(SUB)) == {certificate.serial}


async def test_a_list_is_replaced_at_half_of_its_life(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepki.services.status.IDLE_SECONDS", 0.05)
    async with running(bench.services.status):
        await until(lambda: number(bench) == 1)
        bench.clock.advance(timedelta(hours=11, minutes=59))
        await asyncio.sleep(0.2)
        assert number(bench) == 1
        bench.clock.advance(timedelta(minutes=1))
        await until(lambda: number(bench) == 2)


async def test_a_new_authority_is_taken_in_and_a_lost_vault_stops_nobody_else(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chargepki.services.status.IDLE_SECONDS", 0.05)
    sign, is_lost, sub = bench.ports.vault.sign, True, (await bench.services.authorities.view(SUB)).authority.key

    async def flaky(order: SigningOrder) -> bytes:
        if is_lost and order.key == sub:
            raise StoreUnavailable("the token was pulled out")
        return await sign(order)

    monkeypatch.setattr(bench.ports.vault, "sign", flaky)
    async with running(bench.services.status):
        await until(lambda: number(bench, ROOT) == 1 and problem(bench, SUB) == "the token was pulled out")
        assert next(a for a in bench.services.status.health().authorities if a.id == SUB).is_stale
        assert not bench.services.status.health().is_well
        region = NewAuthority(AuthorityId("region"), ProfileId("sub/operator"), ROOT, KeySpec.P256, "DEVELOPMENT Region", "demo-cpo")
        await bench.services.authorities.create(ADMIN, region)
        await until(lambda: number(bench, AuthorityId("region")) == 1)
        is_lost = False
        await until(lambda: number(bench) == 1 and bench.services.status.health().is_well)


async def test_an_ended_authority_is_left_in_peace(bench: Workbench) -> None:
    bench.clock.set((await bench.services.authorities.view(SUB)).not_after)
    async with running(bench.services.status):
        await until(lambda: number(bench, ROOT) == 1)
        assert number(bench) == 0
    assert SUB not in {a.id for a in bench.services.status.health().authorities}


async def test_openssl_refuses_the_revoked_one_of_two(bench: Workbench, tmp_path: Path) -> None:
    at_real_time(bench)
    good, bad = await issue(bench, "good.example.org"), await issue(bench, "bad.example.org")
    await bench.services.revocation.revoke(ADMIN, bad.id, reason=RevocationReason.KEY_COMPROMISE)
    (tmp_path / "crl.pem").write_bytes(
        x509.load_der_x509_crl((await bench.services.status.publish_crl(SUB)).der).public_bytes(Encoding.PEM)
    )
    view = await bench.services.authorities.view(SUB)
    _write(tmp_path / "sub.pem", view.chain[0])
    _write(tmp_path / "root.pem", view.chain[1])
    files = ("-CRLfile", tmp_path / "crl.pem", "-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "sub.pem")
    verdicts = []
    for certificate in (good, bad):
        path = _write(tmp_path / f"{certificate.id}.pem", certificate.der)
        verdicts.append(await run("openssl", "verify", "-crl_check", *map(str, files), str(path)))
    assert verdicts[0][0] == 0, verdicts[0][1]
    assert verdicts[1][0] != 0
    assert "certificate revoked" in verdicts[1][1]


def _write(path: Path, certificate: bytes) -> Path:
    path.write_bytes(x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM))
    return path
