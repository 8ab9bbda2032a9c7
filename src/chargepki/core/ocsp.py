"""OCSP (RFC 6960, RFC 5019, nonces after RFC 9654): a bounded reader of requests and spliced answers.

parse_ocsp_request(der)                    what is asked about; `Refused` on anything else
cert_id_hashes(name, spki, hash)           how a CertID names an issuer
compile_responder(certificate, signature)  everything of an answer that its responder fixes
plan_response(responder, answers, ...)     the ResponseData, ready to be signed
assemble_response(responder, tbs, sig)     the OCSPResponse
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Final

from chargepki.core import der, oids
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, SignatureAlgorithm
from chargepki.core.der import Element
from chargepki.core.revocation import REASON_CODE, RevocationReason, Revoked
from chargepki.errors import Refused

REQUEST_OCTETS_MAX: Final = 4096  # 16 CertIDs with SHA-512 and a nonce take about 3,000; a signed request with a chain is not served
REQUEST_ITEMS_MAX: Final = 16
NONCE_OCTETS_MAX: Final = 128  # RFC 9654 2.1
EXTENSIONS_MAX: Final = 8
HASH_OCTETS_MAX: Final = 64
SERIAL_OCTETS_MAX: Final = 21  # RFC 5280 4.1.2.2: 20, and some issuers in the field miscount the sign octet
RESPONSE_BASE64_MAX: Final = 5500  # OCPP 2.0.1 M06: GetCertificateStatusResponse.ocspResult

_NULL: Final = b"\x05\x00"
_HASHES: Final = {oids.SHA1: "sha1", oids.SHA256: "sha256", oids.SHA384: "sha384", oids.SHA512: "sha512"}
HASH_OIDS: Final = tuple(_HASHES)  # the CertID hashes this responder knows
_HASH_BY_OID_OCTETS: Final = {der.oid(oid): oid for oid in HASH_OIDS}
# What may be critical without making a request unreadable: the nonce, and acceptable responses (RFC 6960 4.4.3: every client
# must take a basic response, which is what it gets).
_UNDERSTOOD: Final = frozenset({oids.OCSP_NONCE, "1.3.6.1.5.5.7.48.1.4"})


class ResponseStatus(IntEnum):
    """RFC 6960 4.2.1: OCSPResponseStatus."""

    SUCCESSFUL = 0
    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIG_REQUIRED = 5
    UNAUTHORIZED = 6


def _error(status: ResponseStatus) -> bytes:
    return der.sequence(der.enumerated(status))


MALFORMED_REQUEST: Final = _error(ResponseStatus.MALFORMED_REQUEST)
INTERNAL_ERROR: Final = _error(ResponseStatus.INTERNAL_ERROR)
TRY_LATER: Final = _error(ResponseStatus.TRY_LATER)
UNAUTHORIZED: Final = _error(ResponseStatus.UNAUTHORIZED)


@dataclass(frozen=True, slots=True)
class IssuerHashes:
    """How a CertID names an issuer. `hash` is the dotted identifier of the hash."""

    hash: str
    name: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class CertId:
    """One certificate that a client asks about. `raw` is its DER; the answer repeats it octet for octet."""

    issuer: IssuerHashes
    serial: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class OcspRequest:
    """`is_signed` tells that the request carried a signature, which is not looked at: status is public."""

    items: tuple[CertId, ...]
    nonce: bytes | None
    is_signed: bool


class Unrevoked(StrEnum):
    """RFC 6960 2.2: the answers other than revoked."""

    GOOD = "good"
    UNKNOWN = "unknown"


CertStatus = Unrevoked | Revoked
_UNREVOKED: Final = {Unrevoked.GOOD: b"\x80\x00", Unrevoked.UNKNOWN: b"\x82\x00"}  # [0] and [2] IMPLICIT NULL


@dataclass(frozen=True, slots=True)
class SingleAnswer:
    """What is said of one certificate, known to be true from `this_update`, worth asking again at `next_update`."""

    cert_id: CertId
    status: CertStatus
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True)
class ResponderTemplate:
    """What a delegated responder adds to each of its answers."""

    signature: SignatureAlgorithm
    responder_id: bytes  # ResponderID byKey
    certificates: bytes  # [0] EXPLICIT: the responder's own certificate


def cert_id_hashes(name: bytes, spki: bytes, hash: str) -> IssuerHashes:
    """RFC 6960 4.1.1: over the DER of the issuer's name, and over the bits of its key without tag, length and unused-bits octet."""
    digest = _HASHES[hash]
    return IssuerHashes(hash, hashlib.new(digest, name, usedforsecurity=False).digest(), _key_hash(spki, digest))


