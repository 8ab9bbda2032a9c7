"""What an admitted station may make us keep, and what it may claim to be ours."""

import pytest

from chargepki.core.records import StationId
from chargepki.protocols.ocpp.gateway import EVENTS_PER_MINUTE_MAX
from chargepki.protocols.ocpp.security_events import GatewayEvent
from chargepki.testing.station.link import CallRefused
from chargepki.testing.station.simulator import Habits
from tests.protocols.ocpp.conftest import Endpoint, endpoint, settings  # noqa: F401  # fixtures


async def test_a_station_reports_so_many_security_events_a_minute_and_no_more(endpoint: Endpoint) -> None:  # noqa: F811
    password = await endpoint.add_station()
    async with endpoint.simulator(habits=Habits(ignores_trigger=True)) as station:
        await station.connect_basic(password)
        for _ in range(EVENTS_PER_MINUTE_MAX):
            await station.report_security_event("SettingSystemTime")
        with pytest.raises(CallRefused):
            await station.report_security_event("SettingSystemTime")
    types = [event.type for event in await endpoint.security_events()]
    assert types.count("SettingSystemTime") <= EVENTS_PER_MINUTE_MAX


async def test_a_station_does_not_speak_as_the_gateway(endpoint: Endpoint) -> None:  # noqa: F811
    password = await endpoint.add_station()
    async with endpoint.simulator(habits=Habits(ignores_trigger=True)) as station:
        await station.connect_basic(password)
        with pytest.raises(CallRefused):
            await station.report_security_event(GatewayEvent.CERTIFICATE_INSTALLED.value, "crt_forged")
    found = (await endpoint.bench.ports.store.list_security_events(StationId("CS-17"))).items
    assert GatewayEvent.CERTIFICATE_INSTALLED.value not in {event.type for event in found}
