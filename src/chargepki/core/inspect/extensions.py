"""Extensions of certificates, CRLs and OCSP messages, by name and with their meaning."""

from collections.abc import Iterable
from typing import Final

from cryptography import x509

from chargepki.core.inspect.model import Node
from chargepki.core.inspect.words import PARSER_ERRORS, PURPOSES, cut, spell_name, spell_text
from chargepki.errors import Finding, Severity

LISTED_MAX: Final = 64  # names, purposes, addresses of one extension

_TITLES: Final[dict[str, str]] = {
    "basicConstraints": "Basic constraints",
    "keyUsage": "Key usage",
    "extendedKeyUsage": "Extended key usage",
    "subjectAltName": "Subject alternative names",
    "subjectKeyIdentifier": "Subject key identifier",
    "authorityKeyIdentifier": "Authority key identifier",
    "authorityInfoAccess": "Authority information access",
    "cRLDistributionPoints": "CRL distribution points",
    "certificatePolicies": "Certificate policies",
    "nameConstraints": "Name constraints",
    "OCSPNoCheck": "OCSP no check",
    "cRLNumber": "CRL number",
}
_ACCESS: Final = {"OCSP": "OCSP", "caIssuers": "issuer certificate"}
_USAGES: Final = (
    ("digital_signature", "digitalSignature"),
    ("content_commitment", "nonRepudiation"),
    ("key_encipherment", "keyEncipherment"),
    ("data_encipherment", "dataEncipherment"),
    ("key_agreement", "keyAgreement"),
    ("key_cert_sign", "keyCertSign"),
    ("crl_sign", "cRLSign"),
)


def explain_extensions(
    owner: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList,
) -> tuple[Node, tuple[Finding, ...]]:
    """The extensions of `owner`; where one of them cannot be read, none is shown and a finding says why."""
    try:
        found = list(owner.extensions)
    except PARSER_ERRORS as error:
        message = f"the extensions break a rule: {cut(str(error), 200)}"
        finding = Finding("inspect.extensions", message, Severity.ERROR, "extensions", "RFC 5280 4.2")
        return Node("Extensions", "unreadable"), (finding,)
    return Node("Extensions", "" if found else "none", tuple(_explain(extension) for extension in found)), ()


def _explain(extension: x509.Extension[x509.ExtensionType]) -> Node:
    name = extension.oid._name if extension.oid._name != "Unknown OID" else extension.oid.dotted_string  # noqa: SLF001 - the only table of names there is
    lines = list(_spell(extension.value))
    note = "critical" if extension.critical else ""
    label = _TITLES.get(name, name)
    if len(lines) == 1:
        return Node(label, lines[0], note=note)
    shown = tuple(Node("", line) for line in lines[:LISTED_MAX])
    more = (Node("", f"and {len(lines) - LISTED_MAX} more"),) if len(lines) > LISTED_MAX else ()
    return Node(label, children=(*shown, *more), note=note)


def _spell(value: x509.ExtensionType) -> Iterable[str]:
    match value:
        case x509.BasicConstraints():
            limit = "" if value.path_length is None else f", at most {value.path_length} CAs below it"
            yield f"a certification authority{limit}" if value.ca else "not a certification authority"
        case x509.KeyUsage():
            yield ", ".join(name for attribute, name in _USAGES if getattr(value, attribute)) or "none"
        case x509.ExtendedKeyUsage():
            yield ", ".join(PURPOSES.get(purpose.dotted_string, purpose.dotted_string) for purpose in value)
        case x509.SubjectAlternativeName() | x509.IssuerAlternativeName():
            yield from (spell_general_name(name) for name in value)
        case x509.SubjectKeyIdentifier():
            yield value.digest.hex(":")
        case x509.AuthorityKeyIdentifier():
            yield value.key_identifier.hex(":") if value.key_identifier else "by issuer and serial number"
        case x509.AuthorityInformationAccess():
            for access in value:
                method = access.access_method._name  # noqa: SLF001
                yield f"{_ACCESS.get(method, method)}: {spell_general_name(access.access_location)}"
        case x509.CRLDistributionPoints() | x509.FreshestCRL():
            yield from (spell_general_name(name) for point in value for name in point.full_name or ())
        case _:
            yield from _spell_rare(value)


def _spell_rare(value: x509.ExtensionType) -> Iterable[str]:
    match value:
        case x509.CertificatePolicies():
            yield from (policy.policy_identifier.dotted_string for policy in value)
        case x509.NameConstraints():
            yield from (f"permitted {spell_general_name(name)}" for name in value.permitted_subtrees or ())
            yield from (f"excluded {spell_general_name(name)}" for name in value.excluded_subtrees or ())
        case x509.OCSPNoCheck():
            yield "this responder's own status is not to be asked"
        case x509.CRLNumber():
            yield str(value.crl_number)
        case x509.DeltaCRLIndicator():
            yield f"changes since CRL {value.crl_number}"
        case x509.CRLReason():
            yield value.reason.value
        case x509.OCSPNonce():
            yield value.nonce.hex(":")
        case x509.IssuingDistributionPoint():
            yield from (spell_general_name(name) for name in value.full_name or ())
        case x509.UnrecognizedExtension():
            yield f"{len(value.value)} octets: {cut(value.value.hex(), 64)}"
        case _:
            yield cut(repr(value), 200)


def spell_general_name(name: x509.GeneralName) -> str:
    match name:
        case x509.DNSName() | x509.UniformResourceIdentifier() | x509.RFC822Name():
            return spell_text(name.value)
        case x509.IPAddress():
            return str(name.value)
        case x509.DirectoryName():
            return spell_name(name.value)
        case x509.RegisteredID():
            return name.value.dotted_string
        case x509.OtherName():
            return f"{name.type_id.dotted_string}: {cut(name.value.hex(), 64)}"
        case _:
            return type(name).__name__
