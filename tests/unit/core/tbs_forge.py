"""TBSCertificates octet by octet: right for their profile, and wrong in exactly the part that a test replaces."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

from chargepki.core import der, oids
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, RSA_KINDS, KeySpec, SignatureAlgorithm, generate_private_key, spki_of
from chargepki.core.lint import LintContext
from chargepki.core.names import AltNames, Name
from chargepki.core.profiles.model import KeyUsage, Profile, SanRule, SubjectKind
from chargepki.core.profiles.registry import BUILT_IN

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
ISSUER = Name.of(("O", "demo-cpo"), ("CN", "Operator sub-CA")).encode()
ISSUER_KEY_ID = bytes(range(20))
SUBJECT_KEY_ID = bytes(range(20, 40))
ISSUER_END = NOW + timedelta(days=20000)
URL = "http://pki.example.org/x"

Part = tuple[bool, bytes]  # critical, value


def profile_of(id: str) -> Profile:
    return next(profile for profile in BUILT_IN if profile.id == id)


def context_of(profile: Profile) -> LintContext:
    is_root = not profile.issuers
    return LintContext(profile, None if is_root else ISSUER, None if is_root else ISSUER_KEY_ID, None if is_root else ISSUER_END, NOW)


@cache
def spki(spec: KeySpec) -> bytes:
    return spki_of(generate_private_key(spec).public_key())


def subject_of(profile: Profile) -> Name:
    names = {SubjectKind.HOST: "csms.example.org", SubjectKind.STATION: "SN-0017"}
    return Name.of(("O", "demo-cpo"), ("CN", names.get(profile.subject_kind, "demo")))


def key_usage(usages: frozenset[KeyUsage]) -> bytes:
    flags = sum(1 << (7 - place) for place, usage in enumerate(KeyUsage) if usage in usages)
    return der.bit_string(bytes([flags]), (flags & -flags).bit_length() - 1 if flags else 0)


def info_access(*entries: tuple[str, str]) -> bytes:
    return der.sequence(*(der.sequence(der.oid(method), der.ia5_string(url, 0x86)) for method, url in entries))


def crl_points(url: str) -> bytes:
    return der.sequence(der.sequence(der.explicit(0, der.explicit(0, der.ia5_string(url, 0x86)))))


def extensions_of(profile: Profile, spec: KeySpec) -> dict[str, Part]:
    usages = profile.rsa_key_usage if spec in RSA_KINDS and profile.rsa_key_usage is not None else profile.key_usage
    found: dict[str, Part] = {
        oids.BASIC_CONSTRAINTS: (True, der.sequence(der.boolean(True)) if profile.is_ca else der.sequence()),
        oids.KEY_USAGE: (True, key_usage(usages)),
        oids.SUBJECT_KEY_IDENTIFIER: (False, der.octet_string(SUBJECT_KEY_ID)),
    }
    if profile.issuers:
        found[oids.AUTHORITY_KEY_IDENTIFIER] = (False, der.sequence(der.tlv(0x80, ISSUER_KEY_ID)))
    if profile.extended_key_usage:
        found[oids.EXTENDED_KEY_USAGE] = (False, der.sequence(*map(der.oid, profile.extended_key_usage)))
    if profile.san is SanRule.FROM_CN:
        found[oids.SUBJECT_ALT_NAME] = (False, AltNames((subject_of(profile).first("CN"),)).encode())
    methods = [(oids.AD_OCSP, profile.has_ocsp_url), (oids.AD_CA_ISSUERS, profile.has_issuer_url)]
    if any(is_wanted for _, is_wanted in methods):
        found[oids.AUTHORITY_INFO_ACCESS] = (False, info_access(*((method, URL) for method, is_wanted in methods if is_wanted)))
    if profile.has_crl_url:
        found[oids.CRL_DISTRIBUTION_POINTS] = (False, crl_points(URL))
    if profile.has_ocsp_no_check:
        found[oids.OCSP_NO_CHECK] = (False, b"\x05\x00")
    return found


def forge_tbs(
    profile: Profile,
    *,
    version: bytes | None = None,
    serial: bytes | None = None,
    signature: SignatureAlgorithm | bytes = SignatureAlgorithm.ECDSA_SHA256,
    issuer: bytes | None = None,
    not_before: bytes | None = None,
    not_after: bytes | None = None,
    subject: Name | None = None,
    spec: KeySpec = KeySpec.P256,
    extensions: Mapping[str, Part | None] | None = None,
    repeated: bytes = b"",
) -> bytes:
    """`extensions` replaces single ones, None drops one; `repeated` is appended to the list as it is."""
    name = (subject_of(profile) if subject is None else subject).encode()
    parts = {**extensions_of(profile, spec), **(extensions or {})}
    encoded = [extension(id, *part) for id, part in parts.items() if part is not None]
    return der.sequence(
        der.explicit(0, der.integer(2)) if version is None else version,
        der.integer(1 << 126) if serial is None else serial,
        signature if isinstance(signature, bytes) else ALGORITHM_IDENTIFIER[signature],
        issuer if issuer is not None else ISSUER if profile.issuers else name,
        der.sequence(not_before or der.time(NOW - timedelta(hours=1)), not_after or der.time(NOW + timedelta(days=30))),
        name,
        spki(spec),
        der.explicit(3, der.sequence(*encoded, repeated)),
    )


def extension(id: str, is_critical: bool, value: bytes) -> bytes:
    return der.sequence(der.oid(id), der.boolean(True) if is_critical else b"", der.octet_string(value))
