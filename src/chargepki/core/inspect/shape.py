"""What are these octets? Told by the label they came with, or by the shape of their outermost elements; no content is judged."""

from typing import Final

from chargepki.core import der, oids
from chargepki.core.der import Element
from chargepki.core.inspect.model import Kind
from chargepki.errors import Refused

_LABELS: Final[dict[str, Kind]] = {
    "CERTIFICATE": Kind.CERTIFICATE,
    "X509 CERTIFICATE": Kind.CERTIFICATE,
    "CERTIFICATE REQUEST": Kind.REQUEST,
    "NEW CERTIFICATE REQUEST": Kind.REQUEST,
    "X509 CRL": Kind.CRL,
    "PKCS7": Kind.PKCS7,
    "CMS": Kind.PKCS7,
    "PUBLIC KEY": Kind.PUBLIC_KEY,
    "RSA PUBLIC KEY": Kind.PUBLIC_KEY,
    "OCSP REQUEST": Kind.OCSP_REQUEST,
    "OCSP RESPONSE": Kind.OCSP_RESPONSE,
}
_TIMES: Final = frozenset({der.UTC_TIME, der.GENERALIZED_TIME})
_EXPLICIT_0: Final = der.context(0)
_CHILDREN_MAX: Final = 16  # an RSA private key has nine or ten
_RSA_PRIVATE_PARTS: Final = 9  # RFC 8017 A.1.2


def guess_kind(label: str, octets: bytes) -> Kind | None:
    """The kind by its PEM label or, without one, by its shape; None when neither says."""
    if label.endswith("PRIVATE KEY"):
        return Kind.PRIVATE_KEY
    if label.endswith(" PARAMETERS"):
        return Kind.PARAMETERS  # openssl ecparam and dsaparam write them before the key
    if label:
        return _LABELS.get(label)
    try:
        return _guess_by_shape(der.parse_element(octets).expect(der.SEQUENCE).children(_CHILDREN_MAX))
    except Refused:
        return None


def _guess_by_shape(parts: tuple[Element, ...]) -> Kind | None:
    tags = tuple(part.tag for part in parts)
    match tags:
        case (der.SEQUENCE, der.SEQUENCE, der.BIT_STRING):
            return _guess_signed(parts[0].children(_CHILDREN_MAX))
        case (der.ENUMERATED, *_):
            return Kind.OCSP_RESPONSE  # RFC 6960 4.2.1
        case (der.OID, _) if parts[0].as_oid() == oids.CMS_SIGNED_DATA:
            return Kind.PKCS7
        case (der.SEQUENCE, der.BIT_STRING) | (der.INTEGER, der.INTEGER):
            return Kind.PUBLIC_KEY  # RFC 5280 4.1.2.7, RFC 8017 A.1.1
        case (der.SEQUENCE, *rest) if rest in ([], [_EXPLICIT_0]):
            return Kind.OCSP_REQUEST  # RFC 6960 4.1.1: perhaps with a signature
        case _:
            return _guess_private(tags)


def _guess_private(tags: tuple[int, ...]) -> Kind | None:
    """RFC 5958 2 and 3 (PKCS #8, also encrypted), RFC 5915 3 (EC), RFC 8017 A.1.2 (RSA), RFC 7292 4 (PKCS #12)."""
    match tags:
        case (der.INTEGER, der.SEQUENCE, der.OCTET_STRING, *_) | (der.SEQUENCE, der.OCTET_STRING) | (der.INTEGER, der.OCTET_STRING, *_):
            return Kind.PRIVATE_KEY
        case (der.INTEGER, der.SEQUENCE) | (der.INTEGER, der.SEQUENCE, der.SEQUENCE):
            return Kind.PKCS12
        case _:
            is_rsa = len(tags) >= _RSA_PRIVATE_PARTS and set(tags[:_RSA_PRIVATE_PARTS]) == {der.INTEGER}
            return Kind.PRIVATE_KEY if is_rsa else None


def _guess_signed(fields: tuple[Element, ...]) -> Kind | None:
    """Certificate, CRL and CSR share the outer shape (RFC 5280 4.1, 5.1; RFC 2986 4.2)."""
    tags = tuple(field.tag for field in fields)
    if tags[:1] == (_EXPLICIT_0,):
        return Kind.CERTIFICATE
    if tags[:2] == (der.SEQUENCE, der.SEQUENCE):
        return Kind.CRL if tags[2:3] and tags[2] in _TIMES else None
    if tags[:3] == (der.INTEGER, der.SEQUENCE, der.SEQUENCE):
        if len(tags) >= 4 and tags[3] in _TIMES:
            return Kind.CRL
        return Kind.CERTIFICATE if len(tags) >= 6 else Kind.REQUEST
    return None
