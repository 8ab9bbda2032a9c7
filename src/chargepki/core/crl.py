"""Full CRLs, version 2 (RFC 5280 5), spliced from octets that are DER already.

    EntryList.add(revoked)        one entry: 36 to 50 octets, joined as it comes, never kept as an object
    plan_crl(entries, ...)        the TBSCertList; the entries' own buffer becomes it, so a list of n octets costs about n
    assemble_crl(plan, sig)       the CRL
    check_crl(crl, plan, key)     another parser reads it back, and its signature verifies

There is no issuingDistributionPoint: each list covers everything its issuer signed.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from cryptography import x509

from chargepki.core import der, oids
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, PublicKey, SignatureAlgorithm, is_signature_valid
from chargepki.core.revocation import REASON_CODE, RevocationReason, Revoked
from chargepki.errors import Broken

CRL_NUMBER_MAX: Final = 2**159 - 1  # RFC 5280 5.2.3: at most 20 octets
_VERSION_2: Final = der.integer(1)  # RFC 5280 5.1.2.1


def _reason_extension(reason: RevocationReason) -> bytes:
    if reason is RevocationReason.UNSPECIFIED:
        return b""  # RFC 5280 5.3.1: absent rather than unspecified
    return der.sequence(_extension(oids.CRL_REASON, der.enumerated(REASON_CODE[reason])))


def _extension(id: str, value: bytes) -> bytes:
    return der.sequence(der.oid(id), der.octet_string(value))


_REASON_EXTENSION: Final = {reason: _reason_extension(reason) for reason in RevocationReason}


def encode_entry(revoked: Revoked) -> bytes:
    """One element of revokedCertificates (RFC 5280 5.1.2.6)."""
    serial = revoked.serial.to_bytes(revoked.serial.bit_length() // 8 + 1, "big")
    behind = _behind_serial(revoked.at, revoked.reason)
    # A serial number has at most 20 octets, so every length here is a single octet; a list may have millions of entries.
    return bytes((der.SEQUENCE, 2 + len(serial) + len(behind), der.INTEGER, len(serial))) + serial + behind


@lru_cache(maxsize=4096)  # revocations come in bursts of one second and one reason
def _behind_serial(at: datetime, reason: RevocationReason) -> bytes:
    return der.time(at) + _REASON_EXTENSION[reason]


class EntryList:
    """The entries of one CRL while they stream in. `plan_crl` takes the octets over and leaves the list empty."""

    __slots__ = ("_octets", "count")

    def __init__(self) -> None:
        self._octets = bytearray()
        self.count = 0

    def add(self, revoked: Revoked) -> None:
        self._octets += encode_entry(revoked)
        self.count += 1

    def take(self) -> bytearray:
        octets, self._octets, self.count = self._octets, bytearray(), 0
        return octets


@dataclass(frozen=True, slots=True)
class CrlPlan:
    """A TBSCertList, ready to be signed with `signature`."""

    tbs: bytes
    signature: SignatureAlgorithm
    number: int
    this_update: datetime
    next_update: datetime
    entry_count: int


def plan_crl(
    entries: EntryList,
    *,
    issuer_name: bytes,
    key_id: bytes,
    signature: SignatureAlgorithm,
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> CrlPlan:
    """The TBSCertList (RFC 5280 5.1.2). `issuer_name` is DER, `key_id` the issuer's SubjectKeyIdentifier."""
    if not 0 <= number <= CRL_NUMBER_MAX:
        raise ValueError(f"CRL number {number} is out of range")
    count, octets = entries.count, entries.take()
    head = b"".join((_VERSION_2, ALGORITHM_IDENTIFIER[signature], issuer_name, der.time(this_update), der.time(next_update)))
    if octets:  # RFC 5280 5.1.2.6: absent when nothing is revoked
        head += bytes((der.SEQUENCE,)) + der.length(len(octets))
    tail = _crl_extensions(key_id, number)
    size = len(head) + len(octets) + len(tail)
    tbs = b"".join((bytes((der.SEQUENCE,)), der.length(size), head, octets, tail))
    return CrlPlan(tbs, signature, number, this_update, next_update, count)


def assemble_crl(plan: CrlPlan, signature: bytes) -> bytes:
    """The DER CertificateList."""
    return der.sequence(plan.tbs, ALGORITHM_IDENTIFIER[plan.signature], der.bit_string(signature))


def check_crl(crl: bytes, plan: CrlPlan, issuer_key: PublicKey) -> None:
    """Reads the CRL back with another parser and verifies it; `Broken` when it is not what was planned."""
    parsed = x509.load_der_x509_crl(crl)
    if parsed.tbs_certlist_bytes != plan.tbs or len(parsed) != plan.entry_count:
        raise Broken("the signed CRL differs from its plan", hint="the CRL was discarded; the one before it stays in force")
    if not is_signature_valid(issuer_key, plan.signature, parsed.signature, plan.tbs):
        raise Broken(
            "the vault's signature on the CRL does not verify", hint="the CRL was discarded; check that the vault holds the issuer's key"
        )


def _crl_extensions(key_id: bytes, number: int) -> bytes:
    # RFC 5280 5.2.1 and 5.2.3: both are required of a conforming issuer, neither is critical.
    return der.explicit(
        0,
        der.sequence(
            _extension(oids.AUTHORITY_KEY_IDENTIFIER, der.sequence(der.tlv(0x80, key_id))),
            _extension(oids.CRL_NUMBER, der.integer(number)),
        ),
    )
