"""OCPP 2.1 edition 1: as 2.0.1, with request ids, a wished-for root and other words for network profiles."""

from typing import Final

from chargepki.core.bundle import OcppVersion
from chargepki.protocols.ocpp.canonical import CertificateSigned, Command, HashData, SetNetworkProfile, SignCertificate
from chargepki.protocols.ocpp.versions import v201
from chargepki.protocols.ocpp.versions.dialect import Dialect
from chargepki.protocols.ocpp.wire import JsonObject


def _parse_sign_certificate(payload: JsonObject) -> SignCertificate:
    root = payload.get("hashRootCertificate")
    return SignCertificate(
        payload["csr"],
        v201.parse_certificate_type(payload),
        payload.get("requestId"),
        None if root is None else HashData(root["hashAlgorithm"], root["issuerNameHash"], root["issuerKeyHash"], root["serialNumber"]),
    )


def _assemble_command(command: Command) -> tuple[str, JsonObject]:
    match command:
        case CertificateSigned(_, _, request_id) if request_id is not None:  # A02.FR.24
            action, payload = v201.assemble_command(command)
            return action, {**payload, "requestId": request_id}
        case SetNetworkProfile():  # the version is agreed at the handshake, ocppVersion is deprecated
            return "SetNetworkProfile", v201.assemble_network_profile(command, ocppInterface="Any")
        case _:
            return v201.assemble_command(command)


V21: Final = Dialect(
    OcppVersion.V21,
    {**v201.V201.requests, "SignCertificate": _parse_sign_certificate},
    v201.assemble_reply,
    _assemble_command,
    v201.parse_outcome,
)
