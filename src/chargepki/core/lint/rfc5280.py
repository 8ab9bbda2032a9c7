"""RFC 5280 (with RFC 6818, RFC 6960 and RFC 9525 where they add to it): what any certificate must be."""

import re
from typing import Final

from chargepki.core import der, oids
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER
from chargepki.core.lint.rule import LintContext, Rule
from chargepki.core.lint.view import TbsView
from chargepki.core.names import UPPER_BOUND
from chargepki.core.profiles.model import KeyUsage, ProfileKind

SERIAL_OCTETS_MAX: Final = 20  # RFC 5280 4.1.2.2
DNS_NAME_MAX: Final = 253  # RFC 1035 2.3.4

_GENERALIZED_FROM: Final = 2050  # RFC 5280 4.1.2.5
_KNOWN_SIGNATURES: Final = frozenset(ALGORITHM_IDENTIFIER.values())
_EMPTY_NAME: Final = der.sequence()
_DNS_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME: Final = re.compile(rf"(\*\.)?{_DNS_LABEL}(\.{_DNS_LABEL})*")
_NEVER_CRITICAL: Final[dict[str, str]] = {
    oids.AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",  # RFC 5280 4.2.1.1
    oids.SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",  # 4.2.1.2
    oids.AUTHORITY_INFO_ACCESS: "authorityInfoAccess",  # 4.2.2.1
    oids.CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",  # 4.2.1.13: SHOULD
}


def version(tbs: TbsView, _: LintContext) -> str:
    """A certificate with extensions has version 3."""
    return "" if tbs.version == 3 else f"the version is {tbs.version}"


def serial_positive(tbs: TbsView, _: LintContext) -> str:
    """The serial number is positive."""
    return "" if tbs.serial[0] < 0x80 and any(tbs.serial) else "the serial number is zero or negative"


def serial_length(tbs: TbsView, _: LintContext) -> str:
    """The serial number has at most 20 octets."""
    return "" if len(tbs.serial) <= SERIAL_OCTETS_MAX else f"the serial number has {len(tbs.serial)} octets"


def signature_algorithm(tbs: TbsView, _: LintContext) -> str:
    """The signature algorithm is one this platform makes, spelt as its RFC says."""
    return "" if tbs.signature in _KNOWN_SIGNATURES else f"the signature algorithm {tbs.signature[:24].hex()} is unknown"


def issuer_matches(tbs: TbsView, context: LintContext) -> str:
    """The issuer field is, octet for octet, the subject of the issuing certificate."""
    expected = tbs.subject if context.issuer_subject_der is None else context.issuer_subject_der
    return "" if tbs.issuer == expected else "the issuer field differs from the issuer's subject"


def issuer_not_empty(tbs: TbsView, _: LintContext) -> str:
    """The issuer field is not empty."""
    return "the issuer field is empty" if tbs.issuer == _EMPTY_NAME else ""


def validity_order(tbs: TbsView, _: LintContext) -> str:
    """The validity ends after it begins."""
    return "" if tbs.not_before.at < tbs.not_after.at else "notAfter is not after notBefore"


def validity_encoding(tbs: TbsView, _: LintContext) -> str:
    """Times through 2049 are UTCTime, from 2050 on GeneralizedTime."""
    for name, time in (("notBefore", tbs.not_before), ("notAfter", tbs.not_after)):
        if (time.tag == der.GENERALIZED_TIME) != (time.at.year >= _GENERALIZED_FROM):
            return f"{name} {time.at:%Y-%m-%d} has the wrong time type"
    return ""


def subject_bounds(tbs: TbsView, _: LintContext) -> str:
    """Attribute values have at least one character and at most the upper bound of their type."""
    faults = [
        f"{attribute.type} has {len(attribute.value)} characters"
        for attribute in tbs.attributes
        if not 0 < len(attribute.value) <= UPPER_BOUND.get(attribute.type, 64)
    ]
    return "; ".join(faults)


def subject_of_ca(tbs: TbsView, context: LintContext) -> str:
    """A CA's subject is not empty; a leaf's may be only with a critical subject alternative name."""
    if tbs.attributes or (not context.profile.is_ca and oids.SUBJECT_ALT_NAME in tbs.critical):
        return ""
    return "the subject is empty"


