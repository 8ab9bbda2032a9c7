"""What is said on an open connection, good and bad."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial

import pytest

from chargepki.core.bundle import OcppVersion
from chargepki.core.pem import encode_pem
from chargepki.core.records import StationId, StationState
from chargepki.errors import NotFound
from chargepki.ports import SigningOrder, UpdateStation
from chargepki.protocols.ocpp.gateway import SIGNINGS_PER_HOUR_MAX
from chargepki.protocols.ocpp.services import OcppSettings
from chargepki.protocols.ocpp.session import BAD_FRAMES_MAX
from chargepki.protocols.ocpp.wire import FRAME_OCTETS_MAX
from chargepki.testing.station.link import ConnectionEnded
from chargepki.testing.station.simulator import Habits, SigningRefused, StationSimulator
from chargepki.testing.workbench import ADMIN
from tests.unit.core.csr_forge import forge_request

from .conftest import Endpoint, wait_until, with_settings

VERSIONS = pytest.mark.parametrize("version", list(OcppVersion))
NOTHING_BY_ITSELF = 600.0


@pytest.fixture
def settings() -> OcppSettings:
    """The gateway makes no move of its own unless the station boots."""
    return with_settings(settle_seconds=NOTHING_BY_ITSELF, upgrade_security_profile=False)


@pytest.fixture
async def station(endpoint: Endpoint) -> AsyncIterator[StationSimulator]:
    password = await endpoint.add_station()
    async with endpoint.simulator() as simulator:
        await simulator.connect_basic(password)
        yield simulator


# ------------------------------------------------------------------------------------------------------------------ the plain


@VERSIONS
async def test_the_everyday_messages_are_answered(endpoint: Endpoint, version: OcppVersion) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(version=version, habits=Habits(ignores_trigger=True)) as station:
        await station.connect_basic(password)
        assert (await station.boot())["interval"] == 300
        assert (await station.heartbeat())["currentTime"].endswith("Z")
        assert await station.report_status() == {}
    stored = await endpoint.bench.ports.store.get_station(StationId("CS-17"))
    assert (stored.ocpp_version, stored.vendor, stored.state) == (version.value, "ChargePKI", StationState.ACTIVE)
    assert stored.last_seen is not None


@VERSIONS
@pytest.mark.clause("OCPP A04.FR.01")
async def test_security_events_are_kept_in_the_words_of_2_x_with_their_weight(endpoint: Endpoint, version: OcppVersion) -> None:
    password = await endpoint.add_station()
    old = version is OcppVersion.V16
    async with endpoint.simulator(version=version) as station:
        await station.connect_basic(password)
        await station.report_security_event("TamperDetectionActivated", "lid open")
        await station.report_security_event("InvalidChargePointCertificate" if old else "InvalidChargingStationCertificate")
        await station.report_security_event("MyCustomCriticalEvent")
    tamper, invalid, custom = await endpoint.security_events()
    assert (tamper.type, tamper.is_critical, tamper.tech_info) == ("TamperDetectionActivated", True, "lid open")
    assert (invalid.type, invalid.is_critical) == ("InvalidChargingStationCertificate", not old)
    assert not custom.is_critical


# -------------------------------------------------------------------------------------------------------------------- the bad


@VERSIONS
async def test_each_bad_call_gets_the_error_of_its_version(endpoint: Endpoint, version: OcppVersion) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(version=version) as station:
        await station.connect_basic(password)
        old = version is OcppVersion.V16
        assert await error_code(station, "Nonsense", {}) == "NotImplemented"
        assert await error_code(station, "DataTransfer", {"vendorId": "x"}) == "NotSupported"
        assert await error_code(station, "SignCertificate", {}) == ("ProtocolError" if old else "OccurrenceConstraintViolation")
        assert await error_code(station, "SignCertificate", {"csr": 1}) == "TypeConstraintViolation"
        assert await error_code(station, "Heartbeat", {"x": 1}) == ("FormationViolation" if old else "FormatViolation")
        event = {"type": "x", "timestamp": "yesterday"}
        assert await error_code(station, "SecurityEventNotification", event) == "PropertyConstraintViolation"
        await station.heartbeat()


async def test_a_binary_frame_ends_the_connection(station: StationSimulator) -> None:
    await station.send_raw(b"[2]")
    assert (await station.wait_closed(2)).code == 1003


async def test_a_frame_beyond_the_bound_ends_the_connection(station: StationSimulator) -> None:
    await station.send_raw('[2,"a","Heartbeat",{"a":"' + "x" * FRAME_OCTETS_MAX + '"}]')
    assert (await station.wait_closed(2)).code == 1009


async def test_a_peer_that_does_not_speak_ocpp_is_sent_away(station: StationSimulator) -> None:
    for _ in range(BAD_FRAMES_MAX + 1):
        await station.send_raw("hello")
    assert (await station.wait_closed(2)).code == 1002


async def test_a_few_bad_frames_are_answered_and_forgiven(station: StationSimulator) -> None:
    for _ in range(BAD_FRAMES_MAX - 1):
        await station.send_raw('[2,"x"]')
    await station.heartbeat()
    for _ in range(BAD_FRAMES_MAX - 1):
        await station.send_raw('[9,"x"]')
    await station.heartbeat()


@pytest.mark.clause("OCPP 2.1 part 4, 4.1.4")
async def test_a_repeated_message_id_gets_the_same_answer_and_a_reused_one_an_error(endpoint: Endpoint, station: StationSimulator) -> None:
    event = {"type": "ResetOrReboot", "timestamp": "2026-11-22T12:00:00Z"}
    payloads = (event, event, {**event, "type": "FirmwareUpdated"})
    answers = await raw_answers(station, [[2, "same", "SecurityEventNotification", payload] for payload in payloads])
    assert [answer[0] for answer in answers] == [3, 3, 4]
    assert answers[2][2] == "RpcFrameworkError"
    assert len(await endpoint.security_events()) == 1


async def test_answers_to_nothing_are_ignored(station: StationSimulator) -> None:
    await station.send_raw('[3,"nobody",{}]')
    await station.send_raw('[4,"nobody","GenericError","",{}]')
    await station.heartbeat()


# ------------------------------------------------------------------------------------------------------------- one connection


@pytest.mark.clause("OCPP A00.FR.001")
async def test_a_newer_connection_replaces_the_older_one_and_is_noted(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator() as older, endpoint.simulator() as newer:
        await older.connect_basic(password)
        await newer.connect_basic(password)
        assert (await older.wait_closed(2)).code == 4001
        await newer.heartbeat()
        assert len(endpoint.gateway.sessions()) == 1
    assert await endpoint.event_types() == ["gateway.duplicate_connection"]
    await wait_until(partial(is_empty, endpoint))


async def test_an_operator_can_close_a_connection(endpoint: Endpoint, station: StationSimulator) -> None:
    assert await endpoint.gateway.close_station(StationId("CS-17"), "maintenance")
    closed = await station.wait_closed(2)
    assert (closed.code, closed.reason) == (1008, "maintenance")
    await wait_until(partial(is_empty, endpoint))
    assert not await endpoint.gateway.close_station(StationId("CS-17"), "maintenance")


# --------------------------------------------------------------------------------------------------------------- certificates


@VERSIONS
@pytest.mark.clause("OCPP A02.FR.12")
async def test_a_bad_csr_is_rejected_with_its_findings(endpoint: Endpoint, version: OcppVersion) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(version=version) as station:
        await station.connect_basic(password)
        with pytest.raises(SigningRefused) as refused:
            await station.request_certificate("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n")
    if version is not OcppVersion.V16:
        assert refused.value.reason == "InvalidCSR"
        assert "csr" in refused.value.info
    assert await endpoint.certificates() == ()
    assert any(entry.action == "certificate:request:create" for entry in await endpoint.refusals())


async def test_a_v2g_certificate_is_not_offered_yet(station: StationSimulator) -> None:
    answer = await station.call("SignCertificate", {"csr": "x", "certificateType": "V2GCertificate"})
    assert answer["statusInfo"]["reasonCode"] == "UnsupportedParam"


@pytest.mark.clause("OCPP A03")
async def test_a_station_may_ask_by_itself(station: StationSimulator) -> None:
    await station.request_certificate()
    await station.wait_for_certificate()


async def test_a_station_that_asks_without_end_is_stopped(endpoint: Endpoint, station: StationSimulator) -> None:
    for _ in range(SIGNINGS_PER_HOUR_MAX):
        with pytest.raises(SigningRefused):
            await station.request_certificate("no csr")
    with pytest.raises(SigningRefused) as refused:
        await station.request_certificate()
    assert "too many requests" in refused.value.info
    assert await endpoint.certificates() == ()


@VERSIONS
@pytest.mark.clause("OCPP A02.FR.20")
async def test_a_certificate_that_the_station_rejects_is_revoked(endpoint: Endpoint, version: OcppVersion) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(version=version, habits=Habits(rejects_certificates=True)) as station:
        await station.connect_basic(password)
        await station.request_certificate()
        await wait_until(partial(has_event, endpoint, "gateway.certificate_rejected"))
        await wait_until(partial(has_certificates, endpoint, "revoked", 1))
        assert station.rejections == ["station.chain.habit"]
    rejected = (await endpoint.security_events())[-1]
    assert rejected.is_critical


async def test_a_certificate_that_was_not_delivered_is_replaced_at_the_next_boot(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(habits=Habits(drops_at_certificate=True)) as station:
        await station.connect_basic(password)
        await station.request_certificate()
        await station.wait_closed(2)
    async with endpoint.simulator() as again:
        await again.connect_basic(password)
        await again.boot()
        await again.wait_for_certificate()


@pytest.mark.clause("OCPP A02.FR.29")
async def test_a_discarded_certificate_is_revoked_and_another_one_asked_for_once(endpoint: Endpoint, station: StationSimulator) -> None:
    await station.request_certificate()
    first = await station.wait_for_certificate()
    await station.report_security_event("DiscardedRenewedClientCertificate")
    second = await station.wait_for_certificate()
    assert first.leaf.serial_number != second.leaf.serial_number
    await station.report_security_event("DiscardedRenewedClientCertificate")
    await station.heartbeat()
    assert len(await endpoint.certificates(state="revoked")) == 1


async def test_a_boot_with_an_installed_certificate_asks_for_nothing(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator() as station:
        await station.connect_basic(password)
        await station.boot()
        await station.wait_for_certificate()
        await wait_until(partial(has_event, endpoint, "gateway.certificate_installed"))
        await station.connect_basic(password)
        await station.boot()
        with pytest.raises(TimeoutError):
            await station.wait_for_certificate(0.5)
    assert len(await endpoint.certificates()) == 1


# ------------------------------------------------------------------------------------------------------------------ slow days

SLOW = with_settings(settle_seconds=NOTHING_BY_ITSELF, upgrade_security_profile=False, issuance_seconds=0.0, response_seconds=0.5)


@pytest.mark.parametrize("settings", [SLOW])
async def test_issuance_that_takes_its_time_is_accepted_and_delivered_later(station: StationSimulator) -> None:
    await station.request_certificate()
    await station.wait_for_certificate()


@pytest.mark.parametrize("settings", [SLOW])
@pytest.mark.clause("OCPP 1.6 security whitepaper A02")
async def test_a_refusal_after_accepted_becomes_an_event_for_the_operator(endpoint: Endpoint, station: StationSimulator) -> None:
    await station.request_certificate("no csr")
    await wait_until(partial(has_event, endpoint, "gateway.certificate_not_issued"))
    assert (await endpoint.security_events())[-1].is_critical


async def test_a_request_under_way_is_finished_although_the_station_went_away(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    password, vault = await endpoint.add_station(), endpoint.bench.ports.vault
    is_signing, may_sign, sign = asyncio.Event(), asyncio.Event(), vault.sign

    async def sign_when_told(order: SigningOrder) -> bytes:
        is_signing.set()
        await may_sign.wait()
        return await sign(order)

    monkeypatch.setattr(vault, "sign", sign_when_told)
    async with endpoint.simulator() as station:
        await station.connect_basic(password)
        asking = asyncio.ensure_future(station.request_certificate())
        await asyncio.wait_for(is_signing.wait(), 5)
        station._connected().drop()
        with pytest.raises(ConnectionEnded):
            await asking
    may_sign.set()
    await wait_until(partial(has_certificates, endpoint, "valid", 1))
    await endpoint.gateway.stop()
    assert not endpoint.gateway.orders


@pytest.mark.parametrize("settings", [SLOW])
async def test_a_silent_station_and_an_absent_one_are_told_apart(endpoint: Endpoint, station: StationSimulator) -> None:
    link = station._connected()

    async def say_nothing(text: str) -> None:
        pass

    link._take = say_nothing  # type: ignore[method-assign]
    assert (await endpoint.gateway.trigger_certificate(StationId("CS-17"))).status == "NoAnswer"
    with pytest.raises(NotFound):
        await endpoint.gateway.trigger_certificate(StationId("CS-18"))
    waiting = asyncio.ensure_future(endpoint.gateway.trigger_certificate(StationId("CS-17")))
    await asyncio.sleep(0.05)
    link.drop()
    with pytest.raises(NotFound):
        await waiting


async def test_a_station_that_floods_is_answered_in_order_and_can_still_be_cut_off(endpoint: Endpoint, station: StationSimulator) -> None:
    answers = await raw_answers(station, [[2, f"m{number}", "Heartbeat", {}] for number in range(200)])
    assert [answer[:2] for answer in answers] == [[3, f"m{number}"] for number in range(200)]
    for number in range(200):
        await station.send_raw(json.dumps([2, f"n{number}", "Heartbeat", {}]))
    await endpoint.gateway.close_station(StationId("CS-17"), "enough")
    assert (await station.wait_closed(3)).code == 1008
    await wait_until(partial(is_empty, endpoint))


async def test_messages_of_2_1_that_want_no_answer_get_none(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(version=OcppVersion.V21) as station:
        await station.connect_basic(password)
        event = {"id": 1, "pending": 0, "basetime": "2026-11-22T12:00:00Z", "data": []}
        frames: list[list[object]] = [[6, "s", "NotifyPeriodicEventStream", event], [5, "r", "GenericError", "", {}]]
        for frame in frames:
            await station.send_raw(json.dumps(frame))
        assert (await raw_answers(station, [[2, "h", "Heartbeat", {}]]))[0][:2] == [3, "h"]


async def test_a_server_that_stops_says_so(endpoint: Endpoint, station: StationSimulator) -> None:
    await endpoint.gateway.stop()
    assert (await station.wait_closed(2)).code == 1001


# ------------------------------------------------------------------------------------------------------------- the safety net


@pytest.mark.parametrize("settings", [with_settings(settle_seconds=NOTHING_BY_ITSELF, recheck_seconds=0.1)])
async def test_what_another_node_changed_is_found_by_the_recheck(endpoint: Endpoint, station: StationSimulator) -> None:
    """The change bypasses this process's notifier, as a change on another node does."""
    store = endpoint.bench.ports.store
    stored = await store.get_station(StationId("CS-17"))
    await store.commit(UpdateStation(replace(stored, state=StationState.SUSPENDED)))
    assert (await station.wait_closed(2)).code == 1008


