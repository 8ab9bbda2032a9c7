"""OCSP answers over the real store and vault: true, fresh, quick to change."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

from chargepki.core import der, oids
from chargepki.core.ocsp import HASH_OIDS, MALFORMED_REQUEST, UNAUTHORIZED, IssuerHashes, cert_id_hashes
from chargepki.core.profiles.status import OCSP_RESPONDER
from chargepki.core.records import AuthorityId, CertificateEvent, CertificateQuery
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Broken, Refused, StoreUnavailable
from chargepki.services.answer_cache import AnswerCache, OcspAnswer
from chargepki.services.responders import IssuedResponders
from chargepki.services.status import StatusSettings
from chargepki.testing.workbench import ADMIN, Workbench
from tests.unit.services.status_bench import SUB, ask, ask_status, issue, request_for


@pytest.mark.clause("RFC 6960 2.2")
async def test_good_becomes_revoked_at_once_also_where_good_was_in_memory(bench: Workbench) -> None:
    certificate = await issue(bench)
    for nonce in (None, None, b"n" * 32):
        assert await ask_status(bench, certificate, nonce=nonce) == "GOOD"
    event = await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.CESSATION_OF_OPERATION)
    for nonce in (None, None, b"n" * 32):
        response = await ask(bench, certificate, nonce=nonce)
        assert response.certificate_status is ocsp.OCSPCertStatus.REVOKED
        assert (response.revocation_time_utc, response.revocation_reason) == (event.at, x509.ReasonFlags.cessation_of_operation)


async def test_a_hold_is_told_and_a_release_takes_it_back(bench: Workbench) -> None:
    certificate = await issue(bench)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.CERTIFICATE_HOLD)
    assert (await ask(bench, certificate)).revocation_reason is x509.ReasonFlags.certificate_hold
    await bench.services.revocation.release(ADMIN, certificate.id)
    assert await ask_status(bench, certificate) == "GOOD"


@pytest.mark.clause("RFC 6960 2.2", "RFC 6960 2.3")
async def test_unknown_serials_are_unknown_and_unknown_issuers_are_unauthorized(bench: Workbench) -> None:
    certificate = await issue(bench)
    request = await request_for(bench, certificate)
    for serial in (certificate.serial + 1, 0, -5, 2**167 - 1):
        other = _with_serial(request, serial)
        assert _status(await bench.services.status.answer(other)) == "UNKNOWN"
    stranger = request.replace((await _hashes(bench, SUB)).key, b"?" * 32)
    assert (await bench.services.status.answer(stranger)).der == UNAUTHORIZED
    assert (await bench.services.status.answer(b"nonsense")).der == MALFORMED_REQUEST


async def test_an_answer_in_memory_is_the_same_octets_and_counts(bench: Workbench) -> None:
    certificate = await issue(bench)
    request = await request_for(bench, certificate)
    first, second = [await bench.services.status.answer(request) for _ in range(2)]
    assert first == second
    assert first.is_cacheable
    respelt = der.sequence(der.sequence(der.explicit(0, der.integer(0)), der.parse_element(request).children()[0].content))
    assert (await bench.services.status.answer(respelt)) == first
    health = bench.services.status.health()
    assert (health.answers_signed, health.answers_from_memory, health.answers_kept) == (1, 2, 1)


@pytest.mark.clause("RFC 6960 4.4.1", "RFC 9654 2.1")
async def test_a_nonce_gets_its_own_answer_that_nobody_keeps(bench: Workbench) -> None:
    certificate = await issue(bench)
    for nonce in (b"a" * 32, b"b" * 128):
        response = await ask(bench, certificate, nonce=nonce)
        assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == nonce
    answer = await bench.services.status.answer(await request_for(bench, certificate, nonce=b"c" * 16))
    assert not answer.is_cacheable
    assert bench.services.status.health().answers_kept == 0


@pytest.mark.clause("RFC 6960 2.4", "RFC 6960 4.2.2.1")
async def test_times_are_now_a_little_before_and_half_a_day_later(bench: Workbench) -> None:
    response, now = await ask(bench, await issue(bench)), bench.clock.now()
    assert response.produced_at_utc == now
    assert response.this_update_utc == now - timedelta(minutes=5)
    assert response.next_update_utc == now + timedelta(hours=12)


async def test_an_answer_is_signed_anew_at_half_of_its_life(bench: Workbench) -> None:
    request = await request_for(bench, await issue(bench))
    first = await bench.services.status.answer(request)
    bench.clock.advance(timedelta(hours=5, minutes=59))
    assert await bench.services.status.answer(request) == first
    bench.clock.advance(timedelta(minutes=1))
    second = await bench.services.status.answer(request)
    assert second.next_update == bench.clock.now() + timedelta(hours=12)


@pytest.mark.clause("RFC 6960 4.2.2.2", "RFC 6960 4.2.2.2.1")
async def test_each_authority_has_its_own_short_lived_responder(bench: Workbench) -> None:
    certificate = await issue(bench)
    response, view = await ask(bench, certificate), await bench.services.authorities.view(SUB)
    (responder,) = response.certificates
    issuer = x509.load_der_x509_certificate(view.certificate_der)
    responder.verify_directly_issued_by(issuer)
    assert list(responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [x509.ExtendedKeyUsageOID.OCSP_SIGNING]
    assert responder.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert responder.not_valid_after_utc - responder.not_valid_before_utc < timedelta(days=91)


async def test_the_certificate_of_a_sub_ca_is_answered_by_its_root(bench: Workbench) -> None:
    sub = await bench.ports.store.get_certificate((await bench.services.authorities.view(SUB)).authority.certificate)
    assert await ask_status(bench, sub) == "GOOD"
    await bench.services.revocation.revoke(ADMIN, sub.id, reason=RevocationReason.CA_COMPROMISE)
    assert await ask_status(bench, sub) == "REVOKED"


@pytest.mark.clause("OCPP M06")
@pytest.mark.parametrize("issuer", ["operator-sub", "operator-rsa-sub"])
async def test_every_authority_answers_to_every_hash(bench: Workbench, issuer: str) -> None:
    certificate = await issue(bench, issuer=AuthorityId(issuer))
    for hash in HASH_OIDS:
        answer = await bench.services.status.answer(await request_for(bench, certificate, hash=hash))
        assert _status(answer) == "GOOD"
        assert len(answer.der) < 4000


async def test_several_items_share_one_answer_and_a_foreign_one_is_unknown(bench: Workbench) -> None:
    ours, foreign = await issue(bench), await issue(bench, "other.example.org", issuer=AuthorityId("operator-rsa-sub"))
    await bench.services.revocation.revoke(ADMIN, ours.id, reason=RevocationReason.SUPERSEDED)
    items = [_item(await request_for(bench, certificate)) for certificate in (ours, foreign)]
    answer = await bench.services.status.answer(der.sequence(der.sequence(der.sequence(*items))))
    assert [r.certificate_status.name for r in ocsp.load_der_ocsp_response(answer.der).responses] == ["REVOKED", "UNKNOWN"]
    assert not answer.is_cacheable


async def test_a_responder_is_found_again_after_a_restart_and_renewed_in_time(bench: Workbench) -> None:
    first = await IssuedResponders(bench.ports, bench.services.authorities, bench.services.issuance).ensure(SUB)
    restarted = IssuedResponders(bench.ports, bench.services.authorities, bench.services.issuance)
    assert await restarted.ensure(SUB) == first
    bench.clock.set(first.renew_from)
    assert await restarted.ensure(SUB) == first, "answering does not wait for a renewal"
    renewed = await restarted.renew(SUB)
    assert renewed.not_after > first.not_after
    assert await restarted.ensure(SUB) == renewed
    query = CertificateQuery(issuer=SUB, profile=OCSP_RESPONDER)
    assert len((await bench.ports.store.list_certificates(query, now=bench.clock.now())).items) == 2


async def test_a_revoked_responder_answers_no_more(bench: Workbench) -> None:
    certificate = await issue(bench)
    (before,) = (await ask(bench, certificate, nonce=b"1" * 16)).certificates
    query = CertificateQuery(issuer=SUB, profile=OCSP_RESPONDER)
    (stored,) = (await bench.ports.store.list_certificates(query, now=bench.clock.now())).items
    await bench.services.revocation.revoke(ADMIN, stored.id, reason=RevocationReason.KEY_COMPROMISE)
    (after,) = (await ask(bench, certificate, nonce=b"2" * 16)).certificates
    assert before != after


async def test_a_status_that_changed_during_its_lookup_is_not_kept(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = await issue(bench)
    await ask(bench, await issue(bench, "another.example.org"))  # the responder is made
    request, lookup = await request_for(bench, certificate), bench.ports.store.lookup_status
    looked_up, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(issuer: AuthorityId, serial: int) -> tuple[bool, CertificateEvent | None]:
        seen = await lookup(issuer, serial)
        looked_up.set()
        await may_go_on.wait()
        return seen

    monkeypatch.setattr(bench.ports.store, "lookup_status", slow)
    pending = asyncio.create_task(bench.services.status.answer(request))
    await asyncio.wait_for(looked_up.wait(), 10)
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    may_go_on.set()
    assert _status(await pending) == "GOOD", "it was asked before the revocation"
    assert _status(await bench.services.status.answer(request)) == "REVOKED"


async def test_what_is_known_of_a_certificate_is_looked_up_again_when_thisupdate_has_passed(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, lookup, lookups = await issue(bench), bench.ports.store.lookup_status, []

    async def counted(issuer: AuthorityId, serial: int) -> tuple[bool, CertificateEvent | None]:
        lookups.append(serial)
        return await lookup(issuer, serial)

    monkeypatch.setattr(bench.ports.store, "lookup_status", counted)
    for seconds, expected in ((0, 1), (299, 1), (1, 2)):
        bench.clock.advance(timedelta(seconds=seconds))
        assert await ask_status(bench, certificate, nonce=b"n" * 32) == "GOOD"
        assert len(lookups) == expected
    await bench.services.revocation.revoke(ADMIN, certificate.id, reason=RevocationReason.SUPERSEDED)
    assert await ask_status(bench, certificate, nonce=b"n" * 32) == "REVOKED"
    assert len(lookups) == 3


async def test_a_lost_store_is_a_breakdown_and_never_good(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = await issue(bench)

    async def lost(*_: object) -> tuple[bool, CertificateEvent | None]:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(bench.ports.store, "lookup_status", lost)
    with pytest.raises(Broken):
        await ask(bench, certificate)
    assert bench.services.status.health().breakdowns == 1


@pytest.mark.parametrize(
    "settings", [{"answer_lifetime": timedelta(days=8)}, {"answer_lifetime": timedelta(0)}, {"crl_lifetime": timedelta(seconds=1)}]
)
def test_lifetimes_have_bounds(settings: dict[str, timedelta]) -> None:
    with pytest.raises(Refused):
        StatusSettings(**settings)


def test_the_least_recently_used_answer_goes_first() -> None:
    cache, now = AnswerCache(answers_max=2, requests_max=3), datetime(2026, 11, 22, tzinfo=UTC)

    def keep(serial: int) -> None:
        later = now + timedelta(hours=1)
        cache.keep(cache.ticket(), (SUB, serial), b"id", b"%d" % serial, OcspAnswer(b"answer %d" % serial), later)

    keep(1)
    keep(2)
    assert cache.find_spelling((SUB, 1), b"id", b"1 again", now) is not None
    keep(3)
    assert [cache.find(request, now) is not None for request in (b"1", b"2", b"1 again", b"3")] == [False, False, True, True]
    assert len(cache) == 2


def test_no_answer_outlives_a_change_that_its_lookup_may_have_missed() -> None:
    cache, now = AnswerCache(), datetime(2026, 11, 22, tzinfo=UTC)
    before = cache.ticket()
    cache.drop((SUB, 7))
    cache.keep(before, (SUB, 7), b"id", b"request", OcspAnswer(b"good"), now + timedelta(hours=1))
    assert cache.find(b"request", now) is None


async def _hashes(bench: Workbench, id: AuthorityId) -> IssuerHashes:
    view = await bench.services.authorities.view(id)
    return cert_id_hashes(view.name_der, view.spki, oids.SHA256)


def _status(answer: OcspAnswer) -> str:
    return ocsp.load_der_ocsp_response(answer.der).certificate_status.name


def _item(request: bytes) -> bytes:
    return der.parse_element(request).children()[0].children()[0].children()[0].raw


def _with_serial(request: bytes, serial: int) -> bytes:
    algorithm, name, key, _ = der.parse_element(_item(request)).children()[0].children()
    return der.sequence(der.sequence(der.sequence(der.sequence(der.sequence(algorithm.raw, name.raw, key.raw, der.integer(serial))))))
