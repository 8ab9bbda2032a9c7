"""The security events of the standards: which are critical (whitepaper section 8; OCPP 2.0.1 and 2.1, security_events.csv)."""

from enum import StrEnum
from typing import Final

from chargepki.core.bundle import OcppVersion

DISCARDED_RENEWED_CERTIFICATE: Final = "DiscardedRenewedClientCertificate"  # OCPP A02.FR.29

GATEWAY_PREFIX: Final = "gateway."


class GatewayEvent(StrEnum):
    """What the gateway itself records of a station, beside what the station reports. All begin with `GATEWAY_PREFIX`."""

    DUPLICATE_CONNECTION = "gateway.duplicate_connection"
    CERTIFICATE_INSTALLED = "gateway.certificate_installed"  # tech_info: the certificate's id
    CERTIFICATE_REJECTED = "gateway.certificate_rejected"
    CERTIFICATE_NOT_ISSUED = "gateway.certificate_not_issued"
    CERTIFICATE_NOT_DELIVERED = "gateway.certificate_not_delivered"
    TRIGGER_REFUSED = "gateway.trigger_refused"
    PROFILE_UPGRADE = "gateway.security_profile_upgrade"


# In the names of 2.x, which `versions/v16.py` gives to the older ones.
_CRITICAL_2X: Final = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "InvalidCsmsCertificate",
        "InvalidChargingStationCertificate",
        DISCARDED_RENEWED_CERTIFICATE,
        "InvalidTLSVersion",
        "InvalidTLSCipherSuite",
        "MaintenanceLoginAccepted",
        "MaintenanceLoginFailed",
    }
)
_CRITICAL_16: Final = frozenset(
    {
        "FirmwareUpdated",
        "SettingSystemTime",
        "StartupOfTheDevice",
        "ResetOrReboot",
        "SecurityLogWasCleared",
        "MemoryExhaustion",
        "TamperDetectionActivated",
    }
)
_CRITICAL_HERE: Final = frozenset({GatewayEvent.CERTIFICATE_REJECTED, GatewayEvent.CERTIFICATE_NOT_ISSUED})


def is_critical(type: str, version: OcppVersion) -> bool:
    """`type` in the words of 2.x, as a station of `version` reported it; a vendor's own events are not critical."""
    return type in (_CRITICAL_16 if version is OcppVersion.V16 else _CRITICAL_2X) or type in _CRITICAL_HERE
