"""Every version's payloads mean the same canonical values, and every answer fits its version's schema."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.canonical import (
    BootAccepted,
    BootNotification,
    CertificateSigned,
    CertificateType,
    Command,
    GetVariable,
    HashData,
    Heartbeat,
    HeartbeatAnswered,
    Noted,
    Outcome,
    ReasonCode,
    Reply,
    Reset,
    SecurityEventNotification,
    SetNetworkProfile,
    SetVariable,
    SignCertificate,
    SigningAccepted,
    SigningRejected,
    StationMessage,
    StatusNotification,
    Trigger,
    TriggerMessage,
)
from chargepki.protocols.ocpp.schemas import check_request, check_response
from chargepki.protocols.ocpp.versions.dialect import format_time, parse_time
from chargepki.protocols.ocpp.versions.registry import DIALECTS, find_dialect
from chargepki.protocols.ocpp.wire import FrameRefused, RpcError

V16, V201, V21 = OcppVersion.V16, OcppVersion.V201, OcppVersion.V21
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROOT = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1f"}


@pytest.mark.parametrize(
    ("version", "action", "payload", "message"),
    [
        (
            V16,
            "BootNotification",
            {"chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": "S", "firmwareVersion": "1"},
            BootNotification("V", "M", "S", "1"),
        ),
        (
            V201,
            "BootNotification",
            {"reason": "PowerUp", "chargingStation": {"vendorName": "V", "model": "M", "serialNumber": "S", "firmwareVersion": "1"}},
            BootNotification("V", "M", "S", "1", "PowerUp"),
        ),
        (V21, "BootNotification", {"reason": "Unknown", "chargingStation": {"vendorName": "V", "model": "M"}}, BootNotification("V", "M")),
        (V16, "Heartbeat", {}, Heartbeat()),
        (
            V16,
            "StatusNotification",
            {"connectorId": 2, "errorCode": "NoError", "status": "Available"},
            StatusNotification(2, 1, "Available", None, "NoError"),
        ),
        (
            V201,
            "StatusNotification",
            {"timestamp": "2026-11-22T13:00:00+01:00", "connectorStatus": "Occupied", "evseId": 1, "connectorId": 2},
            StatusNotification(1, 2, "Occupied", NOON),
        ),
        (
            V16,
            "SecurityEventNotification",
            {"type": "InvalidChargePointCertificate", "timestamp": "2026-11-22T12:00:00Z"},
            SecurityEventNotification("InvalidChargingStationCertificate", NOON),
        ),
        (
            V21,
            "SecurityEventNotification",
            {"type": "MyOwn", "timestamp": "2026-11-22T12:00:00.123456Z", "techInfo": "t"},
            SecurityEventNotification("MyOwn", NOON, "t"),
        ),
        (V16, "SignCertificate", {"csr": "c"}, SignCertificate("c", CertificateType.CHARGING_STATION)),
        (V201, "SignCertificate", {"csr": "c"}, SignCertificate("c")),
        (V201, "SignCertificate", {"csr": "c", "certificateType": "V2GCertificate"}, SignCertificate("c", CertificateType.V2G)),
        (
            V21,
            "SignCertificate",
            {"csr": "c", "requestId": 7, "hashRootCertificate": ROOT},
            SignCertificate("c", None, 7, HashData("SHA256", "aa", "bb", "1f")),
        ),
    ],
)
@pytest.mark.clause("OCPP A02.FR.02", "OCPP A02.FR.24", "OCPP A02.FR.27")
def test_requests_become_canonical(version: OcppVersion, action: str, payload: dict[str, Any], message: StationMessage) -> None:
    check_request(version, action, payload, message_id="m")
    assert DIALECTS[version].parse_request(action, payload, message_id="m") == message


REPLIES: list[tuple[str, Reply]] = [
    ("BootNotification", BootAccepted(NOON, 300)),
    ("Heartbeat", HeartbeatAnswered(NOON)),
    ("StatusNotification", Noted()),
    ("SecurityEventNotification", Noted()),
    ("SignCertificate", SigningAccepted()),
    ("SignCertificate", SigningRejected(ReasonCode.INVALID_CSR, "x" * 2000)),
]


@pytest.mark.parametrize("version", list(OcppVersion))
@pytest.mark.parametrize(("action", "reply"), REPLIES, ids=lambda value: value if isinstance(value, str) else type(value).__name__)
def test_every_reply_fits_the_schema_of_every_version(version: OcppVersion, action: str, reply: Reply) -> None:
    check_response(version, action, DIALECTS[version].assemble_reply(reply), message_id="m")


COMMANDS: list[tuple[Command, dict[OcppVersion, str]]] = [
    (CertificateSigned("pem", CertificateType.CHARGING_STATION, 7), dict.fromkeys(OcppVersion, "CertificateSigned")),
    (
        TriggerMessage(Trigger.SIGN_CHARGING_STATION_CERTIFICATE),
        {V16: "ExtendedTriggerMessage", V201: "TriggerMessage", V21: "TriggerMessage"},
    ),
    (TriggerMessage(Trigger.BOOT_NOTIFICATION), dict.fromkeys(OcppVersion, "TriggerMessage")),
    (
        SetVariable("SecurityCtrlr", "OrganizationName", "cpo"),
        {V16: "ChangeConfiguration", V201: "SetVariables", V21: "SetVariables"},
    ),
    (GetVariable("OCPPCommCtrlr", "NetworkConfigurationPriority"), {V201: "GetVariables", V21: "GetVariables"}),
    (SetNetworkProfile(2, "wss://csms/ocpp", 3), {V201: "SetNetworkProfile", V21: "SetNetworkProfile"}),
    (Reset(), dict.fromkeys(OcppVersion, "Reset")),
]


@pytest.mark.parametrize(("command", "actions"), COMMANDS, ids=lambda value: type(value).__name__)
def test_every_command_fits_the_schema_of_every_version_that_has_it(command: Command, actions: dict[OcppVersion, str]) -> None:
    for version, dialect in DIALECTS.items():
        if version not in actions:
            with pytest.raises(ValueError, match="has no"):
                dialect.assemble_command(command)
            continue
        action, payload = dialect.assemble_command(command)
        assert action == actions[version]
        check_request(version, action, payload, message_id="m")


@pytest.mark.clause("OCPP A02.FR.24")
def test_only_2_1_repeats_the_request_id() -> None:
    command = CertificateSigned("pem", None, 7)
    assert DIALECTS[V21].assemble_command(command)[1] == {"certificateChain": "pem", "requestId": 7}
    assert DIALECTS[V201].assemble_command(command)[1] == {"certificateChain": "pem"}


def test_outcomes_carry_the_stations_reason() -> None:
    rejected = {"status": "Rejected", "statusInfo": {"reasonCode": "InvalidCertificate", "additionalInfo": "expired"}}
    assert DIALECTS[V201].parse_outcome(CertificateSigned("pem"), rejected) == Outcome("Rejected", "InvalidCertificate expired")
    assert DIALECTS[V16].parse_outcome(CertificateSigned("pem"), {"status": "Accepted"}).is_accepted
    result = {"attributeStatus": "RebootRequired", "component": {"name": "c"}, "variable": {"name": "v"}}
    assert DIALECTS[V21].parse_outcome(SetVariable("c", "v", "x"), {"setVariableResult": [result]}).is_accepted
    got = {"attributeStatus": "Accepted", "attributeValue": "1,2", "component": {"name": "c"}, "variable": {"name": "v"}}
    assert DIALECTS[V21].parse_outcome(GetVariable("c", "v"), {"getVariableResult": [got]}).value == "1,2"


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-22", "0001-01-01T00:00:00+23:59", "2026-11-22T12:00:00+99:99"]
)
def test_a_time_that_is_none_is_a_property_violation(text: str) -> None:
    with pytest.raises(FrameRefused) as refused:
        DIALECTS[V201].parse_request("SecurityEventNotification", {"type": "x", "timestamp": text}, message_id="m")
    assert refused.value.error is RpcError.PROPERTY_CONSTRAINT_VIOLATION


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001 - hypothesis wants it naive
def test_times_survive_the_journey(at: datetime) -> None:
    assert parse_time(format_time(at)) == at.replace(microsecond=0)


@given(st.text(max_size=40))
def test_reading_a_time_gives_one_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert parse_time(text).tzinfo is UTC


def test_an_action_without_a_handler_is_not_supported() -> None:
    with pytest.raises(FrameRefused) as refused:
        DIALECTS[V16].parse_request("MeterValues", {}, message_id="m")
    assert refused.value.error is RpcError.NOT_SUPPORTED


@pytest.mark.clause("OCPP 2.1 part 4, 3.1.2")
def test_the_newest_common_version_is_spoken() -> None:
    found = find_dialect(["ocpp1.6", "ocpp2.0.1", "ocpp1.2"])
    assert found is not None
    assert found.version is V201
    assert find_dialect(["ocpp2.0", "mqtt"]) is None
    assert find_dialect([]) is None
