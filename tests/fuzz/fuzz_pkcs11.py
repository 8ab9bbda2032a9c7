"""What a token says of its keys, and the names of tokens: damaged answers are reported as damaged."""

import struct

from chargepki.adapters.keys.pkcs11.attributes import EC_PARAMS, POINT_OCTETS, parse_public_key
from chargepki.adapters.keys.pkcs11.codes import Attribute, KeyType
from chargepki.adapters.keys.pkcs11.mechanisms import parse_signature
from chargepki.adapters.keys.pkcs11.uri import parse_token_name
from chargepki.core import der
from chargepki.core.algorithms import KeyFamily, KeySpec, family_of, parse_spki, spec_of
from chargepki.errors import Refused, VaultUnavailable

_GENERATOR = bytes.fromhex(  # the base point of P-256: a public key that everybody knows
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
)
SEEDS = (
    der.octet_string(_GENERATOR),
    _GENERATOR,
    der.octet_string(b"\x09" + bytes(31)),
    der.octet_string(b"\x09" + bytes(56)),
    b"\xc5" + bytes(254) + b"\x01",
    b"pkcs11:token=Charge%20PKI;serial=0123;slot-id=7",
)
_TYPES = {KeyFamily.ECDSA: KeyType.EC, KeyFamily.EDDSA: KeyType.EC_EDWARDS}


def one_input(data: bytes) -> None:
    for spec in POINT_OCTETS:
        type = struct.pack("L", _TYPES[family_of(spec)])
        for params in (*EC_PARAMS[spec], data[:32]):
            _read({Attribute.KEY_TYPE: type, Attribute.EC_PARAMS: params, Attribute.EC_POINT: data})
    _read({Attribute.KEY_TYPE: struct.pack("L", KeyType.RSA), Attribute.MODULUS: data, Attribute.PUBLIC_EXPONENT: b"\x01\x00\x01"})
    _read({Attribute.KEY_TYPE: struct.pack("L", KeyType.RSA), Attribute.MODULUS: data[8:], Attribute.PUBLIC_EXPONENT: data[:8]})
    _read({Attribute.KEY_TYPE: data[:8], Attribute.EC_PARAMS: data[8:20], Attribute.EC_POINT: data[20:]})
    for spec in (KeySpec.P256, KeySpec.RSA2048, KeySpec.ED448):
        try:
            parse_signature(spec, data)
        except VaultUnavailable:
            continue
    try:
        parse_token_name(data.decode("utf-8", "replace"))
    except Refused:
        return


def _read(attributes: dict[Attribute, bytes]) -> None:
    try:
        spec, spki = parse_public_key(attributes)
    except VaultUnavailable:
        return
    assert spec_of(parse_spki(spki)) is spec


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
