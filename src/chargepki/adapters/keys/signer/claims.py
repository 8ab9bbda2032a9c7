"""What octets say that somebody wants signed. Each parser takes one kind of object and refuses everything else; a digest is none.

The parser is not the one that built them: certificates and CRLs go through `cryptography`, behind the bounds and the strict DER of
`core/der.py`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from chargepki.core import der
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, SignatureAlgorithm
from chargepki.core.csr import CSR_OCTETS_MAX
from chargepki.core.lint.view import TBS_OCTETS_MAX
from chargepki.core.tlog.checkpoint import parse_checkpoint as read_checkpoint
from chargepki.errors import Refused

OCSP_OCTETS_MAX: Final = 16 * 1024  # sixteen answers and a nonce have about 3,000
OCSP_ANSWERS_MAX: Final = 16  # core/ocsp.py: REQUEST_ITEMS_MAX
TEST_OCTETS_MAX: Final = 64

_VERSION_3: Final = der.explicit(0, der.integer(2))
_VERSION_2: Final = der.integer(1)
_REQUEST_VERSION_1: Final = der.integer(0)
_NO_ATTRIBUTES: Final = der.explicit(0, b"")
_NO_SIGNATURE: Final = der.bit_string(b"")
_TEST: Final = b"chargepki keys doctor "
_COSIGNATURE: Final = re.compile(rb"cosignature/v1\ntime ([0-9]{1,12})\n")  # C2SP tlog-cosignature, Ed25519
_SUBTREE: Final = b"subtree/v1\n\0"  # C2SP tlog-cosignature, ML-DSA-44
_UNREADABLE: Final = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class CertificateClaim:
    """`issuer`, `subject` and `spki` are DER."""

    serial: int
    issuer: bytes
    subject: bytes
    spki: bytes
    not_before: datetime
    not_after: datetime
    is_ca: bool
    signs_certificates: bool  # keyCertSign or cRLSign
    purposes: frozenset[str]
    authority_key_id: bytes


@dataclass(frozen=True, slots=True)
class CrlClaim:
    issuer: bytes
    number: int
    this_update: datetime
    next_update: datetime
    authority_key_id: bytes


@dataclass(frozen=True, slots=True)
class OcspClaim:
    """`responder` is the whole ResponderID."""

    responder: bytes
    produced_at: datetime
    until: datetime  # the latest nextUpdate


@dataclass(frozen=True, slots=True)
class CheckpointClaim:
    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class RequestClaim:
    """`subject` and `spki` are DER."""

    subject: bytes
    spki: bytes


@dataclass(frozen=True, slots=True)
class TestClaim:
    """Octets that mean nothing."""


Claim = TestClaim | CertificateClaim | CrlClaim | OcspClaim | CheckpointClaim | RequestClaim


def parse_certificate(tbs: bytes, algorithm: SignatureAlgorithm) -> CertificateClaim:
    """A TBSCertificate of version 3 (RFC 5280 4.1.2), to be signed with `algorithm`."""
    if len(tbs) > TBS_OCTETS_MAX:
        raise _no("TBSCertificate", f"it has {len(tbs)} octets, the limit is {TBS_OCTETS_MAX}")
    fields = _fields(tbs, "TBSCertificate", limit=10)
    if len(fields) < 8 or fields[0].raw != _VERSION_3:
        raise _no("TBSCertificate", "no version 3 with its eight fields")
    _check_algorithm(fields[2], algorithm, "TBSCertificate")
    try:
        certificate = x509.load_der_x509_certificate(_with_no_signature(tbs, algorithm))
        return _certificate_claim(certificate, fields)
    except _UNREADABLE as error:
        raise _no("TBSCertificate", str(error)[:200]) from error


def parse_crl(tbs: bytes, algorithm: SignatureAlgorithm) -> CrlClaim:
    """A TBSCertList of version 2 (RFC 5280 5.1.2). Its entries are read by `cryptography` alone: there may be a million."""
    head = _crl_head(tbs)
    if head[0].raw != _VERSION_2:
        raise _no("TBSCertList", "no version 2")
    _check_algorithm(head[1], algorithm, "TBSCertList")
    try:
        crl = x509.load_der_x509_crl(_with_no_signature(tbs, algorithm))
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        key_id = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        if crl.next_update_utc is None:
            raise _no("TBSCertList", "nextUpdate is missing")  # RFC 5280 5.1.2.5
        return CrlClaim(head[2].raw, number, crl.last_update_utc, crl.next_update_utc, key_id or b"")
    except _UNREADABLE as error:
        raise _no("TBSCertList", str(error)[:200]) from error


def parse_response_data(data: bytes) -> OcspClaim:
    """An OCSP ResponseData (RFC 6960 4.2.1) of version 1."""
    if len(data) > OCSP_OCTETS_MAX:
        raise _no("ResponseData", f"it has {len(data)} octets, the limit is {OCSP_OCTETS_MAX}")
    fields = _fields(data, "ResponseData", limit=5)
    if not 3 <= len(fields) <= 4 or fields[0].tag not in (der.context(1), der.context(2)):
        raise _no("ResponseData", "no responder, time and answers where they belong")
    if len(fields) == 4 and fields[3].tag != der.context(1):
        raise _no("ResponseData", "something that is no extension follows the answers")
    answers = fields[2].expect(der.SEQUENCE).children(OCSP_ANSWERS_MAX)
    if not answers:
        raise _no("ResponseData", "it answers nothing")
    return OcspClaim(fields[0].raw, _generalized_time(fields[1]), max(_until(answer) for answer in answers))


def parse_checkpoint(data: bytes) -> CheckpointClaim:
    """The text of a checkpoint (C2SP tlog-checkpoint), plain or as a cosigner signs it (C2SP tlog-cosignature)."""
    if data.startswith(_SUBTREE):
        return _parse_subtree(data[len(_SUBTREE) :])
    if found := _COSIGNATURE.match(data):
        data = data[found.end() :]
    try:
        checkpoint = read_checkpoint(data)
    except Refused as refusal:
        raise _no("checkpoint", refusal.findings[0].message) from refusal
    return CheckpointClaim(checkpoint.origin, checkpoint.size, checkpoint.root)


def parse_request_info(info: bytes, algorithm: SignatureAlgorithm) -> RequestClaim:
    """A CertificationRequestInfo (RFC 2986 4.1) that asks for a name and a key, and for nothing else."""
    if len(info) > CSR_OCTETS_MAX:
        raise _no("CertificationRequestInfo", f"it has {len(info)} octets, the limit is {CSR_OCTETS_MAX}")
    fields = _fields(info, "CertificationRequestInfo", limit=4)
    if len(fields) != 4 or fields[0].raw != _REQUEST_VERSION_1:
        raise _no("CertificationRequestInfo", "no version 1 with its four fields")
    if fields[3].raw != _NO_ATTRIBUTES:
        raise _no("CertificationRequestInfo", "it has attributes, and requests of authorities here have none")
    try:
        if not list(x509.load_der_x509_csr(_with_no_signature(info, algorithm)).subject):
            raise _no("CertificationRequestInfo", "it names nobody")
    except _UNREADABLE as error:
        raise _no("CertificationRequestInfo", str(error)[:200]) from error
    return RequestClaim(fields[1].raw, fields[2].raw)


def parse_test(data: bytes) -> TestClaim:
    """What `keys doctor` signs with a key that it makes for it: nothing else begins like that."""
    if not data.startswith(_TEST) or len(data) > TEST_OCTETS_MAX:
        raise _no("test", f"it does not begin with {_TEST.decode()!r}")
    return TestClaim()


def _certificate_claim(certificate: x509.Certificate, fields: tuple[der.Element, ...]) -> CertificateClaim:
    found = {extension.oid: extension.value for extension in certificate.extensions}
    constraints, usage = found.get(ExtensionOID.BASIC_CONSTRAINTS), found.get(ExtensionOID.KEY_USAGE)
    purposes, key_id = found.get(ExtensionOID.EXTENDED_KEY_USAGE), found.get(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)
    return CertificateClaim(
        certificate.serial_number,
        fields[3].raw,
        fields[5].raw,
        fields[6].raw,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        isinstance(constraints, x509.BasicConstraints) and constraints.ca,
        isinstance(usage, x509.KeyUsage) and (usage.key_cert_sign or usage.crl_sign),
        frozenset(p.dotted_string for p in purposes) if isinstance(purposes, x509.ExtendedKeyUsage) else frozenset(),
        (key_id.key_identifier or b"") if isinstance(key_id, x509.AuthorityKeyIdentifier) else b"",
    )


def _with_no_signature(tbs: bytes, algorithm: SignatureAlgorithm) -> bytes:
    return der.sequence(tbs, ALGORITHM_IDENTIFIER[algorithm], _NO_SIGNATURE)


def _fields(data: bytes, what: str, limit: int) -> tuple[der.Element, ...]:
    try:
        return der.parse_element(data).expect(der.SEQUENCE).children(limit)
    except Refused as refusal:
        raise _no(what, refusal.findings[0].message) from refusal


def _crl_head(tbs: bytes) -> tuple[der.Element, der.Element, der.Element]:
    """Version, algorithm, issuer; what follows is left to the other parser."""
    try:
        rest = der.parse_element(tbs).expect(der.SEQUENCE).content[:_HEAD_OCTETS_MAX]  # not the million entries behind it
        version, rest = der.take_element(rest)
        algorithm, rest = der.take_element(rest)
        issuer, _ = der.take_element(rest)
    except Refused as refusal:
        raise _no("TBSCertList", refusal.findings[0].message) from refusal
    return version, algorithm, issuer


_HEAD_OCTETS_MAX: Final = 8 * 1024  # an issuer's name has a few hundred


def _check_algorithm(field: der.Element, algorithm: SignatureAlgorithm, what: str) -> None:
    # RFC 5280 4.1.2.3, 5.1.2.2: the algorithm inside is the one that signs
    if field.raw != ALGORITHM_IDENTIFIER[algorithm]:
        raise _no(what, f"the algorithm inside is not {algorithm}")


def _until(answer: der.Element) -> datetime:
    """SingleResponse: certID, certStatus, thisUpdate, [0] nextUpdate, [1] extensions (RFC 6960 4.2.1)."""
    parts = answer.expect(der.SEQUENCE).children(5)
    if len(parts) < 4 or parts[3].tag != der.context(0) or len(parts[0].expect(der.SEQUENCE).children(4)) != 4:
        raise _no("ResponseData", "an answer without certificate, status, thisUpdate and nextUpdate")
    if parts[1].tag not in (der.context(0, constructed=False), der.context(1), der.context(2, constructed=False)):
        raise _no("ResponseData", "an answer that is neither good, revoked nor unknown")
    _generalized_time(parts[2])
    return _generalized_time(der.parse_element(parts[3].content))


def _generalized_time(element: der.Element) -> datetime:
    text = element.expect(der.GENERALIZED_TIME).content
    if len(text) != 15 or not text[:14].isdigit() or text[14:] != b"Z":
        raise _no("ResponseData", "a time that is not YYYYMMDDHHMMSSZ")
    try:
        return datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:14]), tzinfo=UTC)
    except ValueError as error:
        raise _no("ResponseData", "a time that does not exist") from error


def _parse_subtree(data: bytes) -> CheckpointClaim:
    """cosigned_message: cosigner's name, timestamp, origin, start, end, hash; names behind an octet of length, numbers of eight."""
    try:
        name_end = 1 + data[0]
        origin_at = name_end + 8
        origin_end = origin_at + 1 + data[origin_at]
        origin = data[origin_at + 1 : origin_end].decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise _no("checkpoint", "truncated") from error
    start, end, root = data[origin_end : origin_end + 8], data[origin_end + 8 : origin_end + 16], data[origin_end + 16 :]
    if not origin or len(root) != 32 or any(start):
        raise _no("checkpoint", "no whole tree from its first leaf on")
    return CheckpointClaim(origin, int.from_bytes(end, "big"), root)


def _no(what: str, why: str) -> Refused:
    return Refused.because(
        "signer.data.unreadable",
        f"this is no {what}: {why}",
        path="order.data",
        hint="the signer signs whole objects that it can read, never digests",
    )
