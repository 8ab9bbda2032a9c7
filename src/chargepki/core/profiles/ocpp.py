"""OCPP: CSMS, charging station, local controller, factory certificate (OCPP 2.0.1 part 2 block A, OCPP 1.6 security whitepaper)."""

from dataclasses import replace
from typing import Final

from chargepki.core import oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.authority import SUB_MANUFACTURER, SUB_OPERATOR
from chargepki.core.profiles.model import KeyUsage, NameRule, Profile, ProfileKind, SanRule, SubjectKind
from chargepki.core.records import ProfileId

CSMS_SERVER: Final = ProfileId("ocpp/csms-server")
STATION: Final = ProfileId("ocpp/station")
STATION_EKU: Final = ProfileId("ocpp/station-eku")

CHAIN_PEM_MAX: Final = 10000  # CertificateSigned.certificateChain, all versions
# What the mandatory cipher suites can use (OCPP A00.FR.318, FR.501-504).
TLS_KEYS: Final = frozenset({KeySpec.P256, KeySpec.P384, KeySpec.P521, KeySpec.RSA2048, KeySpec.RSA3072, KeySpec.RSA4096})
SIGNING: Final = frozenset({KeyUsage.DIGITAL_SIGNATURE})
# TLS_RSA_WITH_AES_* transports the key: the server's RSA certificate must allow that.
RSA_SERVER: Final = frozenset({KeyUsage.DIGITAL_SIGNATURE, KeyUsage.KEY_ENCIPHERMENT})

_CSMS_SERVER: Final = Profile(
    id=CSMS_SERVER,
    title="CSMS server",
    kind=ProfileKind.LEAF,
    subject_kind=SubjectKind.HOST,
    clauses=("OCPP A00.FR.509", "OCPP A00.FR.510", "OCPP A00.FR.318", "RFC 9525 6.3"),
    issuers=frozenset({SUB_OPERATOR}),
    keys=TLS_KEYS,
    subject=(NameRule("O"), NameRule("CN")),
    validity_days=90,
    validity_days_max=398,
    key_usage=SIGNING,
    rsa_key_usage=RSA_SERVER,
    extended_key_usage=(oids.SERVER_AUTH,),
    san=SanRule.FROM_CN,
)
_STATION: Final = Profile(
    id=STATION,
    title="Charging station",
    kind=ProfileKind.LEAF,
    subject_kind=SubjectKind.STATION,
    clauses=("OCPP A00.FR.509", "OCPP A00.FR.511", "OCPP A00.FR.512", "OCPP A00.FR.514"),
    issuers=frozenset({SUB_OPERATOR}),
    keys=TLS_KEYS,
    subject=(NameRule("O"), NameRule("CN")),
    validity_days=365,
    validity_days_max=1096,
    key_usage=SIGNING,
    chain_pem_max=CHAIN_PEM_MAX,
)

PROFILES: Final = (
    _CSMS_SERVER,
    replace(
        _CSMS_SERVER,
        id=ProfileId("ocpp/csms-server-strict"),
        title="CSMS server, without subject alternative name",
        clauses=("OCPP A00.FR.509", "OCPP A00.FR.510", "OCPP A00.FR.511", "OCPP A00.FR.514"),
        extended_key_usage=(),
        san=SanRule.NONE,
    ),
    _STATION,
    replace(
        _STATION,
        id=STATION_EKU,
        title="Charging station, with extended key usage",
        clauses=("OCPP A00.FR.509", "OCPP A00.FR.511", "OCPP A00.FR.512"),
        extended_key_usage=(oids.CLIENT_AUTH,),
    ),
    replace(
        _CSMS_SERVER,
        id=ProfileId("ocpp/local-controller"),
        title="Local controller, towards its stations",
        clauses=("OCPP 2.0.1 part 4 6", "OCPP A00.FR.510"),
        extended_key_usage=(oids.SERVER_AUTH, oids.CLIENT_AUTH),
        validity_days=365,
    ),
    replace(
        _STATION,
        id=ProfileId("ocpp/manufacturer-initial"),
        title="Factory certificate of a station",
        subject_kind=SubjectKind.PARTY,
        clauses=("OCPP A00.FR.801", "OCPP A00.FR.802", "OCPP A00.FR.511"),
        issuers=frozenset({SUB_MANUFACTURER}),
        validity_days=3652,
        validity_days_max=9131,
    ),
)
