"""The shape of a profile. Profiles are values; `registry.py` collects them; a deployment may narrow one, never widen it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from chargepki.core.algorithms import KeySpec
from chargepki.core.records import ProfileId
from chargepki.errors import Finding, refuse_errors

# Stations in the field have clocks that are minutes to hours wrong; OCPP 2.1 A02.FR.06 forbids a notBefore in the future.
BACKDATE: Final = timedelta(hours=1)


class ProfileKind(StrEnum):
    ROOT = "root"
    SUB_CA = "sub-ca"
    LEAF = "leaf"


class SubjectKind(StrEnum):
    """Who the certificate speaks for, that is: where its names come from."""

    STATION = "station"  # the station inventory
    HOST = "host"  # a host name the caller may speak for
    PARTY = "party"  # an organisation and a name inside it
    AUTHORITY = "authority"  # a certification authority
    RESPONDER = "responder"  # an OCSP responder of one authority


class KeyUsage(StrEnum):
    """RFC 5280 4.2.1.3, named as there."""

    DIGITAL_SIGNATURE = "digitalSignature"
    NON_REPUDIATION = "nonRepudiation"
    KEY_ENCIPHERMENT = "keyEncipherment"
    DATA_ENCIPHERMENT = "dataEncipherment"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
    CRL_SIGN = "cRLSign"


class SanRule(StrEnum):
    NONE = "none"
    FROM_CN = "from-cn"  # the CN's host name, plus the further names that registration grants


@dataclass(frozen=True, slots=True)
class NameRule:
    """One attribute the subject has, in this order. Its value comes from registration, never from a CSR."""

    type: str  # "O", "CN", ...
    is_required: bool = True
    length_max: int = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate of this kind contains.

    Durations are days. `issuers` are the CA profiles that may issue it. `rsa_key_usage` replaces `key_usage` for RSA keys.
    """

    id: ProfileId
    title: str
    kind: ProfileKind
    subject_kind: SubjectKind
    clauses: tuple[str, ...]
    issuers: frozenset[ProfileId]  # empty: self-signed
    keys: frozenset[KeySpec]
    subject: tuple[NameRule, ...]
    validity_days: int
    validity_days_max: int
    key_usage: frozenset[KeyUsage]
    rsa_key_usage: frozenset[KeyUsage] | None = None
    extended_key_usage: tuple[str, ...] = ()  # object identifiers
    san: SanRule = SanRule.NONE
    path_length: int | None = None  # CA profiles only; None: no limit
    has_ocsp_url: bool = True
    has_issuer_url: bool = True
    has_crl_url: bool = True
    has_ocsp_no_check: bool = False
    chain_pem_max: int | None = None  # characters of leaf and sub-CAs in PEM, where a protocol limits them
    version: int = 1

    @property
    def is_ca(self) -> bool:
        return self.kind is not ProfileKind.LEAF


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a deployment's configuration may say about a profile. None leaves a field as it is.

    `operators` limits the O a subject may have; `host_suffixes` limits host names ("example.org" covers itself and below).
    """

    profile: ProfileId
    validity_days: int | None = None
    validity_days_max: int | None = None
    keys: frozenset[KeySpec] | None = None
    organizations: frozenset[str] | None = None
    host_suffixes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What narrowed a field: `by` is "config", or the approved change's proposal."""

    field: str
    by: str


@dataclass(frozen=True, slots=True)
class EffectiveProfile:
    """A profile as this deployment offers it. `change` counts the approved changes of it, `sources` name who narrowed what.

    A field that no source names is built in.
    """

    profile: Profile
    organizations: frozenset[str] | None = None
    host_suffixes: frozenset[str] | None = None
    change: int = 0
    sources: tuple[Source, ...] = ()

    @property
    def version(self) -> str:
        """The built-in definition's version, and the approved change on top of it: "1", "1.3"."""
        return f"{self.profile.version}.{self.change}" if self.change else str(self.profile.version)


def narrow(profile: Profile, by: Narrowing) -> EffectiveProfile:
    """The profile within `by`; `Refused` with every field that would widen it."""
    days_max = profile.validity_days_max if by.validity_days_max is None else by.validity_days_max
    days = min(profile.validity_days, days_max) if by.validity_days is None else by.validity_days
    keys = profile.keys if by.keys is None else by.keys
    found = []
    if days_max > profile.validity_days_max or days_max < 1:
        found.append(_widens(profile, "validity_days_max", f"1 to {profile.validity_days_max}"))
    if days > days_max or days < 1:
        found.append(_widens(profile, "validity_days", f"1 to {days_max}"))
    if not keys or not keys <= profile.keys:
        found.append(_widens(profile, "keys", ", ".join(sorted(profile.keys))))
    refuse_errors(found)
    narrowed = replace(profile, validity_days=days, validity_days_max=days_max, keys=keys)
    return EffectiveProfile(narrowed, by.organizations, by.host_suffixes)


def _widens(profile: Profile, field: str, allowed: str) -> Finding:
    return Finding(
        "profile.narrowing.widens",
        f"this would widen {profile.id}: {field} must stay within {allowed}",
        path=f'profiles."{profile.id}".{field}',
        hint="what is built in may be narrowed, never widened",
    )
