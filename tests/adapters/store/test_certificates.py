"""Authorities, intents, certificates, their events and CRLs, on every store."""

from dataclasses import replace

import pytest

from chargepki.adapters.store import SqlStore
from chargepki.core.records import (
    AuthorityId,
    AuthorityState,
    CertificateEventKind,
    CertificateId,
    CertificateQuery,
    IntentId,
    KeyRef,
    KeyState,
    PartyId,
    ProfileId,
    StandingId,
    StationId,
)
from chargepki.core.revocation import Revoked
from chargepki.errors import Conflict, NotFound, Refused
from chargepki.ports import (
    AddAuthority,
    AddCertificate,
    AddCertificateEvent,
    AddCrl,
    AddIntent,
    AddKeyRecord,
    ClaimKey,
    CloseIntent,
    SetAuthorityState,
    SetKeyState,
)
from tests.adapters.store.facts import (
    DAY,
    HOUR,
    NOW,
    OTHER_SUB,
    SECOND,
    SUB,
    authority,
    certificate,
    crl,
    digest,
    event,
    intent,
    issue,
    key_record,
    revoke,
)
from tests.adapters.store.refusals import conflict

HELD, RELEASED, REVOKED = CertificateEventKind.HELD, CertificateEventKind.RELEASED, CertificateEventKind.REVOKED


async def test_an_authority_and_its_own_certificate_are_written_together(store: SqlStore) -> None:
    root, own = authority("operator-root", parent=None), certificate(1, AuthorityId("operator-root"))
    await store.commit(AddAuthority(root), *issue(own))
    assert await store.get_authority(root.id) == root
    assert await store.get_certificate(own.id) == own


async def test_authorities_come_oldest_first(store: SqlStore) -> None:
    root, sub = authority("z-root", parent=None), authority("a-sub", parent="z-root")
    await store.commit(AddAuthority(root))
    await store.commit(AddAuthority(sub))
    assert await store.list_authorities() == (root, sub)


async def test_an_authority_id_is_given_once(store: SqlStore) -> None:
    await store.commit(AddAuthority(authority()))
    with conflict("store.authority.exists"):
        await store.commit(AddAuthority(authority()))


async def test_an_authority_can_retire(store: SqlStore) -> None:
    await store.commit(AddAuthority(authority()))
    await store.commit(SetAuthorityState(SUB, AuthorityState.RETIRED))
    assert (await store.get_authority(SUB)).state is AuthorityState.RETIRED
    with conflict("store.authority.unknown"):
        await store.commit(SetAuthorityState(OTHER_SUB, AuthorityState.RETIRED))


async def test_what_is_not_there_is_said_to_be_missing(store: SqlStore) -> None:
    with pytest.raises(NotFound, match="there is no authority nowhere"):
        await store.get_authority(AuthorityId("nowhere"))
    with pytest.raises(NotFound, match="there is no certificate crt_0"):
        await store.get_certificate(CertificateId("crt_0"))
    assert await store.lookup_certificate_by_serial(SUB, 1) is None
    assert await store.lookup_certificate_by_intent(IntentId("int_0")) is None
    assert await store.lookup_latest_crl(SUB) is None
    assert await store.lookup_status(SUB, 1) == (False, None)
    assert await store.latest_events([]) == {}


async def test_a_certificate_is_found_by_id_serial_number_and_intent(store: SqlStore) -> None:
    issued = replace(certificate(1), key=KeyRef("key-1"))
    await store.commit(AddIntent(intent(1)))
    await store.commit(AddCertificate(issued))
    assert await store.get_certificate(issued.id) == issued
    assert await store.lookup_certificate_by_serial(SUB, issued.serial) == issued
    assert await store.lookup_certificate_by_serial(OTHER_SUB, issued.serial) is None
    assert await store.lookup_certificate_by_intent(issued.intent) == issued


@pytest.mark.parametrize("serial", [1, 0x7F, 2**159 - 1])
async def test_a_serial_number_comes_back_at_any_length(store: SqlStore, serial: int) -> None:
    issued = replace(certificate(1), serial=serial)
    await store.commit(*issue(issued))
    assert (await store.get_certificate(issued.id)).serial == serial
    assert await store.lookup_status(SUB, serial) == (True, None)


