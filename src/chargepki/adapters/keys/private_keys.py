"""What every software vault does with a private key once it has it."""

import asyncio
from collections.abc import Set
from typing import Final

from cryptography.hazmat.primitives import serialization

from chargepki.core.algorithms import KeySpec, PrivateKey, SignatureAlgorithm, sign
from chargepki.errors import NotFound, Refused
from chargepki.ports import KeyHandle, SigningOrder

LABEL_CHARACTERS_MAX: Final = 200
EXPORT_PASSPHRASE_OCTETS_MAX: Final = 1023  # OpenSSL's limit for a PEM passphrase

# Below 0.1 ms per signature a thread costs more than it frees; everything else would hold up the event loop.
INLINE_SPECS: Final = frozenset({KeySpec.P256, KeySpec.ED25519})

_ECDSA: Final = frozenset({SignatureAlgorithm.ECDSA_SHA256, SignatureAlgorithm.ECDSA_SHA384, SignatureAlgorithm.ECDSA_SHA512})
_RSA: Final = frozenset({SignatureAlgorithm.RSA_SHA256, SignatureAlgorithm.RSA_PSS_SHA256})
ALGORITHMS: Final[dict[KeySpec, frozenset[SignatureAlgorithm]]] = {
    KeySpec.P256: _ECDSA,
    KeySpec.P384: _ECDSA,
    KeySpec.P521: _ECDSA,
    KeySpec.RSA2048: _RSA,
    KeySpec.RSA3072: _RSA,
    KeySpec.RSA4096: _RSA,
    KeySpec.ED25519: frozenset({SignatureAlgorithm.ED25519}),
    KeySpec.ED448: frozenset({SignatureAlgorithm.ED448}),
    KeySpec.MLDSA44: frozenset({SignatureAlgorithm.MLDSA44}),
    KeySpec.MLDSA65: frozenset({SignatureAlgorithm.MLDSA65}),
    KeySpec.MLDSA87: frozenset({SignatureAlgorithm.MLDSA87}),
}


async def sign_order(key: PrivateKey, spec: KeySpec, order: SigningOrder) -> bytes:
    """The signature; `Refused` when the key cannot make a signature of that kind."""
    check_algorithm(spec, order.algorithm)
    if spec in INLINE_SPECS:
        return sign(key, order.algorithm, order.data)
    return await asyncio.to_thread(sign, key, order.algorithm, order.data)


def check_algorithm(spec: KeySpec, algorithm: SignatureAlgorithm, known: Set[SignatureAlgorithm] = frozenset(SignatureAlgorithm)) -> None:
    """`known`: what the device can do at all."""
    able = ALGORITHMS[spec] & known
    if algorithm not in able:
        raise Refused.because(
            "vault.algorithm.unsuitable",
            f"a key of kind {spec} cannot sign with {algorithm}{' in this vault' if algorithm in ALGORITHMS[spec] else ''}",
            path="order.algorithm",
            hint=f"one of: {', '.join(sorted(able))}",
        )


def check_spec(spec: KeySpec, known: Set[KeySpec], *, hint: str = "") -> None:
    """Refuses the kinds of keys that a vault's device cannot make."""
    if spec not in known:
        able = ", ".join(one for one in KeySpec if one in known) or "no kind of key at all"
        raise Refused.because("vault.spec.unsupported", f"this vault makes no key of kind {spec}; it makes {able}", path="spec", hint=hint)


def refuse_exportable(label: str) -> Refused:
    """What a vault answers whose keys never leave it."""
    return Refused.because(
        "vault.key.not_exportable",
        f"no key of this vault ever leaves it, so none is made to leave ({label[:LABEL_CHARACTERS_MAX]!r})",
        path="exportable",
        hint="exportable keys belong into sealed files: keys.exportable in the configuration says where",
    )


def check_label(label: str) -> None:
    if len(label) > LABEL_CHARACTERS_MAX:
        raise Refused.because("vault.label.too_long", f"a key's label has at most {LABEL_CHARACTERS_MAX} characters", path="label")


def check_exportable(handle: KeyHandle) -> None:
    if not handle.is_exportable:
        raise Refused.because(
            "vault.key.not_exportable",
            f"the key {handle.ref} was not made exportable",
            path="key",
            hint="a key stays what it was made as; keys of authorities never leave the vault",
        )


def check_export_passphrase(passphrase: bytes) -> None:
    if not 0 < len(passphrase) <= EXPORT_PASSPHRASE_OCTETS_MAX:
        raise Refused.because(
            "vault.export.passphrase", f"the passphrase has 1 to {EXPORT_PASSPHRASE_OCTETS_MAX} octets", path="passphrase"
        )


def encrypted_pem(key: PrivateKey, passphrase: bytes) -> bytes:
    """PKCS#8, PEM, PBES2 (RFC 5958, RFC 8018)."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(passphrase)
    )


def no_such_key(ref: str) -> NotFound:
    return NotFound.because("vault.key.unknown", f"there is no key {ref[:64]!r} in the vault", path="key")
