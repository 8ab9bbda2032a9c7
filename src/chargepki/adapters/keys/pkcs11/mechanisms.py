"""Kinds of keys and signatures in the language of PKCS#11: what to ask a token for, and what its answer means."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from chargepki.adapters.keys.pkcs11.attributes import EC_PARAMS
from chargepki.adapters.keys.pkcs11.codes import CKM_SHA256, Attribute, Class, KeyType, Mechanism
from chargepki.adapters.keys.pkcs11.cryptoki import MechanismInfo
from chargepki.adapters.keys.pkcs11.structures import EddsaParameter, MechanismCall, PssParameter, Template, Value
from chargepki.core.algorithms import RSA_PUBLIC_EXPONENT, KeySpec, SignatureAlgorithm
from chargepki.errors import VaultUnavailable

# Kind: the mechanism that makes it, those that sign with it, its size in bits as CK_MECHANISM_INFO counts.
_RSA_SIGNS: Final = (Mechanism.CKM_RSA_PKCS_PSS, Mechanism.CKM_RSA_PKCS)
_MAKING: Final[dict[KeySpec, tuple[Mechanism, tuple[Mechanism, ...], int]]] = {
    KeySpec.P256: (Mechanism.CKM_EC_KEY_PAIR_GEN, (Mechanism.CKM_ECDSA,), 256),
    KeySpec.P384: (Mechanism.CKM_EC_KEY_PAIR_GEN, (Mechanism.CKM_ECDSA,), 384),
    KeySpec.P521: (Mechanism.CKM_EC_KEY_PAIR_GEN, (Mechanism.CKM_ECDSA,), 521),
    KeySpec.RSA2048: (Mechanism.CKM_RSA_PKCS_KEY_PAIR_GEN, _RSA_SIGNS, 2048),
    KeySpec.RSA3072: (Mechanism.CKM_RSA_PKCS_KEY_PAIR_GEN, _RSA_SIGNS, 3072),
    KeySpec.RSA4096: (Mechanism.CKM_RSA_PKCS_KEY_PAIR_GEN, _RSA_SIGNS, 4096),
    KeySpec.ED25519: (Mechanism.CKM_EC_EDWARDS_KEY_PAIR_GEN, (Mechanism.CKM_EDDSA,), 255),
    KeySpec.ED448: (Mechanism.CKM_EC_EDWARDS_KEY_PAIR_GEN, (Mechanism.CKM_EDDSA,), 448),
}
_KEY_TYPES: Final = {
    Mechanism.CKM_RSA_PKCS_KEY_PAIR_GEN: KeyType.RSA,
    Mechanism.CKM_EC_KEY_PAIR_GEN: KeyType.EC,
    Mechanism.CKM_EC_EDWARDS_KEY_PAIR_GEN: KeyType.EC_EDWARDS,
}
# A key that signs certificates does nothing else. Tokens refuse a no to what the kind cannot do anyway.
_FORBIDDEN: Final = {
    KeyType.RSA: (Attribute.DECRYPT, Attribute.UNWRAP),
    KeyType.EC: (Attribute.DERIVE,),
    KeyType.EC_EDWARDS: (Attribute.DERIVE,),
}
_CURVE_BITS_SLACK: Final = 8  # tokens count Ed25519 as 255 or 256 bits, Ed448 as 448 or 456

# CKM_RSA_PKCS signs a DigestInfo (RFC 8017 9.2 note 1): this is what stands before a SHA-256 digest.
_SHA256_DIGEST_INFO: Final = bytes.fromhex("3031300d060960864801650304020105000420")
_CKG_MGF1_SHA256: Final = 2
_PLAIN_EDDSA: Final = MechanismCall(Mechanism.CKM_EDDSA)

# How to sign. More than one way: the next is tried when the module does not take the parameter. PKCS#11 3.0 2.3.14 wants
# CK_EDDSA_PARAMS for Ed448 and forbids them for plain Ed25519; modules made before it know neither.
CALLS: Final[dict[SignatureAlgorithm, tuple[MechanismCall, ...]]] = {
    SignatureAlgorithm.ECDSA_SHA256: (MechanismCall(Mechanism.CKM_ECDSA),),
    SignatureAlgorithm.ECDSA_SHA384: (MechanismCall(Mechanism.CKM_ECDSA),),
    SignatureAlgorithm.ECDSA_SHA512: (MechanismCall(Mechanism.CKM_ECDSA),),
    SignatureAlgorithm.RSA_SHA256: (MechanismCall(Mechanism.CKM_RSA_PKCS),),
    SignatureAlgorithm.RSA_PSS_SHA256: (MechanismCall(Mechanism.CKM_RSA_PKCS_PSS, PssParameter(CKM_SHA256, _CKG_MGF1_SHA256, 32)),),
    SignatureAlgorithm.ED25519: (_PLAIN_EDDSA,),
    SignatureAlgorithm.ED448: (MechanismCall(Mechanism.CKM_EDDSA, EddsaParameter()), _PLAIN_EDDSA),
}
_MECHANISM_OF: Final = {algorithm: Mechanism(calls[0].mechanism) for algorithm, calls in CALLS.items()}
_HALF_OCTETS: Final = {KeySpec.P256: 32, KeySpec.P384: 48, KeySpec.P521: 66}
_SIGNATURE_OCTETS: Final = {
    KeySpec.RSA2048: 256,
    KeySpec.RSA3072: 384,
    KeySpec.RSA4096: 512,
    KeySpec.ED25519: 64,
    KeySpec.ED448: 114,
}


def find_specs(mechanisms: Mapping[int, MechanismInfo]) -> frozenset[KeySpec]:
    """The kinds of keys a token with these mechanisms can make and sign with."""
    return frozenset(spec for spec, (making, signing, bits) in _MAKING.items() if _can(mechanisms, making, signing, bits))


def find_algorithms(mechanisms: Mapping[int, MechanismInfo]) -> frozenset[SignatureAlgorithm]:
    return frozenset(algorithm for algorithm, mechanism in _MECHANISM_OF.items() if mechanism in mechanisms)


def plan_generation(spec: KeySpec, id: bytes, label: str) -> Iterator[tuple[MechanismCall, Template, Template]]:
    """The mechanism, the public template, the private one; once for each spelling of the curve."""
    making, _, bits = _MAKING[spec]
    type = _KEY_TYPES[making]
    for material in _materials(spec, bits):
        public: dict[Attribute, Value] = {**_both(Class.PUBLIC_KEY, type, id, label), Attribute.VERIFY: True, **material}
        private: dict[Attribute, Value] = {
            **_both(Class.PRIVATE_KEY, type, id, label),
            Attribute.SENSITIVE: True,  # never in clear outside the token ...
            Attribute.EXTRACTABLE: False,  # ... and never wrapped either
            Attribute.SIGN: True,
            **dict.fromkeys(_FORBIDDEN[type], False),
        }
        yield MechanismCall(making), Template(public), Template(private)


def signing_input(algorithm: SignatureAlgorithm, data: bytes) -> bytes:
    """What the token is handed. Hashing happens here: a CRL of megabytes need not travel to a device."""
    match algorithm:
        case SignatureAlgorithm.ECDSA_SHA256 | SignatureAlgorithm.RSA_PSS_SHA256:
            return hashlib.sha256(data).digest()
        case SignatureAlgorithm.ECDSA_SHA384:
            return hashlib.sha384(data).digest()
        case SignatureAlgorithm.ECDSA_SHA512:
            return hashlib.sha512(data).digest()
        case SignatureAlgorithm.RSA_SHA256:
            return _SHA256_DIGEST_INFO + hashlib.sha256(data).digest()
        case _:
            return data


def parse_signature(spec: KeySpec, octets: bytes) -> bytes:
    """The signature as X.509 carries it; a token gives ECDSA as r and s side by side (PKCS#11 3.0 2.3.1)."""
    half = _HALF_OCTETS.get(spec)
    if len(octets) != (2 * half if half else _SIGNATURE_OCTETS[spec]):
        raise VaultUnavailable(f"the token made a signature of {len(octets)} octets with a key of kind {spec}")
    if half is None:
        return octets
    return encode_dss_signature(int.from_bytes(octets[:half], "big"), int.from_bytes(octets[half:], "big"))


def _can(mechanisms: Mapping[int, MechanismInfo], making: Mechanism, signing: tuple[Mechanism, ...], bits: int) -> bool:
    info = mechanisms.get(making)
    if info is None or not any(mechanism in mechanisms for mechanism in signing):
        return False
    if info.size_max == 0:  # no sizes are said
        return True
    slack = 0 if making is Mechanism.CKM_RSA_PKCS_KEY_PAIR_GEN else _CURVE_BITS_SLACK
    return info.size_min - slack <= bits <= info.size_max + slack


def _materials(spec: KeySpec, bits: int) -> list[dict[Attribute, Value]]:
    if spec in EC_PARAMS:
        return [{Attribute.EC_PARAMS: params} for params in EC_PARAMS[spec]]
    return [{Attribute.MODULUS_BITS: bits, Attribute.PUBLIC_EXPONENT: RSA_PUBLIC_EXPONENT.to_bytes(3, "big")}]


def _both(of: Class, type: KeyType, id: bytes, label: str) -> dict[Attribute, Value]:
    """The public key is as private as the other: without a login nobody can read it, and nobody can put another in its place."""
    return {
        Attribute.CLASS: of,
        Attribute.KEY_TYPE: type,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.MODIFIABLE: False,
        Attribute.ID: id,
        Attribute.LABEL: label.encode(),
    }
