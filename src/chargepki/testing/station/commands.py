"""What the simulated station does when the CSMS asks for something: one pure table per version, payload in, payload out.

Written from the schemas, not from `protocols/ocpp/versions`: the two sides check each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.wire import JsonObject


@dataclass(slots=True)
class StationState:
    """What the CSMS has told the station so far."""

    organization: str = ""
    network_priority: str = "1"
    network_profiles: dict[int, JsonObject] = field(default_factory=dict)
    wishes: list[str] = field(default_factory=list)  # "sign", "boot", "upgrade": to be done after the answer


Handler = Callable[[StationState, JsonObject], JsonObject]


def _trigger(state: StationState, payload: JsonObject) -> JsonObject:
    wish = {
        "SignChargePointCertificate": "sign",
        "SignChargingStationCertificate": "sign",
        "BootNotification": "boot",
    }.get(payload["requestedMessage"])
    if wish is None:
        return {"status": "NotImplemented"}
    state.wishes.append(wish)
    return {"status": "Accepted"}


def _change_configuration(state: StationState, payload: JsonObject) -> JsonObject:
    match payload:
        case {"key": "CpoName", "value": value}:
            state.organization = value
        case {"key": "SecurityProfile", "value": "3"}:  # whitepaper A05.FR.05: reconnect with the new profile
            state.wishes.append("upgrade")
        case {"key": "SecurityProfile"}:
            return {"status": "Rejected"}
        case _:
            return {"status": "NotSupported"}
    return {"status": "Accepted"}


def _set_variables(state: StationState, payload: JsonObject) -> JsonObject:
    return {"setVariableResult": [_set_variable(state, datum) for datum in payload["setVariableData"]]}


def _set_variable(state: StationState, datum: JsonObject) -> JsonObject:
    echo = {"component": datum["component"], "variable": datum["variable"]}
    match datum["component"]["name"], datum["variable"]["name"]:
        case "SecurityCtrlr", "OrganizationName":
            state.organization = datum["attributeValue"]
        case "OCPPCommCtrlr", "NetworkConfigurationPriority":
            slots = [int(slot) for slot in datum["attributeValue"].split(",")]
            if any(slot != 1 and slot not in state.network_profiles for slot in slots):  # A05.FR.03
                return {"attributeStatus": "Rejected", **echo}
            state.network_priority = datum["attributeValue"]
            return {"attributeStatus": "RebootRequired", **echo}
        case _:
            return {"attributeStatus": "UnknownVariable", **echo}
    return {"attributeStatus": "Accepted", **echo}


def _get_variables(state: StationState, payload: JsonObject) -> JsonObject:
    return {"getVariableResult": [_get_variable(state, datum) for datum in payload["getVariableData"]]}


def _get_variable(state: StationState, datum: JsonObject) -> JsonObject:
    echo = {"component": datum["component"], "variable": datum["variable"]}
    if datum["variable"]["name"] != "NetworkConfigurationPriority":
        return {"attributeStatus": "UnknownVariable", **echo}
    return {"attributeStatus": "Accepted", "attributeValue": state.network_priority, **echo}


def _set_network_profile(state: StationState, payload: JsonObject) -> JsonObject:
    if payload["connectionData"]["securityProfile"] < 2:  # B09.FR.04: no downgrade
        return {"status": "Rejected", "statusInfo": {"reasonCode": "NoSecurityDowngrade"}}
    state.network_profiles[payload["configurationSlot"]] = payload["connectionData"]
    return {"status": "Accepted"}


def _reset(state: StationState, _: JsonObject) -> JsonObject:
    first = int(state.network_priority.split(",")[0])
    chosen = state.network_profiles.get(first, {})
    state.wishes.append("upgrade" if chosen.get("securityProfile") == 3 else "boot")
    return {"status": "Accepted"}


_HANDLERS_2X: Final[dict[str, Handler]] = {
    "TriggerMessage": _trigger,
    "SetVariables": _set_variables,
    "GetVariables": _get_variables,
    "SetNetworkProfile": _set_network_profile,
    "Reset": _reset,
}
HANDLERS: Final[dict[OcppVersion, dict[str, Handler]]] = {
    OcppVersion.V16: {"TriggerMessage": _trigger, "ExtendedTriggerMessage": _trigger, "ChangeConfiguration": _change_configuration},
    OcppVersion.V201: _HANDLERS_2X,
    OcppVersion.V21: _HANDLERS_2X,
}


def boot_payload(version: OcppVersion, serial_number: str) -> JsonObject:
    if version is OcppVersion.V16:
        return {
            "chargePointVendor": "ChargePKI",
            "chargePointModel": "Simulator",
            "chargePointSerialNumber": serial_number[:25],
            "firmwareVersion": "1.0",
        }
    station = {"vendorName": "ChargePKI", "model": "Simulator", "serialNumber": serial_number[:25], "firmwareVersion": "1.0"}
    return {"reason": "PowerUp", "chargingStation": station}


def status_payload(version: OcppVersion, timestamp: str) -> JsonObject:
    if version is OcppVersion.V16:
        return {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": timestamp}
    return {"evseId": 1, "connectorId": 1, "connectorStatus": "Available", "timestamp": timestamp}


def sign_payload(version: OcppVersion, csr: str, request_id: int) -> JsonObject:
    match version:
        case OcppVersion.V16:
            return {"csr": csr}
        case OcppVersion.V201:
            return {"csr": csr, "certificateType": "ChargingStationCertificate"}
        case OcppVersion.V21:
            return {"csr": csr, "certificateType": "ChargingStationCertificate", "requestId": request_id}
