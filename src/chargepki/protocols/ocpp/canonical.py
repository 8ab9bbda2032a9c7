"""The messages used here, as the newest version (OCPP 2.1) means them. `versions/` translates every dialect to these values.

`StationMessage` comes from a station and gets a `Reply`; `Command` goes to a station and brings back an `Outcome`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

CSR_CHARS_MAX: Final = 5500  # SignCertificateRequest.csr, all versions
REASON_CODE_CHARS_MAX: Final = 20  # StatusInfoType.reasonCode
ADDITIONAL_INFO_CHARS_MAX: Final = 512  # StatusInfoType.additionalInfo in 2.0.1; 1024 in 2.1
NO_EVSE: Final = 0  # the station as a whole


class CertificateType(StrEnum):
    """CertificateSigningUseEnumType. A request that names none asks for one certificate for both uses (OCPP 2.0.1 A02.FR.02)."""

    CHARGING_STATION = "ChargingStationCertificate"
    V2G = "V2GCertificate"
    V2G_20 = "V2G20Certificate"


class Trigger(StrEnum):
    SIGN_CHARGING_STATION_CERTIFICATE = "SignChargingStationCertificate"
    BOOT_NOTIFICATION = "BootNotification"
    HEARTBEAT = "Heartbeat"
    STATUS_NOTIFICATION = "StatusNotification"


class ReasonCode(StrEnum):
    """The reason codes used here (OCPP 2.1 part 2, appendix "Reason codes")."""

    INVALID_CSR = "InvalidCSR"
    INTERNAL_ERROR = "InternalError"
    UNSPECIFIED = "Unspecified"
    UNSUPPORTED_PARAM = "UnsupportedParam"


# ----------------------------------------------------------------------------------------------------------- from a station


@dataclass(frozen=True, slots=True)
class HashData:
    """CertificateHashDataType: names a certificate by its issuer's hashes and its serial number (hex, as the station wrote it)."""

    algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class BootNotification:
    vendor: str
    model: str
    serial_number: str = ""
    firmware: str = ""
    reason: str = "Unknown"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    pass


@dataclass(frozen=True, slots=True)
class StatusNotification:
    evse: int
    connector: int
    status: str
    at: datetime | None = None  # 1.6 may leave it out
    error: str = ""  # 1.6 only


@dataclass(frozen=True, slots=True)
class SecurityEventNotification:
    type: str
    at: datetime
    tech_info: str = ""


@dataclass(frozen=True, slots=True)
class SignCertificate:
    csr: str  # PKCS#10, PEM
    certificate_type: CertificateType | None = None
    request_id: int | None = None  # 2.1; CertificateSigned repeats it (A02.FR.24)
    hash_root: HashData | None = None  # 2.1; the root the station wants to chain to (A02.FR.27)


StationMessage = BootNotification | Heartbeat | StatusNotification | SecurityEventNotification | SignCertificate


@dataclass(frozen=True, slots=True)
class BootAccepted:
    now: datetime
    heartbeat_seconds: int


@dataclass(frozen=True, slots=True)
class HeartbeatAnswered:
    now: datetime


@dataclass(frozen=True, slots=True)
class Noted:
    """An answer without content."""


@dataclass(frozen=True, slots=True)
class SigningAccepted:
    """CertificateSigned will follow."""


@dataclass(frozen=True, slots=True)
class SigningRejected:
    reason: ReasonCode
    info: str = ""


Reply = BootAccepted | HeartbeatAnswered | Noted | SigningAccepted | SigningRejected


# ------------------------------------------------------------------------------------------------------------- to a station


@dataclass(frozen=True, slots=True)
class CertificateSigned:
    chain: str  # PEM, leaf first
    certificate_type: CertificateType | None = None
    request_id: int | None = None


@dataclass(frozen=True, slots=True)
class TriggerMessage:
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class SetVariable:
    """One variable of the device model; in 1.6, the configuration key that became it."""

    component: str
    variable: str
    value: str


@dataclass(frozen=True, slots=True)
class GetVariable:
    component: str
    variable: str


@dataclass(frozen=True, slots=True)
class SetNetworkProfile:
    slot: int
    url: str  # the endpoint without the station's identity
    security_profile: int
    timeout_seconds: int = 30


@dataclass(frozen=True, slots=True)
class Reset:
    """When no transaction runs any more (2.x OnIdle, 1.6 Soft)."""


Command = CertificateSigned | TriggerMessage | SetVariable | GetVariable | SetNetworkProfile | Reset


@dataclass(frozen=True, slots=True)
class Outcome:
    """A station's answer to a command. `status` is its word ("Accepted", "Rejected", an error code); `value` what GetVariable asked for."""

    status: str
    info: str = ""
    value: str = ""

    @property
    def is_accepted(self) -> bool:
        """RebootRequired and Scheduled are promises, not refusals."""
        return self.status in ("Accepted", "RebootRequired", "Scheduled")
