"""From a profile and an issuer to certificate bytes, in the steps that keep a mistake from being signed.

compile_template(profile, issuer)   once per pair: everything that does not change, as DER
plan_certificate(template, ...)     one request: the TBSCertificate, built once
check_plan(plan, template, now)     every lint; the only way to a LintedPlan
assemble_certificate(linted, sig)   the certificate; a LintedPlan is all that may be signed
check_certificate(der, linted, ..)  the result says what was planned, and its signature verifies
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from chargepki.core import der, oids
from chargepki.core.algorithms import (
    ALGORITHM_IDENTIFIER,
    RSA_KINDS,
    KeySpec,
    PublicKey,
    SignatureAlgorithm,
    is_signature_valid,
)
from chargepki.core.lint import LintContext, lint_tbs
from chargepki.core.names import AltNames, Name
from chargepki.core.profiles.model import BACKDATE, KeyUsage, Profile
from chargepki.core.records import AuthorityId, ProfileId
from chargepki.errors import Broken, Finding, refuse_errors

SERIAL_OCTETS: Final = 16  # 127 random bits under a leading one: RFC 5280 4.1.2.2 allows 20 octets, OCPP 40 hex characters
_KEY_USAGE_BIT: Final = {
    usage: bit
    for bit, usage in enumerate(
        (
            KeyUsage.DIGITAL_SIGNATURE,
            KeyUsage.NON_REPUDIATION,
            KeyUsage.KEY_ENCIPHERMENT,
            KeyUsage.DATA_ENCIPHERMENT,
            KeyUsage.KEY_AGREEMENT,
            KeyUsage.KEY_CERT_SIGN,
            KeyUsage.CRL_SIGN,
        )
    )
}  # RFC 5280 4.2.1.3
_VERSION_3: Final = der.explicit(0, der.integer(2))


@dataclass(frozen=True, slots=True)
class Issuer:
    """The authority that will sign, as far as bytes depend on it. Urls are "" where the deployment has none."""

    authority: AuthorityId
    name: bytes  # DER of its subject
    key_id: bytes  # its SubjectKeyIdentifier
    signature: SignatureAlgorithm
    not_after: datetime | None  # None while a root makes its own certificate
    ocsp_url: str = ""
    issuer_url: str = ""
    crl_url: str = ""


@dataclass(frozen=True, slots=True)
class Template:
    """Everything of a certificate that is the same for each (profile, issuer, kind of key)."""

    profile: Profile
    issuer: Issuer
    path_length: int | None
    issuer_part: bytes  # signature AlgorithmIdentifier and issuer name
    fixed_extensions: bytes
    key_usage: bytes
    rsa_key_usage: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A TBSCertificate that nobody has looked at yet."""

    tbs: bytes
    serial: int
    profile: ProfileId
    issuer: AuthorityId
    signature: SignatureAlgorithm
    not_before: datetime
    not_after: datetime


class LintedPlan:
    """A plan that passed every lint. Only `check_plan` makes one, so what was not linted cannot be signed."""

    __slots__ = ("findings", "plan", "tbs_sha256")

    def __init__(self, plan: Plan, findings: tuple[Finding, ...], *, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a LintedPlan comes from check_plan alone")
        self.plan = plan
        self.findings = findings
        self.tbs_sha256 = hashlib.sha256(plan.tbs).digest()


_SEAL: Final = object()


def compile_template(profile: Profile, issuer: Issuer, *, path_length: int | None = None) -> Template:
    """The constant part of every certificate of this profile from this issuer. `path_length` narrows a CA profile's own."""
    limit = profile.path_length if path_length is None else path_length
    fixed = [
        _extension(oids.BASIC_CONSTRAINTS, _basic_constraints(profile, limit), is_critical=True),
        _extension(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.tlv(0x80, issuer.key_id))),
    ]
    if profile.extended_key_usage:
        fixed.append(_extension(oids.EXTENDED_KEY_USAGE, der.sequence(*map(der.oid, profile.extended_key_usage))))
    if access := _authority_info_access(profile, issuer):
        fixed.append(_extension(oids.AUTHORITY_INFO_ACCESS, access))
    if profile.has_crl_url and issuer.crl_url:
        fixed.append(_extension(oids.CRL_DISTRIBUTION_POINTS, _crl_distribution_points(issuer.crl_url)))
    if profile.has_ocsp_no_check:
        fixed.append(_extension(oids.OCSP_NO_CHECK, b"\x05\x00"))
    return Template(
        profile,
        issuer,
        limit,
        ALGORITHM_IDENTIFIER[issuer.signature] + issuer.name,
        b"".join(fixed),
        _key_usage_extension(profile.key_usage),
        _key_usage_extension(profile.key_usage if profile.rsa_key_usage is None else profile.rsa_key_usage),
    )