@pytest.mark.parametrize("serial", [-1, 2**160, 2**1000])
async def test_a_serial_number_that_cannot_be_ours_is_unknown(store: SqlStore, serial: int) -> None:
    assert await store.lookup_status(SUB, serial) == (False, None)
    assert await store.lookup_certificate_by_serial(SUB, serial) is None


@pytest.mark.clause("RFC 5280 4.1.2.2")
async def test_a_serial_number_is_used_once_per_issuer(store: SqlStore) -> None:
    await store.commit(AddIntent(intent(1)))
    with conflict("store.serial.used"):
        await store.commit(AddIntent(replace(intent(1), id=IntentId("int_again"))))
    with conflict("store.intent.exists"):
        await store.commit(AddIntent(replace(intent(1), serial=7)))
    await store.commit(AddIntent(replace(intent(1, OTHER_SUB), serial=intent(1).serial)))


async def test_a_certificate_closes_its_intent(store: SqlStore) -> None:
    await store.commit(AddIntent(intent(1)), AddIntent(intent(2)))
    await store.commit(AddCertificate(certificate(1)))
    assert (await store.list_open_intents(before=NOW + SECOND)).items == (intent(2),)


async def test_an_intent_leads_to_one_certificate(store: SqlStore) -> None:
    await store.commit(AddIntent(intent(1)), AddIntent(intent(2)))
    await store.commit(AddCertificate(certificate(1)))
    with conflict("store.intent.used"):
        await store.commit(AddCertificate(replace(certificate(2), intent=intent(1).id)))
    with conflict("store.certificate.exists"):
        await store.commit(AddCertificate(replace(certificate(1), id=CertificateId("crt_twin"), intent=intent(2).id)))
    assert (await store.list_open_intents(before=NOW + SECOND)).items == (intent(2),)


async def test_no_certificate_without_an_open_intent(store: SqlStore) -> None:
    with conflict("store.intent.not_open"):
        await store.commit(AddCertificate(certificate(1)))
    await store.commit(AddIntent(intent(1)))
    await store.commit(CloseIntent(intent(1).id, "abandoned", NOW))
    with conflict("store.intent.not_open"):
        await store.commit(AddCertificate(certificate(1)))
    assert await store.lookup_certificate_by_intent(intent(1).id) is None


async def test_an_intent_is_closed_once(store: SqlStore) -> None:
    await store.commit(AddIntent(intent(1)))
    await store.commit(CloseIntent(intent(1).id, "the vault refused", NOW))
    assert (await store.list_open_intents(before=NOW + DAY)).items == ()
    with conflict("store.intent.not_open"):
        await store.commit(CloseIntent(intent(1).id, "again", NOW))


async def test_open_intents_are_those_begun_before_a_time_oldest_first(store: SqlStore) -> None:
    old, older, fresh = intent(1, created_at=NOW - HOUR), intent(2, created_at=NOW - DAY), intent(3, created_at=NOW)
    await store.commit(AddIntent(old), AddIntent(older), AddIntent(fresh))
    assert (await store.list_open_intents(before=NOW)).items == (older, old)


async def test_the_status_is_the_newest_event(store: SqlStore) -> None:
    issued = certificate(1)
    held, released, revoked = event(issued, 1, HELD), event(issued, 2, RELEASED), event(issued, 3, REVOKED)
    await store.commit(*issue(issued))
    assert await store.lookup_status(SUB, issued.serial) == (True, None)
    for happened, after in ((held, None), (released, held.id), (revoked, released.id)):
        await store.commit(AddCertificateEvent(happened, after))
        assert await store.lookup_status(SUB, issued.serial) == (True, happened)
    assert await store.list_certificate_events(issued.id) == (held, released, revoked)
    assert await store.latest_events([issued.id, CertificateId("crt_0")]) == {issued.id: revoked}


