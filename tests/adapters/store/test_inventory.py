"""Stations and what they reported, on every store."""

from dataclasses import replace

import pytest

from chargepki.adapters.store import SqlStore
from chargepki.core.records import SecurityProfile, Station, StationId, StationState
from chargepki.errors import NotFound
from chargepki.ports import AddSecurityEvent, AddStation, TouchStation, UpdateStation
from tests.adapters.store.facts import DAY, NOW, security_event, station
from tests.adapters.store.refusals import conflict


async def test_a_station_is_found_by_id_and_by_serial_number(store: SqlStore) -> None:
    added = station()
    await store.commit(AddStation(added))
    assert await store.get_station(added.id) == added
    assert await store.lookup_station_by_serial_number("demo-cpo", added.serial_number) == added
    assert await store.lookup_station_by_serial_number("other-cpo", added.serial_number) is None
    with pytest.raises(NotFound, match="there is no station CS-18"):
        await store.get_station(StationId("CS-18"))


async def test_an_id_and_a_serial_number_belong_to_one_station(store: SqlStore) -> None:
    await store.commit(AddStation(station("CS-17", "SN-1")))
    with conflict("store.station.exists"):
        await store.commit(AddStation(station("CS-17", "SN-2")))
    with conflict("store.station.serial_number.exists"):
        await store.commit(AddStation(station("CS-18", "SN-1")))
    await store.commit(AddStation(station("CS-18", "SN-1", operator="other-cpo")))


async def test_an_update_writes_every_field_and_counts(store: SqlStore) -> None:
    added = station()
    await store.commit(AddStation(added))
    changed = replace(
        added,
        state=StationState.ACTIVE,
        security_profile=SecurityProfile.MUTUAL_TLS,
        ocpp_version="2.0.1",
        vendor="Ladewerk",
        model="L1",
        firmware="1.2",
        csr_tolerant=False,
        include_root=True,
        password_hash="",
        last_seen=NOW,
    )
    await store.commit(UpdateStation(changed))
    assert await store.get_station(added.id) == replace(changed, version=2)


async def test_an_update_of_what_changed_meanwhile_conflicts(store: SqlStore) -> None:
    added = station()
    await store.commit(AddStation(added), AddStation(station("CS-18")))
    await store.commit(UpdateStation(replace(added, vendor="A")))
    with conflict("store.station.changed"):
        await store.commit(UpdateStation(replace(added, vendor="B")))
    with conflict("store.station.unknown"):
        await store.commit(UpdateStation(station("CS-99")))
    with conflict("store.station.serial_number.exists"):
        await store.commit(UpdateStation(replace(station("CS-18"), serial_number=added.serial_number)))
    assert (await store.get_station(added.id)).vendor == "A"


async def test_seen_never_goes_back_and_asks_for_no_version(store: SqlStore) -> None:
    added = station()
    await store.commit(AddStation(added))
    await store.commit(TouchStation(added.id, NOW))
    await store.commit(TouchStation(added.id, NOW - DAY))
    assert await store.get_station(added.id) == replace(added, last_seen=NOW)
    await store.commit(UpdateStation(replace(added, vendor="A")))
    assert (await store.get_station(added.id)).last_seen == NOW
    await store.commit(TouchStation(StationId("CS-gone"), NOW))


async def test_stations_are_listed_by_id_and_narrowed(store: SqlStore) -> None:
    b, a, c = station("CS-b", "X-1"), station("CS-A", "X-2"), replace(station("cs-c_1", "Y-3", "other-cpo"), state=StationState.SUSPENDED)
    await store.commit(AddStation(b), AddStation(a), AddStation(c))

    async def found(text: str = "", operator: str = "", state: str = "") -> tuple[Station, ...]:
        return (await store.list_stations(text=text, operator=operator, state=state)).items

    assert await found() == (a, b, c)
    assert await found(text="x-") == (a, b)
    assert await found(text="CS-C_") == (c,)
    assert await found(text="_") == (c,)
    assert await found(operator="other-cpo") == (c,)
    assert await found(state="suspended") == (c,)
    assert await found(text="y", operator="demo-cpo") == ()


async def test_security_events_come_newest_first(store: SqlStore) -> None:
    for number, id in ((1, "CS-17"), (2, "CS-18"), (3, "CS-17")):
        await store.commit(AddSecurityEvent(security_event(number, id)))
    all_of_them = await store.list_security_events(None)
    assert all_of_them.items == (security_event(3), security_event(2, "CS-18"), security_event(1))
    assert (await store.list_security_events(StationId("CS-17"))).items == (security_event(3), security_event(1))
    with conflict("store.security_event.exists"):
        await store.commit(AddSecurityEvent(security_event(1)))


@pytest.mark.parametrize("text", ["a\0b", "half a pair \ud83d", "Ladesäule 🔌 №"])
async def test_text_from_a_station_never_breaks_a_commit(store: SqlStore, text: str) -> None:
    await store.commit(AddStation(replace(station(), vendor=text)))
    expected = text.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")
    assert (await store.get_station(StationId("CS-17"))).vendor == expected
    assert (await store.list_stations(text=text)).items == ()
    with pytest.raises(NotFound):
        await store.get_station(StationId(text))
