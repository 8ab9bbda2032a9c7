"""Certificate signing requests of our own (RFC 2986): for keys of this platform that somebody else certifies."""

from chargepki.core import der
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, SignatureAlgorithm
from chargepki.core.names import Name


def assemble_request_info(name: Name, spki: bytes) -> bytes:
    """CertificationRequestInfo (RFC 2986 4.1), without attributes: what is certified is agreed upon on paper."""
    return der.sequence(der.integer(0), name.encode(), spki, der.explicit(0, b""))


def assemble_request(info: bytes, algorithm: SignatureAlgorithm, signature: bytes) -> bytes:
    """The DER CertificationRequest (RFC 2986 4.2)."""
    return der.sequence(info, ALGORITHM_IDENTIFIER[algorithm], der.bit_string(signature))
