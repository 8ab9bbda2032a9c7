"""What a door asks of issuance, and what it gets."""

from dataclasses import dataclass

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import AuditId, AuthorityId, Certificate, KeyRef, ProfileId, StationId
from chargepki.errors import Finding


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """One certificate wanted. Exactly one of `csr`, `key_spec` and `vault_key` says where the key comes from."""

    profile: ProfileId
    csr: bytes = b""  # PEM or DER, as received
    key_spec: KeySpec | None = None  # the platform makes an exportable key
    vault_key: KeyRef | None = None  # a key the vault holds already: for the platform's own certificates
    station: StationId | None = None  # profiles that speak for a station
    host: str = ""  # profiles that speak for a host: becomes CN and SAN
    alt_hosts: tuple[str, ...] = ()  # further host names and IP addresses
    organization: str = ""  # hosts and parties; "" means the deployment's own
    common_name: str = ""  # parties
    issuer: AuthorityId | None = None  # None: the newest active one that may issue the profile
    validity_days: int | None = None
    enrolment_token: str = ""  # consumed by this order


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued certificate. `chain` is DER: leaf, sub-CAs, root."""

    certificate: Certificate
    chain: tuple[bytes, ...]
    findings: tuple[Finding, ...]
    entry: AuditId | None  # None for a repeat: nothing changed
    is_repeat: bool  # the same key asked again; this is the certificate it got before
