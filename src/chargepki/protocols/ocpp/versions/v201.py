"""OCPP 2.0.1 edition 3. What 2.1 left as it was is used by `v21` from here."""

from typing import Any, Final

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.canonical import (
    ADDITIONAL_INFO_CHARS_MAX,
    REASON_CODE_CHARS_MAX,
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
    TriggerMessage,
)
from chargepki.protocols.ocpp.versions.dialect import Dialect, format_time, parse_time
from chargepki.protocols.ocpp.wire import JsonObject


def parse_boot(payload: JsonObject) -> BootNotification:
    station = payload["chargingStation"]
    return BootNotification(
        station["vendorName"], station["model"], station.get("serialNumber", ""), station.get("firmwareVersion", ""), payload["reason"]
    )


def parse_heartbeat(_: JsonObject) -> Heartbeat:
    return Heartbeat()


def parse_status(payload: JsonObject) -> StatusNotification:
    return StatusNotification(payload["evseId"], payload["connectorId"], payload["connectorStatus"], parse_time(payload["timestamp"]))


def parse_security_event(payload: JsonObject) -> SecurityEventNotification:
    return SecurityEventNotification(payload["type"], parse_time(payload["timestamp"]), payload.get("techInfo", ""))


def parse_sign_certificate(payload: JsonObject) -> SignCertificate:
    return SignCertificate(payload["csr"], parse_certificate_type(payload))


def parse_certificate_type(payload: JsonObject) -> CertificateType | None:
    return CertificateType(payload["certificateType"]) if "certificateType" in payload else None


def assemble_reply(reply: Reply) -> JsonObject:
    match reply:
        case BootAccepted(now, seconds):
            return {"status": "Accepted", "currentTime": format_time(now), "interval": seconds}
        case HeartbeatAnswered(now):
            return {"currentTime": format_time(now)}
        case Noted():
            return {}
        case SigningAccepted():
            return {"status": "Accepted"}
        case SigningRejected(reason, info):
            return {"status": "Rejected", "statusInfo": _status_info(reason, info)}


def assemble_command(command: Command) -> tuple[str, JsonObject]:
    match command:
        case CertificateSigned(chain, certificate_type):
            return "CertificateSigned", {"certificateChain": chain, **assemble_certificate_type(certificate_type)}
        case TriggerMessage(trigger):
            return "TriggerMessage", {"requestedMessage": trigger.value}
        case SetVariable(component, variable, value):
            datum = {"attributeValue": value, "component": {"name": component}, "variable": {"name": variable}}
            return "SetVariables", {"setVariableData": [datum]}
        case GetVariable(component, variable):
            return "GetVariables", {"getVariableData": [{"component": {"name": component}, "variable": {"name": variable}}]}
        case SetNetworkProfile():
            # 2.0.1 writes its own version OCPP20, and has no word for "any interface".
            return "SetNetworkProfile", assemble_network_profile(command, ocppVersion="OCPP20", ocppInterface="Wired0")
        case Reset():
            return "Reset", {"type": "OnIdle"}


def assemble_certificate_type(certificate_type: CertificateType | None) -> JsonObject:
    return {} if certificate_type is None else {"certificateType": certificate_type.value}


def assemble_network_profile(command: SetNetworkProfile, **words: str) -> JsonObject:
    connection = {
        "ocppTransport": "JSON",
        "ocppCsmsUrl": command.url,
        "messageTimeout": command.timeout_seconds,
        "securityProfile": command.security_profile,
        **words,
    }
    return {"configurationSlot": command.slot, "connectionData": connection}


def parse_outcome(command: Command, payload: JsonObject) -> Outcome:
    match command:
        case SetVariable():
            result: dict[str, Any] = payload["setVariableResult"][0]
            return Outcome(result["attributeStatus"], _explain(result.get("attributeStatusInfo")))
        case GetVariable():
            result = payload["getVariableResult"][0]
            return Outcome(result["attributeStatus"], _explain(result.get("attributeStatusInfo")), result.get("attributeValue", ""))
        case _:
            return Outcome(payload["status"], _explain(payload.get("statusInfo")))


def _status_info(reason: str, info: str) -> JsonObject:
    made = {"reasonCode": reason[:REASON_CODE_CHARS_MAX]}
    return {**made, "additionalInfo": info[:ADDITIONAL_INFO_CHARS_MAX]} if info else made


def _explain(status_info: dict[str, str] | None) -> str:
    if status_info is None:
        return ""
    return " ".join(filter(None, (status_info["reasonCode"], status_info.get("additionalInfo", ""))))


V201: Final = Dialect(
    OcppVersion.V201,
    {
        "BootNotification": parse_boot,
        "Heartbeat": parse_heartbeat,
        "StatusNotification": parse_status,
        "SecurityEventNotification": parse_security_event,
        "SignCertificate": parse_sign_certificate,
    },
    assemble_reply,
    assemble_command,
    parse_outcome,
)
