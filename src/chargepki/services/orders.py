"""What a door asks of issuance, and what it gets."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from chargepki.core.algorithms import KeySpec
from chargepki.core.canonical_json import JsonValue
from chargepki.core.records import AuditId, AuthorityId, Certificate, KeyRef, MachineId, ProfileId, StationId
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
    machine: MachineId | None = None  # the machine that will sign in with it


def encode_order(order: CertificateOrder) -> dict[str, JsonValue]:
    """For people to vote on; `decode_order` reads it again. A one-time token is no part of it: it is a secret, and proves nothing more."""
    return {
        "profile": order.profile,
        "csr": base64.b64encode(order.csr).decode(),
        "key_spec": order.key_spec,
        "station": order.station,
        "host": order.host,
        "alt_hosts": list(order.alt_hosts),
        "organization": order.organization,
        "common_name": order.common_name,
        "issuer": order.issuer,
        "validity_days": order.validity_days,
        "machine": order.machine,
    }


def decode_order(content: Mapping[str, JsonValue]) -> CertificateOrder:
    """Of what `encode_order` wrote and a quorum bound: it comes from our own store."""

    def text(name: str) -> str:
        value = content[name]
        return value if isinstance(value, str) else ""

    alt_hosts, days = content["alt_hosts"], content["validity_days"]
    assert isinstance(alt_hosts, list)
    return CertificateOrder(
        ProfileId(text("profile")),
        csr=base64.b64decode(text("csr")),
        key_spec=KeySpec(text("key_spec")) if text("key_spec") else None,
        station=StationId(text("station")) if text("station") else None,
        host=text("host"),
        alt_hosts=tuple(map(str, alt_hosts)),
        organization=text("organization"),
        common_name=text("common_name"),
        issuer=AuthorityId(text("issuer")) if text("issuer") else None,
        validity_days=days if isinstance(days, int) else None,
        machine=MachineId(text("machine")) if text("machine") else None,
    )


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued certificate. `chain` is DER: leaf, sub-CAs, root."""

    certificate: Certificate
    chain: tuple[bytes, ...]
    findings: tuple[Finding, ...]
    entry: AuditId | None  # None for a repeat: nothing changed
    is_repeat: bool  # the same key asked again; this is the certificate it got before
