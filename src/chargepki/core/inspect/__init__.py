"""Reads anything X.509 and explains it. No private key is ever read, let alone shown."""

import ipaddress
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from chargepki.core.cms import parse_certs_only
from chargepki.core.csr import parse_csr
from chargepki.core.extensions import ALT_NAMES_MAX
from chargepki.core.inspect.certificate import Found, explain_certificate, explain_chain, explain_key, explain_key_of, parse_certificate
from chargepki.core.inspect.extensions import explain_extensions
from chargepki.core.inspect.model import Inspection, Kind, Node
from chargepki.core.inspect.shape import guess_kind
from chargepki.core.inspect.status import explain_crl, explain_ocsp_request, explain_ocsp_response
from chargepki.core.inspect.words import SIGNATURES, cut, read, spell_name, spell_text
from chargepki.core.pem import Blob, parse_any
from chargepki.errors import Refused

__all__ = ["OCTETS_MAX", "Inspection", "Kind", "Node", "inspect"]

OCTETS_MAX: Final = 1024 * 1024  # a CRL with 25,000 entries; anything longer is not for reading


def inspect(data: bytes, *, now: datetime | None = None, issuer: bytes = b"") -> Inspection:
    """What `data` is and says (PEM, DER or base64; one object or several). `now` adds how long things last still; `issuer` (any
    spelling) lets a single certificate's OCPP hash data be shown. `Refused`: too long, none of the known kinds, or malformed."""
    blobs = parse_any(data, octets_max=OCTETS_MAX)
    kinds = [_kind_of(blob) for blob in blobs]
    above = parse_certificate(parse_any(issuer, octets_max=OCTETS_MAX)[0].der) if issuer else None
    if len(blobs) == 1:
        return Inspection(kinds[0], *_explain(kinds[0], blobs[0].der, above, now))
    if set(kinds) == {Kind.CERTIFICATE}:
        chain = [parse_certificate(blob.der) for blob in blobs]
        return Inspection(Kind.CHAIN, *read("certificate", lambda: explain_chain(chain, now)))
    nodes, found = [], []
    for place, (kind, blob) in enumerate(zip(kinds, blobs, strict=True)):
        node, faults = _explain(kind, blob.der, above, now)
        nodes.append(node)
        found += [replace(fault, path=f"block[{place}].{fault.path}") for fault in faults]
    return Inspection(Kind.BUNDLE, Node("Bundle", f"{len(blobs)} blocks", tuple(nodes)), tuple(found))


def _kind_of(blob: Blob) -> Kind:
    kind = guess_kind(blob.label, blob.der)
    if kind is None:
        what = f"a PEM block named {spell_text(blob.label)}" if blob.label else "this"
        raise Refused.because(
            "inspect.unknown",
            f"{what} is no certificate, request, CRL, OCSP message, PKCS#7 or key in DER",
            clause="X.690 10",
            hint="openssl asn1parse -inform DER -in FILE shows the raw structure",
        )
    return kind


def _explain(kind: Kind, octets: bytes, issuer: x509.Certificate | None, now: datetime | None) -> Found:
    match kind:
        case Kind.CERTIFICATE:
            return read("certificate", lambda: explain_certificate(parse_certificate(octets), issuer, now))
        case Kind.REQUEST:
            return _explain_request(octets)
        case Kind.CRL:
            return read("CRL", lambda: explain_crl(octets, now))
        case Kind.OCSP_REQUEST:
            return explain_ocsp_request(octets)
        case Kind.OCSP_RESPONSE:
            return read("OCSP response", lambda: explain_ocsp_response(octets, now))
        case Kind.PKCS7:
            return _explain_pkcs7(octets, now)
        case Kind.PUBLIC_KEY:
            return explain_key(read("public key", lambda: serialization.load_der_public_key(octets)))  # type: ignore[arg-type]
        case Kind.PARAMETERS:
            return Node("Parameters", "public numbers of a curve or group", note="they may be left out"), ()
        case Kind.PKCS12:
            return Node(
                "PKCS#12", "not opened", note="it may hold a private key; openssl pkcs12 -in FILE -nokeys shows the certificates"
            ), ()
        case _:
            return Node("Private key", "not shown", note="keep it where it is; openssl pkey -in FILE -pubout gives the public half"), ()


def _explain_request(octets: bytes) -> Found:
    """Quirks are findings; a request that would be refused is shown all the same, as far as it can be read."""
    try:
        request = parse_csr(octets, tolerant=True)
    except Refused as refusal:
        return _explain_refused_request(octets, refusal)
    key, faults = explain_key(request.key)
    subject = cut(str(request.subject))
    names = (*request.dns, *(str(ipaddress.ip_address(address)) for address in request.ip))
    children = (
        Node("Subject", subject or "(empty)", note="informative: a CA takes names from its own records"),
        key,
        Node("Signature", "valid", note="the sender holds the private key"),
        *((Node("Asks for", ", ".join(map(spell_text, names[:ALT_NAMES_MAX]))),) if names else ()),
    )
    return Node("Certificate signing request", subject, children), (*request.findings, *faults)


def _explain_refused_request(octets: bytes, refusal: Refused) -> Found:
    try:
        request = x509.load_der_x509_csr(octets)
    except (ValueError, x509.InvalidVersion):
        raise refusal from None
    return read("certificate signing request", lambda: _explain_unaccepted(request, refusal))


def _explain_unaccepted(request: x509.CertificateSigningRequest, refusal: Refused) -> Found:
    key, faults = explain_key_of(request)
    extensions, extension_faults = explain_extensions(request)
    algorithm = request.signature_algorithm_oid.dotted_string
    subject = spell_name(request.subject)
    children = (Node("Subject", subject), key, Node("Signature", SIGNATURES.get(algorithm, algorithm), note="not accepted"), extensions)
    return Node("Certificate signing request", subject, children), (*refusal.findings, *faults, *extension_faults)


def _explain_pkcs7(octets: bytes, now: datetime | None) -> Found:
    certificates = [parse_certificate(der) for der in parse_certs_only(octets)]
    if not certificates:
        return Node("PKCS#7", "no certificates"), ()
    node, found = read("certificate", lambda: explain_chain(certificates, now))
    return replace(node, label="PKCS#7"), found
