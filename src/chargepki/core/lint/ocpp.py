"""OCPP: certificate properties (A00.FR.501 to 514, the same in 1.6, 2.0.1 and 2.1) and the lengths its messages allow."""

import re
from typing import Final

from chargepki.core import oids
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, SIGNATURE_OCTETS_MAX
from chargepki.core.identifiers.station import looks_like_address
from chargepki.core.lint.rule import LintContext, Rule
from chargepki.core.lint.view import TbsView
from chargepki.core.pem import pem_length
from chargepki.core.profiles.model import Profile, SanRule, SubjectKind
from chargepki.errors import Severity

CERTIFICATE_PEM_MAX: Final = 5500  # InstallCertificate.certificate, UpdateFirmware.signingCertificate, in OCPP 1.6 and 2.0.1

_HOST: Final = re.compile(r"localhost|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")
_SIGNATURE_OCTETS: Final = {ALGORITHM_IDENTIFIER[algorithm]: octets for algorithm, octets in SIGNATURE_OCTETS_MAX.items()}
_HEADER_OCTETS: Final = 12  # of the outer SEQUENCE and the BIT STRING, at their longest


def organization(tbs: TbsView, context: LintContext) -> str:
    """The subject names the organization that owns the station or the CSMS."""
    return "the subject has no O" if _is_ocpp(context.profile) and not tbs.values("O") else ""


def csms_name(tbs: TbsView, context: LintContext) -> str:
    """The CN of a CSMS is one fully qualified domain name, without wildcard."""
    if not (_is_ocpp(context.profile) and context.profile.subject_kind is SubjectKind.HOST):
        return ""
    names = tbs.values("CN")
    return "" if len(names) == 1 and _HOST.fullmatch(names[0]) else "the CN is no fully qualified domain name in lower case"


def station_name(tbs: TbsView, context: LintContext) -> str:
    """The CN of a station is its serial number and does not look like a URL or an IP address."""
    if not _is_station(context.profile):
        return ""
    names = tbs.values("CN")
    if len(names) != 1:
        return f"the subject has {len(names)} CN"
    return "the CN looks like a URL or an IP address" if looks_like_address(names[0]) else ""


def station_alt_names(tbs: TbsView, context: LintContext) -> str:
    """A station's certificate has no DNS names."""
    return "a station's certificate has a DNS name" if _is_station(context.profile) and tbs.alt_names.dns else ""


def strict_csms_alt_names(tbs: TbsView, context: LintContext) -> str:
    """Where a CSMS profile goes without alternative names, there is no DNS name."""
    is_strict = _is_ocpp(context.profile) and context.profile.subject_kind is SubjectKind.HOST and context.profile.san is SanRule.NONE
    return "the strict CSMS profile has a DNS name" if is_strict and tbs.alt_names.dns else ""


def purposes_unwanted(tbs: TbsView, context: LintContext) -> str:
    """OCPP certificates whose profile names no purposes carry no extended key usage."""
    is_plain = _is_ocpp(context.profile) and not context.profile.extended_key_usage
    return "there is an extended key usage" if is_plain and oids.EXTENDED_KEY_USAGE in tbs.present else ""


def purposes_discouraged(tbs: TbsView, context: LintContext) -> str:
    """OCPP advises stations against the extended key usage; some peers want it all the same."""
    is_variant = _is_station(context.profile) and bool(context.profile.extended_key_usage)
    return "an extended key usage may trouble ISO 15118 peers" if is_variant and oids.EXTENDED_KEY_USAGE in tbs.present else ""


def fits_messages(tbs: TbsView, context: LintContext) -> str:
    """A certificate that travels in OCPP messages has at most 5,500 characters as PEM."""
    if not (_is_ocpp(context.profile) or context.profile.id.startswith("firmware/")):
        return ""
    octets = tbs.size + len(tbs.signature) + _SIGNATURE_OCTETS.get(tbs.signature, 0) + _HEADER_OCTETS
    characters = pem_length(octets)
    return "" if characters <= CERTIFICATE_PEM_MAX else f"the certificate may have {characters} characters as PEM"


RULES: Final[tuple[Rule, ...]] = (
    Rule("ocpp.subject.organization", "OCPP A00.FR.509", organization, "subject.o"),
    Rule("ocpp.csms.common_name", "OCPP A00.FR.510", csms_name, "subject.cn", "use the name that stations connect to: csms.example.org"),
    Rule("ocpp.station.common_name", "OCPP A00.FR.511", station_name, "subject.cn", "correct the serial number in the inventory"),
    Rule("ocpp.station.dns_name", "OCPP A00.FR.511", station_alt_names, "extensions.subjectAltName"),
    Rule("ocpp.csms.dns_name", "OCPP A00.FR.511", strict_csms_alt_names, "extensions.subjectAltName"),
    Rule("ocpp.extended_key_usage.unwanted", "OCPP A00.FR.514", purposes_unwanted, "extensions.extKeyUsage"),
    Rule(
        "ocpp.extended_key_usage.discouraged",
        "OCPP A00.FR.514",
        purposes_discouraged,
        "extensions.extKeyUsage",
        "use ocpp/station unless a peer insists on clientAuth",
        Severity.NOTICE,
    ),
    Rule(
        "ocpp.certificate.too_long",
        "OCPP InstallCertificate, UpdateFirmware",
        fits_messages,
        "",
        "use smaller keys, or an issuer with ECDSA",
    ),
)


def _is_ocpp(profile: Profile) -> bool:
    return profile.id.startswith("ocpp/")


def _is_station(profile: Profile) -> bool:
    """Stations, and parties that are stations before anyone knows them: the factory certificate."""
    return _is_ocpp(profile) and profile.subject_kind in (SubjectKind.STATION, SubjectKind.PARTY)
