"""Certificates, chains and keys in people's words."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from chargepki.core import der, oids
from chargepki.core.algorithms import KeySpec, PublicKey, spki_of
from chargepki.core.inspect.extensions import explain_extensions
from chargepki.core.inspect.model import Node
from chargepki.core.inspect.words import PARSER_ERRORS, SIGNATURES, cut, days, read, spell_encoded_name, spell_serial, spell_time
from chargepki.core.keychecks import describe_key, find_key_faults
from chargepki.core.ocsp import cert_id_hashes
from chargepki.errors import Finding, Severity

Found = tuple[Node, tuple[Finding, ...]]


def parse_certificate(octets: bytes) -> x509.Certificate:
    """`Refused` with the rule that the octets break."""
    return read("certificate", lambda: x509.load_der_x509_certificate(octets))


def explain_certificate(certificate: x509.Certificate, issuer: x509.Certificate | None, now: datetime | None) -> Found:
    """`issuer` is the certificate next to it, if one is at hand; it counts only where its signature is on this one."""
    if issuer is None or not is_issued_by(certificate, issuer):
        issuer = certificate if is_issued_by(certificate, certificate) else None
    extensions, faults = explain_extensions(certificate)
    key, key_faults = explain_key_of(certificate)
    octets = certificate.public_bytes(serialization.Encoding.DER)
    names = _names_of(certificate)
    subject = spell_encoded_name(names.subject)
    children = (
        Node("Subject", subject),
        Node("Issuer", spell_encoded_name(names.issuer), note="self-signed" if issuer is certificate else ""),
        Node("Serial number", spell_serial(certificate.serial_number)),
        Node("Valid from", spell_time(certificate.not_valid_before_utc)),
        Node("Valid until", spell_time(certificate.not_valid_after_utc), note=_spell_validity(certificate, now)),
        key,
        Node("Signature", _spell_signature(certificate.signature_algorithm_oid)),
        extensions,
        Node("SHA-256 fingerprint", hashlib.sha256(octets).hexdigest()),
        Node("SHA-1 fingerprint", hashlib.sha1(octets, usedforsecurity=False).hexdigest()),
        *_explain_hash_data(certificate, issuer),
    )
    return Node("Certificate", subject, children), (*faults, *key_faults)


def explain_chain(certificates: Sequence[x509.Certificate], now: datetime | None) -> Found:
    """Each certificate in its place, and whether the places are right: leaf first, every issuer after what it issued."""
    nodes, found = [], []
    for place, certificate in enumerate(certificates):
        following = certificates[place + 1] if place + 1 < len(certificates) else None
        node, faults = explain_certificate(certificate, following, now)
        nodes.append(replace(node, label=f"Certificate {place + 1}"))
        found += [replace(fault, path=f"certificate[{place}].{fault.path}") for fault in faults]
    order, order_faults = _explain_order(certificates)
    return Node("Chain", f"{len(certificates)} certificates", (order, *nodes)), (*order_faults, *found)


def explain_key(key: PublicKey) -> Found:
    """Kind, identifiers, and what is weak about it. Kinds that no profile here allows are no finding."""
    spki = spki_of(key)
    key_bits = der.parse_element(spki).children()[1].content[1:]
    children = (
        Node("SHA-256 of the SubjectPublicKeyInfo", hashlib.sha256(spki).hexdigest()),
        Node("SHA-1 of the key's bits", hashlib.sha1(key_bits, usedforsecurity=False).hexdigest(), note="the usual key identifier"),
    )
    faults = (fault for fault in find_key_faults(key, frozenset(KeySpec)) if fault.code != "key.kind")
    return Node("Public key", describe_key(key), children), tuple(replace(fault, path="key") for fault in faults)


def explain_key_of(owner: x509.Certificate | x509.CertificateSigningRequest) -> Found:
    try:
        return explain_key(owner.public_key())
    except PARSER_ERRORS as error:
        finding = Finding(
            "inspect.key", f"the public key cannot be read: {cut(str(error), 200)}", Severity.ERROR, "key", "RFC 5280 4.1.2.7"
        )
        return Node("Public key", "unreadable"), (finding,)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Names match and the signature verifies; an algorithm nobody here knows verifies nothing."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *PARSER_ERRORS):
        return False
    return True


class _Names(NamedTuple):
    issuer: bytes
    subject: bytes


def _names_of(certificate: x509.Certificate) -> _Names:
    """The names as they stand, octet for octet: hashes are taken over them."""
    fields = list(der.parse_element(certificate.tbs_certificate_bytes).children())
    if fields[0].tag == der.context(0):
        del fields[0]  # the version, absent in version 1
    return _Names(fields[2].raw, fields[4].raw)


def _spell_signature(oid: x509.ObjectIdentifier) -> str:
    return SIGNATURES.get(oid.dotted_string, oid.dotted_string)


def _spell_validity(certificate: x509.Certificate, now: datetime | None) -> str:
    if now is None:
        return ""
    if now < certificate.not_valid_before_utc:
        return f"begins in {days((certificate.not_valid_before_utc - now).days)}"
    if now > certificate.not_valid_after_utc:
        return f"expired {days((now - certificate.not_valid_after_utc).days)} ago"
    return f"{days((certificate.not_valid_after_utc - now).days)} left"


def _explain_hash_data(certificate: x509.Certificate, issuer: x509.Certificate | None) -> tuple[Node, ...]:
    """OCPP CertificateHashDataType; serial numbers are hexadecimal without leading zeros (OCPP 1.6 whitepaper 6.1)."""
    if issuer is None:
        return ()
    try:
        hashes = cert_id_hashes(_names_of(certificate).issuer, spki_of(issuer.public_key()), oids.SHA256)
    except PARSER_ERRORS:
        return ()
    children = (
        Node("hashAlgorithm", "SHA256"),
        Node("issuerNameHash", hashes.name.hex()),
        Node("issuerKeyHash", hashes.key.hex()),
        Node("serialNumber", f"{certificate.serial_number:x}"),
    )
    return (Node("OCPP certificate hash data", children=children),)


def _explain_order(certificates: Sequence[x509.Certificate]) -> Found:
    pairs = pairwise(certificates)
    breaks = [place for place, (below, above) in enumerate(pairs, 1) if not is_issued_by(below, above)]
    last = certificates[-1]
    end = "the root is included" if is_issued_by(last, last) else "the root is not included"
    if not breaks:
        return Node("Order", "leaf first, each followed by its issuer", note=end), ()
    message = ", ".join(f"certificate {place + 1} did not issue certificate {place}" for place in breaks[:8])
    finding = Finding(
        "inspect.chain.order",
        message,
        Severity.WARNING,
        "chain",
        "OCPP 2.1 part 2 1.7.1, RFC 8446 4.4.2",
        "put the leaf first and behind each certificate the one that issued it",
    )
    return Node("Order", "not a chain from leaf to root", note=message), (finding,)