async def test_an_event_follows_the_one_its_writer_saw(store: SqlStore) -> None:
    issued = certificate(1)
    await store.commit(*issue(issued))
    await store.commit(AddCertificateEvent(event(issued, 1, HELD), None))
    with conflict("store.certificate.changed"):
        await store.commit(AddCertificateEvent(event(issued, 2), None))
    await store.commit(AddCertificateEvent(event(issued, 2, RELEASED), event(issued, 1).id))
    with conflict("store.certificate.changed"):
        await store.commit(AddCertificateEvent(event(issued, 3), event(issued, 1).id))
    with conflict("store.certificate.changed"):
        await store.commit(AddCertificateEvent(event(issued, 3), "evt_unknown"))


async def test_an_event_needs_its_certificate(store: SqlStore) -> None:
    with conflict("store.certificate.unknown"):
        await store.commit(revoke(certificate(1)))
    await store.commit(*issue(certificate(1)))
    with conflict("store.certificate.unknown"):
        await store.commit(revoke(replace(certificate(1), serial=99)))


async def test_a_key_has_one_owner_for_ever(store: SqlStore) -> None:
    key = digest("key")
    await store.commit(ClaimKey(key, "station:CS-17", NOW))
    await store.commit(ClaimKey(key, "station:CS-17", NOW + DAY))
    with pytest.raises(Conflict, match=r"store\.key\.claimed: this public key belongs to station:CS-17"):
        await store.commit(ClaimKey(key, "station:CS-18", NOW))
    assert await store.lookup_key_owner(key) == "station:CS-17"
    assert await store.lookup_key_owner(digest("another")) is None


@pytest.mark.clause("RFC 5280 5.2.3")
async def test_crl_numbers_never_go_back(store: SqlStore) -> None:
    await store.commit(AddCrl(crl(1)))
    await store.commit(AddCrl(crl(5)), AddCrl(crl(1, OTHER_SUB)))
    for number in (5, 4, 1):
        with conflict("store.crl.number"):
            await store.commit(AddCrl(crl(number)))
    assert await store.lookup_latest_crl(SUB) == crl(5)
    assert await store.lookup_latest_crl(OTHER_SUB) == crl(1, OTHER_SUB)


async def test_the_revoked_come_in_the_order_of_their_events(store: SqlStore) -> None:
    first, second, released, good, ended = (certificate(n) for n in range(1, 6))
    ended = replace(ended, not_after=NOW - SECOND)
    foreign = certificate(9, OTHER_SUB)
    await store.commit(*issue(first, second, released, good, ended, foreign))
    await store.commit(revoke(second))
    await store.commit(AddCertificateEvent(event(first, 1, HELD), None), AddCertificateEvent(event(released, 1, HELD), None))
    await store.commit(AddCertificateEvent(event(released, 2, RELEASED), event(released, 1).id), revoke(ended), revoke(foreign))
    await store.commit(AddCertificateEvent(event(first, 2), event(first, 1).id))

    seen = [revoked async for revoked in store.stream_revoked(SUB, not_after_from=NOW)]
    assert seen == [Revoked(second.serial, NOW, event(second).reason), Revoked(first.serial, NOW, event(first, 2).reason)]