def parse_ocsp_request(request: bytes) -> OcspRequest:
    """RFC 6960 4.1.1. Anything but a well-formed request within the bounds above is `Refused`."""
    if len(request) > REQUEST_OCTETS_MAX:
        raise _malformed(f"{len(request)} octets, the limit is {REQUEST_OCTETS_MAX}")
    parts = der.parse_element(request).expect(der.SEQUENCE).children(limit=2)
    if not parts:
        raise _malformed("it is empty")
    if len(parts) == 2:
        parts[1].expect(der.context(0))
    items, extensions = _read_tbs(parts[0].expect(der.SEQUENCE).children(limit=4))
    return OcspRequest(items, _read_nonce(extensions), is_signed=len(parts) == 2)


def compile_responder(certificate: bytes, signature: SignatureAlgorithm) -> ResponderTemplate:
    """`certificate` is the DER of the delegated responder's certificate (RFC 6960 4.2.2.2), `signature` what its key signs with."""
    tbs = der.parse_element(certificate).expect(der.SEQUENCE).children(limit=3)[0]
    spki = tbs.children(limit=10)[6].raw  # RFC 5280 4.1: the seventh field of a version 3 certificate
    key_hash = _key_hash(spki, "sha1")  # RFC 6960 4.2.1: KeyHash is SHA-1 by definition
    return ResponderTemplate(
        signature,
        der.explicit(2, der.octet_string(key_hash)),
        der.explicit(0, der.sequence(certificate)),
    )


def plan_response(
    responder: ResponderTemplate, answers: Sequence[SingleAnswer], *, produced_at: datetime, nonce: bytes | None = None
) -> bytes:
    """The ResponseData to sign (RFC 6960 4.2.1), with the client's nonce when it sent one."""
    return der.sequence(
        responder.responder_id,
        _time(produced_at),
        der.sequence(*(_single_response(answer) for answer in answers)),
        b"" if nonce is None else _nonce_extension(nonce),
    )


def assemble_response(responder: ResponderTemplate, tbs: bytes, signature: bytes) -> bytes:
    """The successful OCSPResponse."""
    basic = der.sequence(tbs, ALGORITHM_IDENTIFIER[responder.signature], der.bit_string(signature), responder.certificates)
    return der.sequence(_SUCCESSFUL, der.explicit(0, der.sequence(_BASIC, der.octet_string(basic))))


_SUCCESSFUL: Final = der.enumerated(ResponseStatus.SUCCESSFUL)
_BASIC: Final = der.oid(oids.OCSP_BASIC)
_NONCE: Final = der.oid(oids.OCSP_NONCE)
_REASON: Final = {
    reason: b"" if reason is RevocationReason.UNSPECIFIED else der.explicit(0, der.enumerated(code)) for reason, code in REASON_CODE.items()
}


def _malformed(what: str) -> Refused:
    return Refused.because("ocsp.request.malformed", f"not an OCSP request: {what}", path="request", clause="RFC 6960 4.1.1")


def _read_tbs(parts: tuple[Element, ...]) -> tuple[tuple[CertId, ...], dict[str, bytes]]:
    rest = list(parts)
    if rest and rest[0].tag == der.context(0):
        version = der.parse_element(rest.pop(0).content).as_integer(octets_max=1)
        if version != 0:
            raise _malformed(f"version {version + 1}")
    if rest and rest[0].tag == der.context(1):
        rest.pop(0)  # requestorName: who asks changes nothing
    if not rest or len(rest) > 2:
        raise _malformed("no list of requests where it belongs")
    requests = rest[0].expect(der.SEQUENCE).children(limit=REQUEST_ITEMS_MAX)
    if not requests:
        raise _malformed("it asks about nothing")
    extensions = _read_extensions(rest[1], tag=der.context(2)) if len(rest) == 2 else {}
    return tuple(map(_read_item, requests)), extensions


