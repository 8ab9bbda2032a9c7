"""What a token says of a public key becomes a SubjectPublicKeyInfo, or a refusal. Pure: the octets come from outside."""

import sys
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from chargepki.adapters.keys.pkcs11.codes import Attribute, KeyType
from chargepki.core import der
from chargepki.core.algorithms import KeySpec, PublicKey, spec_of, spki_of
from chargepki.errors import Refused, VaultUnavailable

EXPONENT_OCTETS_MAX: Final = 8  # NIST SP 800-56B 6.2 would allow 32; everything in use is 65537
MODULUS_OCTETS_MAX: Final = 513  # RSA-4096 and a leading zero

_OIDS: Final = {KeySpec.P256: "1.2.840.10045.3.1.7", KeySpec.P384: "1.3.132.0.34", KeySpec.P521: "1.3.132.0.35"}
_EDWARDS_NAMES: Final = {KeySpec.ED25519: "edwards25519", KeySpec.ED448: "edwards448"}  # PKCS#11 3.0 2.3.10
_EDWARDS_OIDS: Final = {KeySpec.ED25519: "1.3.101.112", KeySpec.ED448: "1.3.101.113"}  # RFC 8410 3

# CKA_EC_PARAMS by kind, the spelling that most tokens take first. What is written is also what may be read.
EC_PARAMS: Final[dict[KeySpec, tuple[bytes, ...]]] = {
    **{spec: (der.oid(oid),) for spec, oid in _OIDS.items()},
    **{spec: (der.printable_string(name), der.oid(_EDWARDS_OIDS[spec])) for spec, name in _EDWARDS_NAMES.items()},
}
_SPEC_OF_PARAMS: Final = {params: spec for spec, spelt in EC_PARAMS.items() for params in spelt}
_CURVES: Final[dict[KeySpec, ec.EllipticCurve]] = {
    KeySpec.P256: ec.SECP256R1(),
    KeySpec.P384: ec.SECP384R1(),
    KeySpec.P521: ec.SECP521R1(),
}
POINT_OCTETS: Final = {KeySpec.P256: 65, KeySpec.P384: 97, KeySpec.P521: 133, KeySpec.ED25519: 32, KeySpec.ED448: 57}

PUBLIC_ATTRIBUTES: Final = (
    Attribute.ID,
    Attribute.LABEL,
    Attribute.KEY_TYPE,
    Attribute.EC_PARAMS,
    Attribute.EC_POINT,
    Attribute.MODULUS,
    Attribute.PUBLIC_EXPONENT,
)


def parse_public_key(attributes: Mapping[Attribute, bytes]) -> tuple[KeySpec, bytes]:
    """The kind and the SPKI (DER) of a public key object; `VaultUnavailable` when it is damaged or of a kind we do not use."""
    try:
        key = _rsa_key(attributes) if _number(attributes, Attribute.KEY_TYPE) == KeyType.RSA else _curve_key(attributes)
        spec = spec_of(key)
    except (Refused, ValueError) as error:
        raise VaultUnavailable(f"a public key in the token cannot be read: {error}") from error
    if spec is None:
        raise VaultUnavailable("a public key in the token is of a kind or size that ChargePKI does not use")
    return spec, spki_of(key)


def parse_flag(attributes: Mapping[Attribute, bytes], type: Attribute) -> bool | None:
    """A CK_BBOOL; None when the token does not say."""
    octets = attributes.get(type, b"")
    return None if len(octets) != 1 else octets != b"\0"


def _rsa_key(attributes: Mapping[Attribute, bytes]) -> PublicKey:
    modulus, exponent = attributes.get(Attribute.MODULUS, b""), attributes.get(Attribute.PUBLIC_EXPONENT, b"")
    if len(modulus) > MODULUS_OCTETS_MAX or len(exponent) > EXPONENT_OCTETS_MAX:
        raise ValueError("its RSA numbers are too long")
    return rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).public_key()


def _curve_key(attributes: Mapping[Attribute, bytes]) -> PublicKey:
    type = _number(attributes, Attribute.KEY_TYPE)
    spec = _SPEC_OF_PARAMS.get(attributes.get(Attribute.EC_PARAMS, b""))
    if spec is None or type != (KeyType.EC_EDWARDS if spec in _EDWARDS_NAMES else KeyType.EC):
        raise ValueError("its type and curve are none we know")
    point = _point(attributes.get(Attribute.EC_POINT, b""), POINT_OCTETS[spec])
    if spec is KeySpec.ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(point)
    if spec is KeySpec.ED448:
        return ed448.Ed448PublicKey.from_public_bytes(point)
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[spec], point)


def _point(value: bytes, octets: int) -> bytes:
    """An OCTET STRING by the book (PKCS#11 3.0 2.3.3); some modules give the bare point. The length tells them apart."""
    if len(value) == octets:
        return value
    point = der.parse_element(value).expect(der.OCTET_STRING).content
    if len(point) != octets:
        raise ValueError("its point has a wrong length")
    return point


def _number(attributes: Mapping[Attribute, bytes], type: Attribute) -> int:
    """A CK_ULONG, in the machine's own order."""
    octets = attributes.get(type, b"")
    if len(octets) not in {4, 8}:
        raise ValueError(f"it has no {type.name}")
    return int.from_bytes(octets, sys.byteorder)
