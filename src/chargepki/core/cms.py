"""Degenerate SignedData: a bag of certificates and nothing else (RFC 5652 5.1, RFC 8551 3.8)."""

from collections.abc import Sequence
from typing import Final

from chargepki.core import der, oids
from chargepki.errors import Refused

CERTIFICATES_MAX: Final = 64  # the longest chain in the field has five; a trust list in one message some dozens
MESSAGE_OCTETS_MAX: Final = 1024 * 1024
_VERSION_MAX: Final = 5  # RFC 5652 5.1: CMSVersion of SignedData is 1, 3, 4 or 5


def assemble_certs_only(certificates: Sequence[bytes]) -> bytes:
    """The DER ContentInfo that holds the certificates, in the order given.

    DER would sort them, since `certificates` is a SET OF (X.690 11.6). They stay in the caller's order, leaf first, because
    clients in the field read the first one as their own (EST and OPCP among them); RFC 5652 5.1 asks for BER only.
    """
    signed_data = der.sequence(
        der.integer(1),
        der.set_of(),
        der.sequence(der.oid(oids.CMS_DATA)),
        der.tlv(der.context(0), *certificates),
        der.set_of(),
    )
    return der.sequence(der.oid(oids.CMS_SIGNED_DATA), der.explicit(0, signed_data))


def parse_certs_only(message: bytes) -> tuple[bytes, ...]:
    """The certificates of a degenerate SignedData, in their order, each as DER that is not looked into.

    `Refused` for other contents, for signed ones and for more than `CERTIFICATES_MAX`.
    """
    if len(message) > MESSAGE_OCTETS_MAX:
        raise _malformed(f"{len(message)} octets, the limit is {MESSAGE_OCTETS_MAX}")
    info = der.parse_element(message).expect(der.SEQUENCE).children(limit=2)
    if len(info) != 2 or info[0].as_oid() != oids.CMS_SIGNED_DATA:
        raise _malformed("its content is not SignedData")
    fields = der.parse_element(info[1].expect(der.context(0)).content).expect(der.SEQUENCE).children(limit=6)
    if len(fields) < 4 or not 1 <= fields[0].as_integer(octets_max=1) <= _VERSION_MAX:
        raise _malformed("SignedData of an unknown version")
    fields[1].expect(der.SET)
    fields[2].expect(der.SEQUENCE)
    if fields[-1].expect(der.SET).content:
        raise _malformed("it is signed; only certificates belong here")
    return tuple(
        certificate.expect(der.SEQUENCE).raw
        for field in fields[3:-1]
        if field.tag == der.context(0)  # [1] holds CRLs, which some servers add
        for certificate in field.children(limit=CERTIFICATES_MAX)
    )


def _malformed(what: str) -> Refused:
    return Refused.because("cms.certs_only.malformed", f"not a certs-only message: {what}", path="pkcs7", clause="RFC 8551 3.8")