def extensions_unique(tbs: TbsView, _: LintContext) -> str:
    """No type of extension occurs twice."""
    return "" if len(tbs.present) == len(tbs.extensions) else "an extension occurs twice"


def extensions_criticality(tbs: TbsView, _: LintContext) -> str:
    """Key identifiers, information access and CRL distribution points are not critical."""
    return ", ".join(f"{_NEVER_CRITICAL[id]} is critical" for id in tbs.critical if id in _NEVER_CRITICAL)


def authority_key_id(tbs: TbsView, context: LintContext) -> str:
    """The authority key identifier is the issuer's subject key identifier; only a self-signed certificate may lack it."""
    if context.issuer_key_id is None:
        is_own = tbs.authority_key_id in (b"", tbs.subject_key_id)
        return "" if is_own else "the authority key identifier of a self-signed certificate names another key"
    if not tbs.authority_key_id:
        return "there is no authority key identifier"
    return "" if tbs.authority_key_id == context.issuer_key_id else "the authority key identifier is not the issuer's"


def subject_key_id(tbs: TbsView, context: LintContext) -> str:
    """A CA certificate has a subject key identifier."""
    return "there is no subject key identifier" if context.profile.is_ca and not tbs.subject_key_id else ""


def basic_constraints_of_ca(tbs: TbsView, context: LintContext) -> str:
    """A CA certificate has critical basic constraints with cA."""
    if not context.profile.is_ca:
        return ""
    if tbs.basic_constraints is None or not tbs.basic_constraints.is_ca:
        return "the basic constraints of a CA do not say cA"
    return "" if oids.BASIC_CONSTRAINTS in tbs.critical else "the basic constraints of a CA are not critical"


def basic_constraints_of_leaf(tbs: TbsView, context: LintContext) -> str:
    """A certificate that is no CA's does not say cA."""
    is_ca = tbs.basic_constraints is not None and tbs.basic_constraints.is_ca
    return "the basic constraints make a CA of a leaf" if is_ca and not context.profile.is_ca else ""


def path_length(tbs: TbsView, _: LintContext) -> str:
    """A path length stands only beside cA, and is not negative."""
    constraints = tbs.basic_constraints
    if constraints is None or constraints.path_length is None:
        return ""
    return "" if constraints.is_ca and constraints.path_length >= 0 else "the path length stands without cA, or is negative"


def key_usage_critical(tbs: TbsView, _: LintContext) -> str:
    """The key usage is present, says something, and is critical."""
    if not tbs.key_usage:
        return "there is no key usage"
    return "" if oids.KEY_USAGE in tbs.critical else "the key usage is not critical"


def key_cert_sign(tbs: TbsView, _: LintContext) -> str:
    """keyCertSign stands only beside cA."""
    is_ca = tbs.basic_constraints is not None and tbs.basic_constraints.is_ca
    signs = KeyUsage.KEY_CERT_SIGN in (tbs.key_usage or ())
    return "keyCertSign stands without cA" if signs and not is_ca else ""


def purposes_not_empty(tbs: TbsView, _: LintContext) -> str:
    """An extended key usage names at least one purpose, none of them twice."""
    if oids.EXTENDED_KEY_USAGE not in tbs.present:
        return ""
    return "" if tbs.purposes and len(set(tbs.purposes)) == len(tbs.purposes) else "the extended key usage is empty or repeats itself"


def alt_names_present(tbs: TbsView, _: LintContext) -> str:
    """A subject alternative name holds at least one name, and is critical exactly where the subject is empty."""
    if oids.SUBJECT_ALT_NAME not in tbs.present:
        return ""
    if not tbs.alt_names:
        return "the subject alternative name holds no DNS name, address or URI"
    is_critical = oids.SUBJECT_ALT_NAME in tbs.critical
    return "" if is_critical == (not tbs.attributes) else "the criticality of the subject alternative name does not fit the subject"


def dns_names(tbs: TbsView, _: LintContext) -> str:
    """DNS names are in preferred name syntax."""
    wrong = [name for name in tbs.alt_names.dns if len(name) > DNS_NAME_MAX or not _DNS_NAME.fullmatch(name)]
    return f"{wrong[0][:80]!r} is no DNS name" if wrong else ""