def _read_item(request: Element) -> CertId:
    parts = request.expect(der.SEQUENCE).children(limit=2)
    if not parts:
        raise _malformed("an empty item")
    if len(parts) == 2:
        _read_extensions(parts[1], tag=der.context(0))
    fields = parts[0].expect(der.SEQUENCE).children(limit=4)
    if len(fields) != 4:
        raise _malformed(f"a CertID of {len(fields)} fields")
    algorithm, name, key, serial = fields
    hashes = (name.expect(der.OCTET_STRING).content, key.expect(der.OCTET_STRING).content)
    if any(not 0 < len(value) <= HASH_OCTETS_MAX for value in hashes):
        raise _malformed("a hash of impossible length")
    return CertId(IssuerHashes(_read_hash(algorithm), *hashes), serial.as_integer(octets_max=SERIAL_OCTETS_MAX), parts[0].raw)


def _read_hash(algorithm: Element) -> str:
    parts = algorithm.expect(der.SEQUENCE).children(limit=2)
    # RFC 5754 2: parameters are absent or NULL. Nothing else, so that one certificate has few spellings in the answer cache.
    if not parts or (len(parts) == 2 and parts[1].raw != _NULL):
        raise _malformed("hash parameters that are not NULL")
    return _HASH_BY_OID_OCTETS.get(parts[0].raw) or parts[0].as_oid()


def _read_extensions(field: Element, *, tag: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for extension in der.parse_element(field.expect(tag).content).expect(der.SEQUENCE).children(limit=EXTENSIONS_MAX):
        parts = extension.expect(der.SEQUENCE).children(limit=3)
        if len(parts) < 2:
            raise _malformed("an extension without a value")
        id = parts[0].as_oid()
        if len(parts) == 3 and parts[1].expect(der.BOOLEAN).content != b"\x00" and id not in _UNDERSTOOD:
            raise _malformed(f"the critical extension {id}, which this responder does not know")  # RFC 6960 4.4
        if id in found:
            raise _malformed(f"the extension {id} twice")
        found[id] = parts[-1].expect(der.OCTET_STRING).content
    return found


def _read_nonce(extensions: dict[str, bytes]) -> bytes | None:
    value = extensions.get(oids.OCSP_NONCE)
    if value is None:
        return None
    nonce = der.parse_element(value).expect(der.OCTET_STRING).content
    if not 0 < len(nonce) <= NONCE_OCTETS_MAX:
        raise Refused.because(
            "ocsp.nonce.length",
            f"the nonce has {len(nonce)} octets; 1 to {NONCE_OCTETS_MAX} are allowed",
            path="request.nonce",
            clause="RFC 9654 2.1",
        )
    return nonce


def _single_response(answer: SingleAnswer) -> bytes:
    status = answer.status
    return der.sequence(
        answer.cert_id.raw,
        _revoked_info(status) if isinstance(status, Revoked) else _UNREVOKED[status],
        _time(answer.this_update),
        der.explicit(0, _time(answer.next_update)),
    )


@lru_cache(maxsize=256)  # all answers of one second share their times
def _time(at: datetime) -> bytes:
    return der.generalized_time(at)


def _revoked_info(revoked: Revoked) -> bytes:
    return der.tlv(der.context(1), der.generalized_time(revoked.at), _REASON[revoked.reason])


def _nonce_extension(nonce: bytes) -> bytes:
    return der.explicit(1, der.sequence(der.sequence(_NONCE, der.octet_string(der.octet_string(nonce)))))


def _key_hash(spki: bytes, digest: str) -> bytes:
    bits = der.parse_element(spki).children(limit=2)[1].expect(der.BIT_STRING).content[1:]
    return hashlib.new(digest, bits, usedforsecurity=False).digest()
