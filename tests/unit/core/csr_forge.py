"""Certification requests as devices make them, octet by octet: right ones, odd ones and wrong ones."""

from chargepki.core import der
from chargepki.core.algorithms import (
    ALGORITHM_IDENTIFIER,
    DEFAULT_SIGNATURE,
    KeySpec,
    PrivateKey,
    generate_private_key,
    sign,
    spec_of,
    spki_of,
)
from chargepki.core.names import Name

SUBJECT = Name.of(("O", "demo-cpo"), ("CN", "SN-0017")).encode()
NO_ATTRIBUTES = der.tlv(der.context(0))


def fresh_key(spec: KeySpec = KeySpec.P256) -> PrivateKey:
    return generate_private_key(spec)


def forge_request(
    key: PrivateKey | None = None,
    *,
    version: int = 0,
    subject: bytes = SUBJECT,
    attributes: bytes = NO_ATTRIBUTES,
    algorithm: bytes = b"",
    signer: PrivateKey | None = None,
) -> bytes:
    """DER of a request whose signature is right unless `signer` is another key."""
    key = key or fresh_key()
    info = der.sequence(der.integer(version), subject, spki_of(key.public_key()), attributes)
    signer = signer or key
    spec = spec_of(signer.public_key())
    assert spec is not None
    chosen = DEFAULT_SIGNATURE[spec]
    return der.sequence(info, algorithm or ALGORITHM_IDENTIFIER[chosen], der.bit_string(sign(signer, chosen, info)))


def attribute(oid: str, value: bytes) -> bytes:
    """One RDN."""
    return der.set_of(der.sequence(der.oid(oid), value))
