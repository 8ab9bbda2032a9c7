"""Backends: TLS servers and the client certificates with which partners authenticate each other."""

from typing import Final

from chargepki.core import oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.authority import SUB_OPERATOR
from chargepki.core.profiles.model import KeyUsage, NameRule, Profile, ProfileKind, SanRule, SubjectKind
from chargepki.core.records import ProfileId

TLS_SERVER: Final = ProfileId("backend/tls-server")

_SIGNING: Final = frozenset({KeyUsage.DIGITAL_SIGNATURE})

PROFILES: Final = (
    Profile(
        id=TLS_SERVER,
        title="Backend TLS server",
        kind=ProfileKind.LEAF,
        subject_kind=SubjectKind.HOST,
        clauses=("RFC 5280 4.2.1.12", "RFC 9525 6.3"),
        issuers=frozenset({SUB_OPERATOR}),
        keys=frozenset(KeySpec),
        subject=(NameRule("O"), NameRule("CN")),
        validity_days=90,
        validity_days_max=398,
        key_usage=_SIGNING,
        extended_key_usage=(oids.SERVER_AUTH,),
        san=SanRule.FROM_CN,
    ),
    Profile(
        id=ProfileId("backend/mtls-client"),
        title="Backend client for mutual TLS",
        kind=ProfileKind.LEAF,
        subject_kind=SubjectKind.PARTY,
        clauses=("RFC 5280 4.2.1.12",),
        issuers=frozenset({SUB_OPERATOR}),
        keys=frozenset(KeySpec),
        subject=(NameRule("O"), NameRule("CN")),
        validity_days=365,
        validity_days_max=825,
        key_usage=_SIGNING,
        extended_key_usage=(oids.CLIENT_AUTH,),
    ),
)