def plan_certificate(
    template: Template,
    *,
    serial: int,
    name: Name,
    alt_names: AltNames,
    spki: bytes,
    key_spec: KeySpec,
    now: datetime,
    validity_days: int | None = None,
) -> Plan:
    """The TBSCertificate (RFC 5280 4.1.2). It begins `BACKDATE` ago and never ends after its issuer."""
    days = template.profile.validity_days if validity_days is None else validity_days
    not_before, not_after = now - BACKDATE, now + timedelta(days=days)
    if template.issuer.not_after is not None:
        not_after = min(not_after, template.issuer.not_after)
    extensions = [template.fixed_extensions, template.rsa_key_usage if key_spec in RSA_KINDS else template.key_usage]
    extensions.append(_extension(oids.SUBJECT_KEY_IDENTIFIER, der.octet_string(key_identifier(spki))))
    if alt_names:
        extensions.append(_extension(oids.SUBJECT_ALT_NAME, alt_names.encode(), is_critical=not name.attributes))
    tbs = der.sequence(
        _VERSION_3,
        der.integer(serial),
        template.issuer_part,
        der.sequence(der.time(not_before), der.time(not_after)),
        name.encode(),
        spki,
        der.explicit(3, der.sequence(*extensions)),
    )
    return Plan(tbs, serial, template.profile.id, template.issuer.authority, template.issuer.signature, not_before, not_after)


def check_plan(plan: Plan, template: Template, now: datetime) -> LintedPlan:
    """Runs every lint over the exact bytes; `Refused` with all findings when one is an error."""
    is_self_signed = not template.profile.issuers
    context = LintContext(
        profile=template.profile,
        issuer_subject_der=None if is_self_signed else template.issuer.name,
        issuer_key_id=None if is_self_signed else template.issuer.key_id,
        issuer_not_after=template.issuer.not_after,
        now=now,
    )
    return LintedPlan(plan, refuse_errors(lint_tbs(plan.tbs, context)), seal=_SEAL)


def assemble_certificate(linted: LintedPlan, signature: bytes) -> bytes:
    """The DER certificate."""
    return der.sequence(linted.plan.tbs, ALGORITHM_IDENTIFIER[linted.plan.signature], der.bit_string(signature))


def check_certificate(certificate: bytes, linted: LintedPlan, issuer_key: PublicKey) -> None:
    """Reads the certificate back with another parser and verifies it; `Broken` when it is not what was planned."""
    plan = linted.plan
    parsed = x509.load_der_x509_certificate(certificate)
    if parsed.tbs_certificate_bytes != plan.tbs or parsed.serial_number != plan.serial:
        raise Broken("the signed certificate differs from its plan", hint="the certificate was discarded; check the key vault")
    if not is_signature_valid(issuer_key, plan.signature, parsed.signature, plan.tbs):
        raise Broken(
            "the vault's signature does not verify", hint="the certificate was discarded; check that the vault holds the issuer's key"
        )


def serial_from(entropy: bytes) -> int:
    """A positive serial number of `SERIAL_OCTETS` octets whose size never depends on chance."""
    if len(entropy) != SERIAL_OCTETS:
        raise ValueError(f"a serial number takes {SERIAL_OCTETS} octets of entropy")
    return int.from_bytes(entropy, "big") & ((1 << 127) - 1) | (1 << 126)


def key_identifier(spki: bytes) -> bytes:
    """RFC 7093 2, method 1: the leftmost 160 bits of the SHA-256 of the key's bits."""
    key_bits = der.parse_element(spki).children()[1].expect(der.BIT_STRING).content[1:]
    return hashlib.sha256(key_bits).digest()[:20]


def _extension(id: str, value: bytes, *, is_critical: bool = False) -> bytes:
    return der.sequence(der.oid(id), der.boolean(True) if is_critical else b"", der.octet_string(value))


def _basic_constraints(profile: Profile, path_length: int | None) -> bytes:
    if not profile.is_ca:
        return der.sequence()
    return der.sequence(der.boolean(True), b"" if path_length is None else der.integer(path_length))


def _key_usage_extension(usages: frozenset[KeyUsage]) -> bytes:
    bits = sum(1 << (7 - _KEY_USAGE_BIT[usage]) for usage in usages)
    unused = (bits & -bits).bit_length() - 1  # X.690 11.2.2: no trailing zero bits in a named bit list
    return _extension(oids.KEY_USAGE, der.bit_string(bytes((bits,)), unused), is_critical=True)


def _authority_info_access(profile: Profile, issuer: Issuer) -> bytes:
    wanted = (
        (oids.AD_OCSP, issuer.ocsp_url if profile.has_ocsp_url else ""),
        (oids.AD_CA_ISSUERS, issuer.issuer_url if profile.has_issuer_url else ""),
    )
    methods = [der.sequence(der.oid(method), der.ia5_string(url, 0x86)) for method, url in wanted if url]
    return der.sequence(*methods) if methods else b""


def _crl_distribution_points(url: str) -> bytes:
    # DistributionPoint { distributionPoint [0] { fullName [0] { uniformResourceIdentifier [6] } } }
    return der.sequence(der.sequence(der.explicit(0, der.explicit(0, der.ia5_string(url, 0x86)))))
