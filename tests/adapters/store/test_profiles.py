"""Versions of profiles, and emergency holds that are due, on every store."""

from dataclasses import replace
from datetime import timedelta

from chargepki.adapters.store import SqlStore
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.model import Narrowing
from chargepki.core.profiles.narrowing import ProfileVersion
from chargepki.core.records import CertificateEventKind, ProfileId, ProposalId
from chargepki.ports import AddCertificateEvent, AddProfileVersion
from tests.adapters.store.facts import DAY, NOW, SECOND, certificate, event, issue
from tests.adapters.store.refusals import conflict

STATION, SERVER = ProfileId("ocpp/station"), ProfileId("backend/tls-server")
HELD, RELEASED = CertificateEventKind.HELD, CertificateEventKind.RELEASED


def version(number: int, profile: ProfileId = STATION, by: Narrowing | None = None) -> ProfileVersion:
    narrowing = by or Narrowing(profile, validity_days_max=number)
    return ProfileVersion(profile, number, narrowing, "person:per_1", NOW, ProposalId(f"prp_{number}"))


async def test_a_version_is_kept_as_it_is_and_its_number_taken_once(store: SqlStore) -> None:
    whole = Narrowing(STATION, 30, 90, frozenset({KeySpec.P256}), frozenset({"Ladesäulen GmbH", "b"}), frozenset({"example.org"}))
    first, second = version(1, by=whole), replace(version(2, by=Narrowing(STATION)), proposal=None)
    await store.commit(AddProfileVersion(first))
    await store.commit(AddProfileVersion(second))
    assert (await store.list_profile_versions()).items == (second, first)
    with conflict("store.profile.changed"):
        await store.commit(AddProfileVersion(version(2)))


async def test_one_of_each_profile_is_in_force(store: SqlStore) -> None:
    await store.commit(*(AddProfileVersion(version(number)) for number in (1, 2, 3)), AddProfileVersion(version(1, SERVER)))
    assert {(v.profile, v.number) for v in (await store.list_profile_versions(is_newest=True)).items} == {(STATION, 3), (SERVER, 1)}
    assert (await store.list_profile_versions(profile=STATION, is_newest=True)).items == (version(3),)
    assert (await store.list_profile_versions(profile=ProfileId("no/such"))).items == ()


async def test_versions_are_walked_by_cursor(store: SqlStore) -> None:
    await store.commit(*(AddProfileVersion(version(number)) for number in range(1, 6)))
    numbers, cursor = [], ""
    while True:
        page = await store.list_profile_versions(profile=STATION, cursor=cursor, limit=2)
        numbers += [item.number for item in page.items]
        if not (cursor := page.next):
            break
    assert numbers == [5, 4, 3, 2, 1]


async def test_due_are_the_emergency_holds_that_are_still_the_status(store: SqlStore) -> None:
    early, late, confirmed, revoked, plain = (certificate(n) for n in range(1, 6))
    await store.commit(*(change for each in (early, late, confirmed, revoked, plain) for change in issue(each)))
    for at, each in ((NOW, early), (NOW + SECOND, late), (NOW, confirmed), (NOW, revoked)):
        await store.commit(AddCertificateEvent(replace(event(each, 1, HELD, at), until=at + DAY), None))
    await store.commit(AddCertificateEvent(event(plain, 1, HELD), None))
    await store.commit(AddCertificateEvent(event(confirmed, 2, HELD), event(confirmed, 1).id))
    await store.commit(AddCertificateEvent(event(revoked, 2), event(revoked, 1).id))
    assert await store.list_due_holds(before=NOW + DAY - SECOND) == ()
    due = await store.list_due_holds(before=NOW + DAY)
    assert [(hold.certificate, hold.until) for hold in due] == [(early.id, NOW + DAY)]
    both = await store.list_due_holds(before=NOW + DAY + timedelta(hours=1))
    assert [hold.certificate for hold in both] == [early.id, late.id]
    assert await store.list_due_holds(before=NOW + DAY + SECOND, limit=1) == due
    await store.commit(AddCertificateEvent(event(early, 2, RELEASED), due[0].id))
    assert [hold.certificate for hold in await store.list_due_holds(before=NOW + DAY + SECOND)] == [late.id]