async def is_empty(endpoint: Endpoint) -> bool:
    return not endpoint.gateway.sessions()


async def has_event(endpoint: Endpoint, type: str) -> bool:
    return type in await endpoint.event_types()


async def has_certificates(endpoint: Endpoint, state: str, count: int) -> bool:
    return len(await endpoint.certificates(state=state)) == count


async def error_code(station: StationSimulator, action: str, payload: Mapping[str, object]) -> str:
    """Past the simulator's own schema check."""
    id = str(uuid.uuid4())
    answer = (await raw_answers(station, [[2, id, action, payload]]))[0]
    assert answer[:2] == [4, id]
    return str(answer[2])


async def raw_answers(station: StationSimulator, frames: list[list[object]]) -> list[list[object]]:
    """What comes back for frames that the simulator itself would not send."""
    link, answers = station._connected(), asyncio.Queue[list[object]]()

    async def collect(text: str) -> None:
        answers.put_nowait(json.loads(text))

    take, link._take = link._take, collect  # type: ignore[method-assign]
    for frame in frames:
        await station.send_raw(json.dumps(frame))
    collected = [await asyncio.wait_for(answers.get(), 3) for _ in frames]
    link._take = take  # type: ignore[method-assign]
    return collected


@pytest.mark.clause("OCPP A02.FR.02", "RFC 2986 4.1")
async def test_a_quirky_csr_is_signed_only_for_a_station_that_is_read_tolerantly(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    quirky = encode_pem("CERTIFICATE REQUEST", forge_request(version=1))
    async with endpoint.simulator(habits=Habits(ignores_trigger=True)) as station:
        await station.connect_basic(password)
        await station.boot()
        with pytest.raises(SigningRefused):
            await station.request_certificate(quirky)
        assert not await endpoint.certificates()
        await endpoint.bench.services.inventory.update_station(ADMIN, StationId("CS-17"), csr_tolerant=True)
        await station.request_certificate(quirky)

        async def is_issued() -> bool:
            return bool(await endpoint.certificates())

        await wait_until(is_issued)


async def test_a_boot_that_changes_what_is_known_is_on_record_and_one_that_does_not_is_not(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(habits=Habits(ignores_trigger=True)) as station:
        await station.connect_basic(password)
        await station.boot()
        await station.boot()
    (entry,) = (await endpoint.bench.ports.store.list_audit(action="station:report:create")).items
    assert (entry.actor, entry.object, entry.outcome) == ("station:CS-17", "station:CS-17", "done")
