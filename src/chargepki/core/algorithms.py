"""Keys and signatures: names, identifiers, and the calls into `cryptography`, each once."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)

from chargepki.core import der
from chargepki.errors import Refused

PrivateKey = CertificateIssuerPrivateKeyTypes
PublicKey = CertificatePublicKeyTypes

SPKI_BYTES_MAX: Final = 4096  # ML-DSA-87: 2,592 octets of key; RSA-4096: 550; nothing we sign is larger
RSA_PUBLIC_EXPONENT: Final = 65537


class KeySpec(StrEnum):
    """A kind of key pair. The values are what people type and what the API shows."""

    P256 = "ec-p256"
    P384 = "ec-p384"
    P521 = "ec-p521"
    RSA2048 = "rsa-2048"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"
    ED25519 = "ed25519"
    ED448 = "ed448"
    MLDSA44 = "ml-dsa-44"
    MLDSA65 = "ml-dsa-65"
    MLDSA87 = "ml-dsa-87"


class SignatureAlgorithm(StrEnum):
    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"
    RSA_SHA256 = "rsa-sha256"  # PKCS #1 v1.5: for peers that cannot read PSS
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    ED25519 = "ed25519"
    ED448 = "ed448"
    MLDSA44 = "ml-dsa-44"
    MLDSA65 = "ml-dsa-65"
    MLDSA87 = "ml-dsa-87"


# What a CA key of this kind signs with unless its creator chose otherwise (OCPP A00.FR.505: RSA-PSS or ECDSA).
DEFAULT_SIGNATURE: Final[dict[KeySpec, SignatureAlgorithm]] = {
    KeySpec.P256: SignatureAlgorithm.ECDSA_SHA256,
    KeySpec.P384: SignatureAlgorithm.ECDSA_SHA384,
    KeySpec.P521: SignatureAlgorithm.ECDSA_SHA512,
    KeySpec.RSA2048: SignatureAlgorithm.RSA_PSS_SHA256,
    KeySpec.RSA3072: SignatureAlgorithm.RSA_PSS_SHA256,
    KeySpec.RSA4096: SignatureAlgorithm.RSA_PSS_SHA256,
    KeySpec.ED25519: SignatureAlgorithm.ED25519,
    KeySpec.ED448: SignatureAlgorithm.ED448,
    KeySpec.MLDSA44: SignatureAlgorithm.MLDSA44,
    KeySpec.MLDSA65: SignatureAlgorithm.MLDSA65,
    KeySpec.MLDSA87: SignatureAlgorithm.MLDSA87,
}

RSA_KINDS: Final = frozenset({KeySpec.RSA2048, KeySpec.RSA3072, KeySpec.RSA4096})


class KeyFamily(StrEnum):
    """Kinds of keys that the same peers can check."""

    ECDSA = "ecdsa"
    RSA = "rsa"
    EDDSA = "eddsa"
    MLDSA = "ml-dsa"


_FAMILIES: Final[dict[KeySpec, KeyFamily]] = {
    KeySpec.P256: KeyFamily.ECDSA,
    KeySpec.P384: KeyFamily.ECDSA,
    KeySpec.P521: KeyFamily.ECDSA,
    KeySpec.RSA2048: KeyFamily.RSA,
    KeySpec.RSA3072: KeyFamily.RSA,
    KeySpec.RSA4096: KeyFamily.RSA,
    KeySpec.ED25519: KeyFamily.EDDSA,
    KeySpec.ED448: KeyFamily.EDDSA,
    KeySpec.MLDSA44: KeyFamily.MLDSA,
    KeySpec.MLDSA65: KeyFamily.MLDSA,
    KeySpec.MLDSA87: KeyFamily.MLDSA,
}


def family_of(spec: KeySpec) -> KeyFamily:
    return _FAMILIES[spec]


# The largest signature, in octets: ECDSA as DER of two integers; RSA as its largest modulus; FIPS 204 table 2.
SIGNATURE_OCTETS_MAX: Final[dict[SignatureAlgorithm, int]] = {
    SignatureAlgorithm.ECDSA_SHA256: 72,
    SignatureAlgorithm.ECDSA_SHA384: 104,
    SignatureAlgorithm.ECDSA_SHA512: 139,
    SignatureAlgorithm.RSA_SHA256: 512,
    SignatureAlgorithm.RSA_PSS_SHA256: 512,
    SignatureAlgorithm.ED25519: 64,
    SignatureAlgorithm.ED448: 114,
    SignatureAlgorithm.MLDSA44: 2420,
    SignatureAlgorithm.MLDSA65: 3309,
    SignatureAlgorithm.MLDSA87: 4627,
}

# The DER of each AlgorithmIdentifier. RFC 5758 3.2 (ECDSA: parameters absent), RFC 4055 5 and 3.1 (RSA: NULL; PSS: SHA-256,
# MGF1 with SHA-256, salt 32), RFC 8410 3, RFC 9881 2.
ALGORITHM_IDENTIFIER: Final[dict[SignatureAlgorithm, bytes]] = {
    SignatureAlgorithm.ECDSA_SHA256: bytes.fromhex("300a06082a8648ce3d040302"),
    SignatureAlgorithm.ECDSA_SHA384: bytes.fromhex("300a06082a8648ce3d040303"),
    SignatureAlgorithm.ECDSA_SHA512: bytes.fromhex("300a06082a8648ce3d040304"),
    SignatureAlgorithm.RSA_SHA256: bytes.fromhex("300d06092a864886f70d01010b0500"),
    SignatureAlgorithm.RSA_PSS_SHA256: bytes.fromhex(
        "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120"
    ),
    SignatureAlgorithm.ED25519: bytes.fromhex("300506032b6570"),
    SignatureAlgorithm.ED448: bytes.fromhex("300506032b6571"),
    SignatureAlgorithm.MLDSA44: bytes.fromhex("300b0609608648016503040311"),
    SignatureAlgorithm.MLDSA65: bytes.fromhex("300b0609608648016503040312"),
    SignatureAlgorithm.MLDSA87: bytes.fromhex("300b0609608648016503040313"),
}

_SIGNATURE_BY_OID: Final = {der.parse_element(identifier).children()[0].as_oid(): it for it, identifier in ALGORITHM_IDENTIFIER.items()}

_CURVES: Final[dict[KeySpec, type[ec.EllipticCurve]]] = {
    KeySpec.P256: ec.SECP256R1,
    KeySpec.P384: ec.SECP384R1,
    KeySpec.P521: ec.SECP521R1,
}
_CURVE_NAMES: Final[dict[str, KeySpec]] = {curve().name: spec for spec, curve in _CURVES.items()}
_RSA_BITS: Final = {KeySpec.RSA2048: 2048, KeySpec.RSA3072: 3072, KeySpec.RSA4096: 4096}
_HASHES: Final[dict[SignatureAlgorithm, hashes.HashAlgorithm]] = {
    SignatureAlgorithm.ECDSA_SHA256: hashes.SHA256(),
    SignatureAlgorithm.ECDSA_SHA384: hashes.SHA384(),
    SignatureAlgorithm.ECDSA_SHA512: hashes.SHA512(),
}
_PSS_SHA256: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
_MLDSA: Final[dict[KeySpec, Callable[[], PrivateKey]]] = {
    KeySpec.MLDSA44: mldsa.MLDSA44PrivateKey.generate,
    KeySpec.MLDSA65: mldsa.MLDSA65PrivateKey.generate,
    KeySpec.MLDSA87: mldsa.MLDSA87PrivateKey.generate,
}


def generate_private_key(spec: KeySpec) -> PrivateKey:
    """A fresh key pair. Draws randomness: for vaults and simulators only."""
    if curve := _CURVES.get(spec):
        return ec.generate_private_key(curve())
    if bits := _RSA_BITS.get(spec):
        return rsa.generate_private_key(RSA_PUBLIC_EXPONENT, bits)
    if spec is KeySpec.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if spec is KeySpec.ED448:
        return ed448.Ed448PrivateKey.generate()
    return _MLDSA[spec]()


def parse_spki(spki: bytes) -> PublicKey:
    """The public key in a DER SubjectPublicKeyInfo; `Refused` when it is none, or of a kind that signs nothing here."""
    if len(spki) > SPKI_BYTES_MAX:
        raise Refused.because("key.too_long", f"the public key has {len(spki)} octets, the limit is {SPKI_BYTES_MAX}", path="csr.spki")
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Refused.because("key.unreadable", f"the public key cannot be read: {error}", path="csr.spki") from error
    return cast(PublicKey, key)


def spki_of(key: PublicKey) -> bytes:
    """The DER SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def spec_of(key: PublicKey) -> KeySpec | None:
    """The kind of a public key, or None for a kind this platform does not know (an odd RSA size, another curve)."""
    match key:
        case ec.EllipticCurvePublicKey():
            return _CURVE_NAMES.get(key.curve.name)
        case rsa.RSAPublicKey():
            return next((spec for spec, bits in _RSA_BITS.items() if bits == key.key_size), None)
        case ed25519.Ed25519PublicKey():
            return KeySpec.ED25519
        case ed448.Ed448PublicKey():
            return KeySpec.ED448
        case mldsa.MLDSA44PublicKey():
            return KeySpec.MLDSA44
        case mldsa.MLDSA65PublicKey():
            return KeySpec.MLDSA65
        case mldsa.MLDSA87PublicKey():
            return KeySpec.MLDSA87
        case _:
            return None


