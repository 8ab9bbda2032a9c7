"""Roots and sub-CAs: the operator's hierarchy (CSMS, stations, backends) and the manufacturer's (firmware, factory)."""

from dataclasses import replace
from typing import Final

from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.model import KeyUsage, NameRule, Profile, ProfileKind, SubjectKind
from chargepki.core.records import ProfileId

ROOT_OPERATOR: Final = ProfileId("root/operator")
ROOT_MANUFACTURER: Final = ProfileId("root/manufacturer")
SUB_OPERATOR: Final = ProfileId("sub/operator")
SUB_MANUFACTURER: Final = ProfileId("sub/manufacturer")
CROSS_OPERATOR: Final = ProfileId("cross/operator")
CROSS_MANUFACTURER: Final = ProfileId("cross/manufacturer")

_CA_USAGE: Final = frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN})
_CA_SUBJECT: Final = (NameRule("O"), NameRule("CN"))
_EVERY_KEY: Final = frozenset(KeySpec)


def _root(id: ProfileId, title: str) -> Profile:
    return Profile(
        id=id,
        title=title,
        kind=ProfileKind.ROOT,
        subject_kind=SubjectKind.AUTHORITY,
        clauses=("RFC 5280 4.2.1.9", "RFC 5280 4.2.1.2", "OCPP A00.FR.505"),
        issuers=frozenset(),
        keys=_EVERY_KEY,
        subject=_CA_SUBJECT,
        validity_days=7305,
        validity_days_max=14610,
        key_usage=_CA_USAGE,
        # A trust anchor is trusted by decision: nobody asks for its status.
        has_ocsp_url=False,
        has_issuer_url=False,
        has_crl_url=False,
    )


def _sub(id: ProfileId, title: str, root: ProfileId) -> Profile:
    return Profile(
        id=id,
        title=title,
        kind=ProfileKind.SUB_CA,
        subject_kind=SubjectKind.AUTHORITY,
        clauses=("RFC 5280 4.2.1.9", "OCPP A00.FR.602"),
        issuers=frozenset({root}),
        keys=_EVERY_KEY,
        subject=_CA_SUBJECT,
        validity_days=3652,
        validity_days_max=7305,
        key_usage=_CA_USAGE,
        path_length=0,
    )


def _cross(id: ProfileId, title: str, root: ProfileId) -> Profile:
    """Somebody else's root under one of ours. Its name is theirs, octet for octet, so the usual attributes of roots may stand in it."""
    return Profile(
        id=id,
        title=title,
        kind=ProfileKind.SUB_CA,
        subject_kind=SubjectKind.AUTHORITY,
        clauses=("RFC 5280 3.2", "RFC 5280 4.2.1.9"),
        issuers=frozenset({root}),
        keys=_EVERY_KEY,
        subject=(NameRule("C", False, 2), NameRule("O"), NameRule("OU", False), NameRule("CN"), NameRule("DC", False)),
        validity_days=1826,
        validity_days_max=3652,
        key_usage=_CA_USAGE,
        path_length=1,
        has_ocsp_url=False,
    )


def signed_by_hand(profile: Profile, *, has_issuer_url: bool) -> Profile:
    """The same profile, for certificates of an authority that signs at ceremonies alone.

    Nobody is there to sign OCSP answers, so the certificate names no responder: its status is the CRL that is carried out.
    """
    return replace(profile, has_ocsp_url=False, has_issuer_url=has_issuer_url)


PROFILES: Final = (
    _root(ROOT_OPERATOR, "Operator root"),
    _root(ROOT_MANUFACTURER, "Manufacturer root"),
    _sub(SUB_OPERATOR, "Operator sub-CA", ROOT_OPERATOR),
    _sub(SUB_MANUFACTURER, "Manufacturer sub-CA", ROOT_MANUFACTURER),
    _cross(CROSS_OPERATOR, "Operator cross certificate", ROOT_OPERATOR),
    _cross(CROSS_MANUFACTURER, "Manufacturer cross certificate", ROOT_MANUFACTURER),
)
