"""Every rule of the linter, shown by a certificate that breaks it and by all those that do not."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from chargepki.core import der, oids
from chargepki.core.algorithms import KeySpec, SignatureAlgorithm
from chargepki.core.lint import ALL_RULES, lint_tbs
from chargepki.core.names import AltNames, Name
from chargepki.core.profiles.model import KeyUsage, Profile
from chargepki.core.profiles.registry import BUILT_IN
from chargepki.errors import Severity
from tests.unit.core.tbs_forge import (
    NOW,
    URL,
    context_of,
    crl_points,
    extension,
    forge_tbs,
    info_access,
    key_usage,
    profile_of,
)

STATION, STATION_EKU, CSMS, STRICT = "ocpp/station", "ocpp/station-eku", "ocpp/csms-server", "ocpp/csms-server-strict"
ROOT, SUB, RESPONDER, CLIENT = "root/operator", "sub/operator", "status/ocsp-responder", "backend/mtls-client"

CLIENT_AUTH = der.sequence(der.oid(oids.CLIENT_AUTH))
CA = der.sequence(der.boolean(True))
CERT_SIGN = key_usage(frozenset({KeyUsage.KEY_CERT_SIGN}))
LONG_URL = "http://pki.example.org/" + "x" * 500


def utc(days: float) -> bytes:
    return der.time(NOW + timedelta(days=days))


def named(*pairs: tuple[str, str]) -> dict[str, object]:
    return {"subject": Name.of(*pairs)}


def having(id: str, value: bytes | None, *, is_critical: bool = False) -> dict[str, object]:
    return {"extensions": {id: None if value is None else (is_critical, value)}}


# code of the rule: (profile, what is wrong); a rule may have several
DEFECTS: list[tuple[str, str, Mapping[str, object]]] = [
    ("rfc5280.certificate.version", STATION, {"version": b""}),
    ("rfc5280.certificate.version", STATION, {"version": der.explicit(0, der.integer(1))}),
    ("rfc5280.serial.positive", STATION, {"serial": der.integer(-(1 << 100))}),
    ("rfc5280.serial.positive", STATION, {"serial": der.integer(0)}),
    ("rfc5280.serial.length", STATION, {"serial": der.integer(1 << 160)}),
    ("rfc5280.signature.algorithm", STATION, {"signature": bytes.fromhex("300d06092a864886f70d0101050500")}),
    ("rfc5280.issuer.match", STATION, {"issuer": Name.of(("CN", "another")).encode()}),
    ("rfc5280.issuer.match", ROOT, {"issuer": Name.of(("CN", "another")).encode()}),
    ("rfc5280.issuer.empty", STATION, {"issuer": der.sequence()}),
    ("rfc5280.validity.order", STATION, {"not_before": utc(-1), "not_after": utc(-2)}),
    ("rfc5280.validity.encoding", STATION, {"not_after": der.generalized_time(NOW + timedelta(days=1))}),
    ("rfc5280.subject.bounds", STATION, named(("O", "demo"), ("CN", "x" * 65))),
    ("rfc5280.subject.bounds", STATION, named(("O", ""), ("CN", "x"))),
    ("rfc5280.subject.empty", SUB, named()),
    ("rfc5280.subject.empty", STATION, named()),
    ("rfc5280.extensions.unique", STATION, {"repeated": extension(oids.BASIC_CONSTRAINTS, True, der.sequence())}),
    ("rfc5280.extensions.criticality", STATION, having(oids.CRL_DISTRIBUTION_POINTS, crl_points(URL), is_critical=True)),
    ("rfc5280.extensions.criticality", SUB, having(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(b"x"), is_critical=True)),
    ("rfc5280.authority_key_id.match", STATION, having(oids.AUTHORITY_KEY_IDENTIFIER, None)),
    ("rfc5280.authority_key_id.match", STATION, having(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.tlv(0x80, b"other")))),
    ("rfc5280.authority_key_id.match", ROOT, having(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.tlv(0x80, b"other")))),
    ("rfc5280.subject_key_id.present", SUB, having(oids.SUBJECT_KEY_IDENTIFIER, None)),
    ("rfc5280.basic_constraints.ca", SUB, having(oids.BASIC_CONSTRAINTS, None)),
    ("rfc5280.basic_constraints.ca", SUB, having(oids.BASIC_CONSTRAINTS, CA)),
    ("rfc5280.basic_constraints.ca", SUB, having(oids.BASIC_CONSTRAINTS, der.sequence(), is_critical=True)),
    ("rfc5280.basic_constraints.leaf", STATION, having(oids.BASIC_CONSTRAINTS, CA, is_critical=True)),
    ("rfc5280.basic_constraints.path_length", STATION, having(oids.BASIC_CONSTRAINTS, der.sequence(der.integer(0)), is_critical=True)),
    (
        "rfc5280.basic_constraints.path_length",
        SUB,
        having(oids.BASIC_CONSTRAINTS, der.sequence(der.boolean(True), der.integer(-1)), is_critical=True),
    ),
    ("rfc5280.key_usage.critical", STATION, having(oids.KEY_USAGE, None)),
    ("rfc5280.key_usage.critical", STATION, having(oids.KEY_USAGE, key_usage(frozenset({KeyUsage.DIGITAL_SIGNATURE})))),
    ("rfc5280.key_usage.cert_sign", STATION, having(oids.KEY_USAGE, CERT_SIGN, is_critical=True)),
    ("rfc5280.extended_key_usage.purposes", CLIENT, having(oids.EXTENDED_KEY_USAGE, der.sequence())),
    (
        "rfc5280.extended_key_usage.purposes",
        CLIENT,
        having(oids.EXTENDED_KEY_USAGE, der.sequence(der.oid(oids.CLIENT_AUTH), der.oid(oids.CLIENT_AUTH))),
    ),
    ("rfc5280.extended_key_usage.root", ROOT, having(oids.EXTENDED_KEY_USAGE, CLIENT_AUTH)),
    ("rfc5280.subject_alt_name.form", CSMS, having(oids.SUBJECT_ALT_NAME, der.sequence())),
    ("rfc5280.subject_alt_name.form", CSMS, having(oids.SUBJECT_ALT_NAME, AltNames(("csms.example.org",)).encode(), is_critical=True)),
    ("rfc5280.subject_alt_name.dns", CSMS, having(oids.SUBJECT_ALT_NAME, AltNames(("csms.example.org", "a_b.org")).encode())),
    ("rfc5280.subject_alt_name.dns", CSMS, having(oids.SUBJECT_ALT_NAME, AltNames(("csms.example.org", "https://a.org")).encode())),
    ("rfc6960.responder.no_check", RESPONDER, having(oids.OCSP_NO_CHECK, None)),
    ("rfc6960.responder.no_check", STATION, having(oids.OCSP_NO_CHECK, b"\x05\x00")),
    ("ocpp.subject.organization", STATION, named(("CN", "SN-0017"))),
    ("ocpp.csms.common_name", CSMS, named(("O", "demo"), ("CN", "csms"))),
    ("ocpp.csms.common_name", CSMS, named(("O", "demo"), ("CN", "*.example.org"))),
    ("ocpp.csms.common_name", STRICT, named(("O", "demo"), ("CN", "a.example.org"), ("CN", "b.example.org"))),
    ("ocpp.station.common_name", STATION, named(("O", "demo"), ("CN", "http://cs.example.org"))),
    ("ocpp.station.common_name", STATION, named(("O", "demo"), ("CN", "192.0.2.1"))),
    ("ocpp.station.common_name", "ocpp/manufacturer-initial", named(("O", "demo"))),
    ("ocpp.station.dns_name", STATION, having(oids.SUBJECT_ALT_NAME, AltNames(("cs.example.org",)).encode())),
    ("ocpp.csms.dns_name", STRICT, having(oids.SUBJECT_ALT_NAME, AltNames(("csms.example.org",)).encode())),
    ("ocpp.extended_key_usage.unwanted", STATION, having(oids.EXTENDED_KEY_USAGE, CLIENT_AUTH)),
    ("ocpp.extended_key_usage.discouraged", STATION_EKU, {}),
    ("ocpp.certificate.too_long", STATION, {"signature": SignatureAlgorithm.MLDSA87}),
    ("house.serial.entropy", STATION, {"serial": der.integer(1 << 54)}),
    ("house.validity.future", STATION, {"not_before": utc(0.001)}),
    ("house.validity.expired", STATION, {"not_before": utc(-2), "not_after": utc(-1)}),
    ("house.validity.issuer", "ocpp/manufacturer-initial", {"not_after": utc(20001)}),
    ("house.validity.days", STATION, {"not_after": utc(1097)}),
    ("house.subject.profile", STATION, named(("CN", "SN-0017"), ("O", "demo"))),
    ("house.subject.profile", STATION, named(("O", "demo"), ("O", "demo"), ("CN", "SN-0017"))),
    ("house.subject.profile", STATION, named(("O", "demo"), ("OU", "more"), ("CN", "SN-0017"))),
    ("house.subject.printable", STATION, named(("O", "demo"), ("CN", "SN\x1b[2J"))),
    ("house.key.profile", STATION, {"spec": KeySpec.ED25519}),
    ("house.key_usage.profile", STATION, having(oids.KEY_USAGE, key_usage(frozenset({KeyUsage.KEY_AGREEMENT})), is_critical=True)),
    ("house.extended_key_usage.profile", CLIENT, having(oids.EXTENDED_KEY_USAGE, None)),
    ("house.extended_key_usage.profile", CSMS, having(oids.EXTENDED_KEY_USAGE, CLIENT_AUTH)),
    ("house.subject_alt_name.profile", CSMS, having(oids.SUBJECT_ALT_NAME, None)),
    ("house.subject_alt_name.profile", CSMS, having(oids.SUBJECT_ALT_NAME, AltNames(("other.example.org",)).encode())),
    ("house.subject_alt_name.profile", CLIENT, having(oids.SUBJECT_ALT_NAME, AltNames(("x.example.org",)).encode())),
    ("house.status.missing", STATION, having(oids.AUTHORITY_INFO_ACCESS, None)),
    ("house.status.missing", STATION, having(oids.CRL_DISTRIBUTION_POINTS, None)),
    ("house.status.unwanted", ROOT, having(oids.CRL_DISTRIBUTION_POINTS, crl_points(URL))),
    ("house.status.unwanted", RESPONDER, having(oids.AUTHORITY_INFO_ACCESS, info_access((oids.AD_OCSP, URL)))),
    ("house.status.url", STATION, having(oids.CRL_DISTRIBUTION_POINTS, crl_points("https://pki.example.org/x.crl"))),
    ("house.status.url", STATION, having(oids.AUTHORITY_INFO_ACCESS, info_access((oids.AD_OCSP, LONG_URL), (oids.AD_CA_ISSUERS, URL)))),
    ("house.extensions.planned", STATION, having("1.2.3.4", b"\x05\x00")),
]


@pytest.mark.parametrize(("code", "profile", "wrong"), DEFECTS, ids=[f"{code}-{place}" for place, (code, *_) in enumerate(DEFECTS)])
def test_a_rule_finds_its_defect(code: str, profile: str, wrong: Mapping[str, object]) -> None:
    chosen = profile_of(profile)
    found = lint_tbs(forge_tbs(chosen, **wrong), context_of(chosen))  # type: ignore[arg-type]
    assert code in {finding.code for finding in found}
    assert all(finding.clause and finding.message for finding in found)


def test_every_rule_has_a_defect_that_shows_it() -> None:
    assert {rule.code for rule in ALL_RULES} == {code for code, *_ in DEFECTS}


def test_codes_are_unique_and_every_rule_is_described_for_the_catalogue() -> None:
    assert len({rule.code for rule in ALL_RULES}) == len(ALL_RULES)
    assert all(rule.description.endswith(".") and rule.clause for rule in ALL_RULES)


@pytest.mark.clause(
    "RFC 5280 4.1", "RFC 5280 4.2", "OCPP A00.FR.509", "OCPP A00.FR.510", "OCPP A00.FR.511", "OCPP A00.FR.512", "OCPP A00.FR.514"
)
@pytest.mark.parametrize(
    ("profile", "spec"),
    [pytest.param(profile, spec, id=f"{profile.id}-{spec}") for profile in BUILT_IN for spec in sorted(profile.keys)],
)
def test_a_right_certificate_of_every_profile_has_no_error(profile: Profile, spec: KeySpec) -> None:
    found = lint_tbs(forge_tbs(profile, spec=spec), context_of(profile))
    assert [finding for finding in found if finding.severity is not Severity.NOTICE] == []


@pytest.mark.clause("RFC 5280 4.1.2.5")
def test_times_from_2050_on_are_generalized() -> None:
    profile = profile_of(ROOT)
    context = context_of(profile)
    late = datetime(2050, 1, 1, tzinfo=UTC)
    assert lint_tbs(forge_tbs(profile, not_after=der.time(late)), context) == ()
    utc_time = der.tlv(der.UTC_TIME, b"500101000000Z")  # means 1950
    assert {finding.code for finding in lint_tbs(forge_tbs(profile, not_after=utc_time), context)} == {
        "rfc5280.validity.order",
        "house.validity.expired",
    }


@pytest.mark.parametrize("time", [b"261122180000+0100", b"2611221800Z", b"269922180000Z", b"26112218000xZ"])
def test_times_that_are_no_times_are_one_finding(time: bytes) -> None:
    profile = profile_of(STATION)
    [finding] = lint_tbs(forge_tbs(profile, not_before=der.tlv(der.UTC_TIME, time)), context_of(profile))
    assert finding.code == "der.malformed"


def test_every_truncation_of_a_tbs_is_a_finding() -> None:
    profile = profile_of(CSMS)
    tbs, context = forge_tbs(profile), context_of(profile)
    assert all(any(finding.is_error for finding in lint_tbs(tbs[:end], context)) for end in range(len(tbs)))
