"""Status: the delegated OCSP responder of one authority (RFC 6960 4.2.2.2)."""

from typing import Final

from chargepki.core import oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.authority import ROOT_MANUFACTURER, ROOT_OPERATOR, SUB_MANUFACTURER, SUB_OPERATOR
from chargepki.core.profiles.model import KeyUsage, NameRule, Profile, ProfileKind, SubjectKind
from chargepki.core.records import ProfileId

OCSP_RESPONDER: Final = ProfileId("status/ocsp-responder")

PROFILES: Final = (
    Profile(
        id=OCSP_RESPONDER,
        title="OCSP responder",
        kind=ProfileKind.LEAF,
        subject_kind=SubjectKind.RESPONDER,
        clauses=("RFC 6960 4.2.2.2", "RFC 6960 4.2.2.2.1"),
        issuers=frozenset({ROOT_OPERATOR, ROOT_MANUFACTURER, SUB_OPERATOR, SUB_MANUFACTURER}),
        keys=frozenset(KeySpec),
        subject=(NameRule("O"), NameRule("CN")),
        validity_days=30,
        validity_days_max=90,
        key_usage=frozenset({KeyUsage.DIGITAL_SIGNATURE}),
        extended_key_usage=(oids.OCSP_SIGNING,),
        # Nobody asks the responder about itself: it is short-lived instead (RFC 6960 4.2.2.2.1).
        has_ocsp_url=False,
        has_crl_url=False,
        has_ocsp_no_check=True,
    ),
)