def ocsp_no_check(tbs: TbsView, context: LintContext) -> str:
    """A responder whose status nobody publishes carries ocsp-nocheck, and nothing else does."""
    if (oids.OCSP_NO_CHECK in tbs.present) == context.profile.has_ocsp_no_check:
        return ""
    return "ocsp-nocheck is missing" if context.profile.has_ocsp_no_check else "ocsp-nocheck belongs to OCSP responders alone"


def root_purposes(tbs: TbsView, context: LintContext) -> str:
    """A root carries no extended key usage: it would bind everything below it."""
    is_root = context.profile.kind is ProfileKind.ROOT
    return "a root carries an extended key usage" if is_root and oids.EXTENDED_KEY_USAGE in tbs.present else ""


RULES: Final[tuple[Rule, ...]] = (
    Rule("rfc5280.certificate.version", "RFC 5280 4.1.2.1", version, "version"),
    Rule("rfc5280.serial.positive", "RFC 5280 4.1.2.2", serial_positive, "serial"),
    Rule("rfc5280.serial.length", "RFC 5280 4.1.2.2", serial_length, "serial"),
    Rule("rfc5280.signature.algorithm", "RFC 5280 4.1.2.3", signature_algorithm, "signature"),
    Rule("rfc5280.issuer.match", "RFC 5280 4.1.2.4, 6.1.3", issuer_matches, "issuer"),
    Rule("rfc5280.issuer.empty", "RFC 5280 4.1.2.4", issuer_not_empty, "issuer"),
    Rule("rfc5280.validity.order", "RFC 5280 4.1.2.5", validity_order, "validity"),
    Rule("rfc5280.validity.encoding", "RFC 5280 4.1.2.5", validity_encoding, "validity"),
    Rule("rfc5280.subject.bounds", "RFC 5280 A.1", subject_bounds, "subject"),
    Rule("rfc5280.subject.empty", "RFC 5280 4.1.2.6", subject_of_ca, "subject"),
    Rule("rfc5280.extensions.unique", "RFC 5280 4.2", extensions_unique, "extensions"),
    Rule("rfc5280.extensions.criticality", "RFC 5280 4.2.1.1, 4.2.1.2, 4.2.2.1", extensions_criticality, "extensions"),
    Rule("rfc5280.authority_key_id.match", "RFC 5280 4.2.1.1", authority_key_id, "extensions.authorityKeyIdentifier"),
    Rule("rfc5280.subject_key_id.present", "RFC 5280 4.2.1.2", subject_key_id, "extensions.subjectKeyIdentifier"),
    Rule("rfc5280.basic_constraints.ca", "RFC 5280 4.2.1.9", basic_constraints_of_ca, "extensions.basicConstraints"),
    Rule("rfc5280.basic_constraints.leaf", "RFC 5280 4.2.1.9", basic_constraints_of_leaf, "extensions.basicConstraints"),
    Rule("rfc5280.basic_constraints.path_length", "RFC 5280 4.2.1.9", path_length, "extensions.basicConstraints"),
    Rule("rfc5280.key_usage.critical", "RFC 5280 4.2.1.3", key_usage_critical, "extensions.keyUsage"),
    Rule("rfc5280.key_usage.cert_sign", "RFC 5280 4.2.1.3, 4.2.1.9", key_cert_sign, "extensions.keyUsage"),
    Rule("rfc5280.extended_key_usage.purposes", "RFC 5280 4.2.1.12", purposes_not_empty, "extensions.extKeyUsage"),
    Rule("rfc5280.extended_key_usage.root", "RFC 5280 4.2.1.12", root_purposes, "extensions.extKeyUsage"),
    Rule("rfc5280.subject_alt_name.form", "RFC 5280 4.2.1.6", alt_names_present, "extensions.subjectAltName"),
    Rule("rfc5280.subject_alt_name.dns", "RFC 5280 4.2.1.6, RFC 1034 3.5", dns_names, "extensions.subjectAltName"),
    Rule("rfc6960.responder.no_check", "RFC 6960 4.2.2.2.1", ocsp_no_check, "extensions.ocspNoCheck"),
)