async def test_a_walk_over_the_revoked_sees_one_state(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held when the walk begins, revoked while it runs: the serial number appears once all the same."""
    issued = [certificate(n) for n in range(12_000)]
    await store.commit(*issue(*issued))
    await store.commit(*(AddCertificateEvent(event(each, 1, HELD), None) for each in issued))

    seen = []
    async for revoked in store.stream_revoked(SUB, not_after_from=NOW):
        if not seen:
            await store.commit(AddCertificateEvent(event(issued[0], 2), event(issued[0], 1).id))
        seen.append(revoked.serial)
    assert seen == [each.serial for each in issued]


async def test_a_walk_that_is_given_up_frees_its_connection(store: SqlStore) -> None:
    await store.commit(*issue(certificate(1)), revoke(certificate(1)))
    for _ in range(20):
        walk = store.stream_revoked(SUB, not_after_from=NOW)
        assert (await anext(walk)).serial == certificate(1).serial
        await walk.aclose()


async def test_certificates_are_listed_by_what_they_are(store: SqlStore) -> None:
    mine, other, expired, revoked, held = (certificate(n) for n in range(1, 6))
    expired = replace(expired, not_after=NOW - DAY, profile=ProfileId("backend/tls-server"), subject="CN=50%_of.example.org", station=None)
    foreign = certificate(6, OTHER_SUB)
    await store.commit(*issue(mine, other, expired, revoked, held, foreign))
    await store.commit(revoke(revoked), AddCertificateEvent(event(held, 1, HELD), None))

    async def found(query: CertificateQuery) -> list[CertificateId]:
        return [each.id for each in (await store.list_certificates(query, now=NOW)).items]

    everything = [each.id for each in (foreign, held, revoked, expired, other, mine)]
    assert await found(CertificateQuery()) == everything
    assert await found(CertificateQuery(station=StationId("CS-1"))) == [mine.id]
    assert await found(CertificateQuery(issuer=OTHER_SUB)) == [foreign.id]
    assert await found(CertificateQuery(profile=ProfileId("backend/tls-server"))) == [expired.id]
    assert await found(CertificateQuery(spki_sha256=other.spki_sha256)) == [other.id]
    assert await found(CertificateQuery(expires_before=NOW)) == [expired.id]
    assert await found(CertificateQuery(state="revoked")) == [held.id, revoked.id]
    assert await found(CertificateQuery(state="expired")) == [expired.id]
    assert await found(CertificateQuery(state="valid")) == [foreign.id, other.id, mine.id]
    assert await found(CertificateQuery(state="valid", issuer=SUB, station=StationId("CS-1"))) == [mine.id]
    assert await found(CertificateQuery(text="sn-0002")) == [other.id]
    assert await found(CertificateQuery(text="%_OF")) == [expired.id]
    assert await found(CertificateQuery(text=f"{other.serial:x}")) == [other.id]
    assert await found(CertificateQuery(text=":".join(f"{octet:02X}" for octet in other.serial.to_bytes(20, "big")))) == [other.id]
    assert await found(CertificateQuery(text="no such thing \0")) == []
    with pytest.raises(Refused, match=r"certificate\.query\.state"):
        await found(CertificateQuery(state="lost"))


async def test_a_released_certificate_is_valid_again(store: SqlStore) -> None:
    issued = certificate(1)
    await store.commit(*issue(issued))
    await store.commit(AddCertificateEvent(event(issued, 1, HELD), None))
    await store.commit(AddCertificateEvent(event(issued, 2, RELEASED), event(issued, 1).id))
    assert (await store.list_certificates(CertificateQuery(state="valid"), now=NOW)).items == (issued,)
    assert (await store.list_certificates(CertificateQuery(state="revoked"), now=NOW)).items == ()


async def test_a_key_is_in_the_register_once_and_its_state_follows_the_one_that_was_read(store: SqlStore) -> None:
    first, second = key_record("key-1"), replace(key_record("key-2"), attestation=b"")
    await store.commit(AddKeyRecord(first))
    await store.commit(AddKeyRecord(second))
    with conflict("store.key.exists"):
        await store.commit(AddKeyRecord(first))
    await store.commit(SetKeyState(first.ref, KeyState.ACTIVE, KeyState.PENDING, NOW + DAY))
    with conflict("store.key.changed"):
        await store.commit(SetKeyState(first.ref, KeyState.DESTROYED, KeyState.PENDING, NOW + DAY))
    with conflict("store.key.unknown"):
        await store.commit(SetKeyState(KeyRef("key-9"), KeyState.ACTIVE, KeyState.PENDING, NOW))
    active = replace(first, state=KeyState.ACTIVE, changed_at=NOW + DAY)
    assert await store.get_key_record(first.ref) == active
    assert (await store.list_key_records()).items == (active, second)
    with pytest.raises(NotFound, match="there is no key key-9"):
        await store.get_key_record(KeyRef("key-9"))


async def test_whose_it_is_and_what_stood_in_for_a_vote_are_kept(store: SqlStore) -> None:
    mine = replace(certificate(1), party=PartyId("demo-cpo"), standing=StandingId("sta_1"))
    begun, sub = replace(intent(2), party=PartyId("demo-cpo")), replace(authority(), party=PartyId("demo-cpo"))
    await store.commit(*issue(mine), AddIntent(begun), AddAuthority(sub))
    assert await store.get_certificate(mine.id) == mine
    assert await store.get_authority(sub.id) == sub
    assert (await store.list_open_intents(before=NOW + DAY)).items == (begun,)
