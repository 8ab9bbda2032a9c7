"""Roots and sub-CAs: the operator's hierarchy (CSMS, stations, backends) and the manufacturer's (firmware, factory)."""

from typing import Final

from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.model import KeyUsage, NameRule, Profile, ProfileKind, SubjectKind
from chargepki.core.records import ProfileId

ROOT_OPERATOR: Final = ProfileId("root/operator")
ROOT_MANUFACTURER: Final = ProfileId("root/manufacturer")
SUB_OPERATOR: Final = ProfileId("sub/operator")
SUB_MANUFACTURER: Final = ProfileId("sub/manufacturer")

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


PROFILES: Final = (
    _root(ROOT_OPERATOR, "Operator root"),
    _root(ROOT_MANUFACTURER, "Manufacturer root"),
    _sub(SUB_OPERATOR, "Operator sub-CA", ROOT_OPERATOR),
    _sub(SUB_MANUFACTURER, "Manufacturer sub-CA", ROOT_MANUFACTURER),
)
