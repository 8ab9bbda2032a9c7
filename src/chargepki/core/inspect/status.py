"""CRLs and OCSP messages in people's words."""

from datetime import datetime
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.x509 import ocsp

from chargepki.core import der, oids
from chargepki.core.inspect.certificate import Found, explain_certificate
from chargepki.core.inspect.extensions import explain_extensions
from chargepki.core.inspect.model import Node
from chargepki.core.inspect.words import SIGNATURES, days, spell_encoded_name, spell_name, spell_serial, spell_time
from chargepki.core.ocsp import parse_ocsp_request
from chargepki.errors import Finding, Severity

ENTRIES_MAX: Final = 50  # listed of a CRL or an OCSP response; the rest is counted

_HASH_NAMES: Final = {oids.SHA1: "SHA-1", oids.SHA256: "SHA-256", oids.SHA384: "SHA-384", oids.SHA512: "SHA-512"}


def explain_crl(octets: bytes, now: datetime | None) -> Found:
    """Raises what the parser raises (`words.PARSER_ERRORS`) when the octets are no CRL."""
    crl = x509.load_der_x509_crl(octets)
    count, issuer = len(crl), spell_encoded_name(_issuer_of(crl))
    entries = [_explain_entry(entry) for entry in islice(crl, ENTRIES_MAX)]
    more = (Node("", f"and {count - ENTRIES_MAX} more"),) if count > ENTRIES_MAX else ()
    extensions, faults = explain_extensions(crl)
    children = (
        Node("Issuer", issuer),
        Node("This update", spell_time(crl.last_update_utc)),
        _explain_next(crl.next_update_utc, now),
        Node("Signature", SIGNATURES.get(crl.signature_algorithm_oid.dotted_string, crl.signature_algorithm_oid.dotted_string)),
        extensions,
        Node("Revoked", str(count), (*entries, *more)),
    )
    late = _find_late(crl.next_update_utc, now, "this CRL")
    return Node("CRL", issuer, children), (*faults, *late)


def explain_ocsp_request(octets: bytes) -> Found:
    request = parse_ocsp_request(octets)
    items = tuple(
        Node(
            f"Certificate {spell_serial(item.serial)}",
            children=(
                Node("Hash", _HASH_NAMES.get(item.issuer.hash, item.issuer.hash)),
                Node("Issuer name hash", item.issuer.name.hex()),
                Node("Issuer key hash", item.issuer.key.hex()),
            ),
        )
        for item in request.items
    )
    nonce = () if request.nonce is None else (Node("Nonce", request.nonce.hex(":")),)
    return Node("OCSP request", f"for {len(items)} certificates" if len(items) != 1 else "for one certificate", (*items, *nonce)), ()


def explain_ocsp_response(octets: bytes, now: datetime | None) -> Found:
    """Raises what the parser raises (`words.PARSER_ERRORS`) when the octets are no response."""
    response = ocsp.load_der_ocsp_response(octets)
    status = response.response_status.name.lower()
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        return Node("OCSP response", status, note="an error answer: not signed, and says nothing of any certificate"), ()
    return _explain_basic(response, status, now)


def _explain_basic(response: ocsp.OCSPResponse, status: str, now: datetime | None) -> Found:
    """RFC 6960 4.2.1."""
    name, key_hash = response.responder_name, response.responder_key_hash
    oid = response.signature_algorithm_oid.dotted_string
    singles = list(islice(response.responses, ENTRIES_MAX))
    found: list[Finding] = []
    signers = []
    for certificate in response.certificates[:ENTRIES_MAX]:
        node, faults = explain_certificate(certificate, None, now)
        signers.append(node)
        found += faults
    for single in singles:
        found += _find_late(single.next_update_utc, now, "this answer")
    children = (
        Node("Responder", spell_name(name) if name is not None else f"key {(key_hash or b'').hex()}"),
        Node("Produced", spell_time(response.produced_at_utc)),
        Node("Signature", SIGNATURES.get(oid, oid)),
        *(_explain_single(single, now) for single in singles),
        *(Node("Nonce", e.value.nonce.hex(":")) for e in response.extensions if isinstance(e.value, x509.OCSPNonce)),
        *signers,
    )
    return Node("OCSP response", status, children), tuple(found)


def _explain_single(single: ocsp.OCSPSingleResponse, now: datetime | None) -> Node:
    status = single.certificate_status.name.lower()
    revoked: tuple[Node, ...] = ()
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED and single.revocation_time_utc is not None:
        reason = "" if single.revocation_reason is None else single.revocation_reason.value
        revoked = (Node("Revoked", spell_time(single.revocation_time_utc), note=reason),)
    children = (
        Node("Hash", single.hash_algorithm.name.upper().replace("SHA", "SHA-")),
        Node("Issuer name hash", single.issuer_name_hash.hex()),
        Node("Issuer key hash", single.issuer_key_hash.hex()),
        *revoked,
        Node("This update", spell_time(single.this_update_utc)),
        _explain_next(single.next_update_utc, now),
    )
    return Node(f"Certificate {spell_serial(single.serial_number)}", status, children)


def _issuer_of(crl: x509.CertificateRevocationList) -> bytes:
    fields = der.parse_element(crl.tbs_certlist_bytes).children()
    return fields[2 if fields[0].tag == der.INTEGER else 1].raw  # RFC 5280 5.1.2.1: the version may be absent


def _explain_entry(entry: x509.RevokedCertificate) -> Node:
    reason = next((e.value.reason.value for e in entry.extensions if isinstance(e.value, x509.CRLReason)), "")
    return Node(spell_serial(entry.serial_number), spell_time(entry.revocation_date_utc), note=reason)


def _explain_next(at: datetime | None, now: datetime | None) -> Node:
    if at is None:
        return Node("Next update", "not said", note="newer information may exist at any time")
    note = "" if now is None else "overdue" if at < now else f"in {days((at - now).days)}"
    return Node("Next update", spell_time(at), note=note)


def _find_late(at: datetime | None, now: datetime | None, what: str) -> tuple[Finding, ...]:
    if at is None or now is None or at >= now:
        return ()
    message = f"{what} should have been replaced by {spell_time(at)}"
    return (
        Finding("inspect.status.overdue", message, Severity.WARNING, "nextUpdate", "RFC 5280 5.1.2.5, RFC 6960 4.2.2.1", "fetch a new one"),
    )
