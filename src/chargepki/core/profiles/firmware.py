"""Firmware: the certificate whose key signs images (OCPP L01). It hangs directly below the manufacturer's root."""

from dataclasses import replace
from typing import Final

from chargepki.core import oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.profiles.authority import ROOT_MANUFACTURER
from chargepki.core.profiles.model import KeyUsage, NameRule, Profile, ProfileKind, SubjectKind
from chargepki.core.records import ProfileId

_SIGNER: Final = Profile(
    id=ProfileId("firmware/signer"),
    title="Firmware signer",
    kind=ProfileKind.LEAF,
    subject_kind=SubjectKind.PARTY,
    clauses=("OCPP L01.FR.04", "OCPP L01.FR.11", "OCPP A00.FR.514"),
    issuers=frozenset({ROOT_MANUFACTURER}),  # L01: no intermediate certificates
    keys=frozenset({KeySpec.P256, KeySpec.P384, KeySpec.P521, KeySpec.RSA2048, KeySpec.RSA3072, KeySpec.RSA4096}),
    subject=(NameRule("O"), NameRule("CN")),
    validity_days=365,
    validity_days_max=1096,
    key_usage=frozenset({KeyUsage.DIGITAL_SIGNATURE}),
    chain_pem_max=5500,  # UpdateFirmware.firmware.signingCertificate
)

PROFILES: Final = (
    _SIGNER,
    replace(
        _SIGNER,
        id=ProfileId("firmware/signer-eku"),
        title="Firmware signer, with extended key usage",
        clauses=("OCPP L01.FR.04", "OCPP L01.FR.11"),
        extended_key_usage=(oids.CODE_SIGNING,),
    ),
)
