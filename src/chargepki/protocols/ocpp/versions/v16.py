"""OCPP 1.6 with the security extension (OCA whitepaper "Improved security for OCPP 1.6-J", edition 3)."""

from typing import Final

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.canonical import (
    BootAccepted,
    BootNotification,
    CertificateSigned,
    CertificateType,
    Command,
    GetVariable,
    Heartbeat,
    HeartbeatAnswered,
    Noted,
    Outcome,
    Reply,
    Reset,
    SecurityEventNotification,
    SetNetworkProfile,
    SetVariable,
    SignCertificate,
    SigningAccepted,
    SigningRejected,
    StatusNotification,
    Trigger,
    TriggerMessage,
)
from chargepki.protocols.ocpp.versions.dialect import Dialect, format_time, parse_time
from chargepki.protocols.ocpp.wire import JsonObject

# The configuration keys that the security extension added, by the variable that each became in 2.x.
_KEY_OF_VARIABLE: Final[dict[tuple[str, str], str]] = {
    ("SecurityCtrlr", "OrganizationName"): "CpoName",
    ("SecurityCtrlr", "SecurityProfile"): "SecurityProfile",
}

# Events that got another name in 2.x (whitepaper section 8; OCPP 2.0.1 appendix 1).
EVENT_RENAMED: Final[dict[str, str]] = {
    "FailedToAuthenticationAtCentralSystem": "FailedToAuthenticateAtCsms",
    "CentralSystemFailedToAuthentication": "CsmsFailedToAuthenticate",
    "InvalidCentralSystemCertificate": "InvalidCsmsCertificate",
    "InvalidChargePointCertificate": "InvalidChargingStationCertificate",
}


def _parse_boot(payload: JsonObject) -> BootNotification:
    serial_number = payload.get("chargePointSerialNumber") or payload.get("chargeBoxSerialNumber", "")
    return BootNotification(
        payload["chargePointVendor"], payload["chargePointModel"], serial_number, payload.get("firmwareVersion", ""), "Unknown"
    )


def _parse_heartbeat(_: JsonObject) -> Heartbeat:
    return Heartbeat()


def _parse_status(payload: JsonObject) -> StatusNotification:
    at = parse_time(payload["timestamp"]) if "timestamp" in payload else None
    # 1.6 numbers connectors over the whole station; 2.x numbers EVSEs and, in each, connectors.
    return StatusNotification(payload["connectorId"], 1, payload["status"], at, payload["errorCode"])


def _parse_security_event(payload: JsonObject) -> SecurityEventNotification:
    type: str = payload["type"]
    return SecurityEventNotification(EVENT_RENAMED.get(type, type), parse_time(payload["timestamp"]), payload.get("techInfo", ""))


def _parse_sign_certificate(payload: JsonObject) -> SignCertificate:
    return SignCertificate(payload["csr"], CertificateType.CHARGING_STATION)


def _assemble_reply(reply: Reply) -> JsonObject:
    match reply:
        case BootAccepted(now, seconds):
            return {"status": "Accepted", "currentTime": format_time(now), "interval": seconds}
        case HeartbeatAnswered(now):
            return {"currentTime": format_time(now)}
        case Noted():
            return {}
        case SigningAccepted():
            return {"status": "Accepted"}
        case SigningRejected():  # the field for a reason came with 2.0
            return {"status": "Rejected"}


def _assemble_command(command: Command) -> tuple[str, JsonObject]:
    match command:
        case CertificateSigned(chain):
            return "CertificateSigned", {"certificateChain": chain}
        case TriggerMessage(Trigger.SIGN_CHARGING_STATION_CERTIFICATE):  # whitepaper A02.FR.02
            return "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}
        case TriggerMessage(trigger):
            return "TriggerMessage", {"requestedMessage": trigger.value}
        case SetVariable(component, variable, value) if (component, variable) in _KEY_OF_VARIABLE:
            return "ChangeConfiguration", {"key": _KEY_OF_VARIABLE[component, variable], "value": value}
        case Reset():
            return "Reset", {"type": "Soft"}
        case SetVariable() | GetVariable() | SetNetworkProfile():
            raise ValueError(f"OCPP 1.6 has no {type(command).__name__} for this")


def _parse_outcome(_: Command, payload: JsonObject) -> Outcome:
    return Outcome(payload["status"])


V16: Final = Dialect(
    OcppVersion.V16,
    {
        "BootNotification": _parse_boot,
        "Heartbeat": _parse_heartbeat,
        "StatusNotification": _parse_status,
        "SecurityEventNotification": _parse_security_event,
        "SignCertificate": _parse_sign_certificate,
    },
    _assemble_reply,
    _assemble_command,
    _parse_outcome,
)