def sign(key: PrivateKey, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
    """The signature as X.509 carries it (ECDSA: DER of r and s)."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(data, ec.ECDSA(_HASHES[algorithm]))
        case rsa.RSAPrivateKey():
            scheme = _PSS_SHA256 if algorithm is SignatureAlgorithm.RSA_PSS_SHA256 else padding.PKCS1v15()
            return key.sign(data, scheme, hashes.SHA256())
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return key.sign(data)
        case mldsa.MLDSA44PrivateKey() | mldsa.MLDSA65PrivateKey() | mldsa.MLDSA87PrivateKey():
            return key.sign(data)
        case _:
            raise TypeError(f"no signature with a {type(key).__name__}")


def signature_of_oid(oid: str) -> SignatureAlgorithm | None:
    """None: an algorithm that nothing here signs with."""
    return _SIGNATURE_BY_OID.get(oid)


def is_signature_valid(key: PublicKey, algorithm: SignatureAlgorithm, signature: bytes, data: bytes) -> bool:
    """True when `signature` over `data` verifies; a key of the wrong kind for `algorithm` is False, not an error."""
    try:
        match key:
            case ec.EllipticCurvePublicKey() if algorithm in _HASHES:
                key.verify(signature, data, ec.ECDSA(_HASHES[algorithm]))
            case rsa.RSAPublicKey() if algorithm is SignatureAlgorithm.RSA_PSS_SHA256:
                key.verify(signature, data, _PSS_SHA256, hashes.SHA256())
            case rsa.RSAPublicKey() if algorithm is SignatureAlgorithm.RSA_SHA256:
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            case (
                ed25519.Ed25519PublicKey()
                | ed448.Ed448PublicKey()
                | mldsa.MLDSA44PublicKey()
                | mldsa.MLDSA65PublicKey()
                | mldsa.MLDSA87PublicKey()
            ) if algorithm.value == spec_of(key):
                key.verify(signature, data)
            case _:
                return False
    except InvalidSignature:
        return False
    return True
