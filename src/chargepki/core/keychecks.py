"""Is this public key one that may be certified? Kind and size by policy, weakness by mathematics.

RSA moduli go through `badkeys` (close primes, ROCA, shared and small factors, biased or patterned bits, the xz payload, small
private exponents), each check called by itself. Left out: its `blocklist` (Debian's keys and other leaked ones), because it
needs a download and ends the process where the data is missing, and `rsawarnings`, because sizes and exponents are ruled here.
A point that is not on its curve never arrives: `cryptography` refuses it on reading.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from badkeys import rsakeys
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from chargepki.core.algorithms import RSA_PUBLIC_EXPONENT, KeySpec, PublicKey, spec_of
from chargepki.errors import Finding, Severity

EXPONENT_END: Final = 2**64  # CA/Browser Forum and NIST SP 800-56B allow up to 2**256; no device needs that, and readers choke on it
RSA_BITS_MIN: Final = 2048  # OCPP A00.FR.502
RSA_BITS_MAX: Final = 4096
EC_BITS_MIN: Final = 224  # OCPP A00.FR.503

_STRENGTH: Final = "OCPP A00.FR.501-503"
_RSA_CHECKS: Final[tuple[tuple[str, Callable[..., Any], str], ...]] = (
    ("invalid", rsakeys.rsainvalid, "the exponent does not fit the modulus"),
    ("small_factors", rsakeys.smallfactors, "the modulus has a small prime factor"),
    ("fermat", rsakeys.fermat, "the two primes lie close together: Fermat's method factors the modulus at once"),
    ("roca", rsakeys.roca, "the modulus has the ROCA fingerprint (CVE-2017-15361)"),
    ("shared_prime", rsakeys.sharedprimes, "the modulus shares a prime with other keys seen in public"),
    ("polynomial", rsakeys.rsapoly, "the modulus has a pattern of zeros by which it can be factored"),
    ("bias", rsakeys.rsabias, "the bits of the modulus are far from evenly distributed"),
    ("pattern", rsakeys.pattern, "the modulus repeats one octet: it was not made from random primes"),
    ("xz", rsakeys.xzbackdoor, "the modulus carries a payload of the xz backdoor (CVE-2024-3094)"),
    ("small_d", rsakeys.smalld, "the private exponent is so small that Wiener's method finds it"),
)

# Ordinates of the points whose order divides the cofactor: with such a key, anybody can make signatures that verify.
_P25519: Final = 2**255 - 19
_SMALL_ORDER_25519: Final = frozenset(
    {
        0,
        1,
        _P25519 - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)
_P448: Final = 2**448 - 2**224 - 1
_SMALL_ORDER_448: Final = frozenset({0, 1, _P448 - 1})

_OPENSSL: Final[dict[KeySpec, str]] = {
    KeySpec.P256: "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    KeySpec.P384: "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
    KeySpec.P521: "-algorithm EC -pkeyopt ec_paramgen_curve:P-521",
    KeySpec.RSA2048: "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
    KeySpec.RSA3072: "-algorithm RSA -pkeyopt rsa_keygen_bits:3072",
    KeySpec.RSA4096: "-algorithm RSA -pkeyopt rsa_keygen_bits:4096",
    KeySpec.ED25519: "-algorithm ED25519",
    KeySpec.ED448: "-algorithm ED448",
    KeySpec.MLDSA44: "-algorithm ML-DSA-44",
    KeySpec.MLDSA65: "-algorithm ML-DSA-65",
    KeySpec.MLDSA87: "-algorithm ML-DSA-87",
}


def find_key_faults(key: PublicKey, allowed: frozenset[KeySpec]) -> tuple[Finding, ...]:
    """What speaks against certifying `key` where `allowed` kinds may be. An unusual RSA exponent is a warning."""
    found = list(_find_kind_faults(key, allowed))
    match key:
        case rsa.RSAPublicKey():
            found += _find_rsa_faults(key)
        case ed25519.Ed25519PublicKey():
            found += _find_small_order(key.public_bytes_raw(), 255, _P25519, _SMALL_ORDER_25519)
        case ed448.Ed448PublicKey():
            found += _find_small_order(key.public_bytes_raw(), 448, _P448, _SMALL_ORDER_448)
    return tuple(found)


def describe_key(key: PublicKey) -> str:
    """The kind of a key in words: "ec-p256", "RSA with 1024 bits", "EC on brainpoolP256r1"."""
    spec = spec_of(key)
    if spec is not None:
        return spec.value
    match key:
        case rsa.RSAPublicKey():
            return f"RSA with {key.key_size} bits"
        case ec.EllipticCurvePublicKey():
            return f"EC on {key.curve.name}"
        case _:
            return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def _find_kind_faults(key: PublicKey, allowed: frozenset[KeySpec]) -> Iterable[Finding]:
    if spec_of(key) in allowed:
        return
    kinds = [spec for spec in KeySpec if spec in allowed]
    hint = f"openssl genpkey {_OPENSSL[kinds[0]]} -out key.pem" if kinds else ""
    yield _fault("kind", f"the public key is {describe_key(key)}; allowed are {', '.join(kinds) or 'none'}", hint=hint)
    is_weak_rsa = isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS_MIN
    is_weak_ec = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < EC_BITS_MIN
    if is_weak_rsa or is_weak_ec:
        yield _fault("strength", f"{describe_key(key)} is weaker than 112 bits", _STRENGTH, hint)


def _find_rsa_faults(key: rsa.RSAPublicKey) -> Iterable[Finding]:
    numbers = key.public_numbers()
    modulus, exponent = numbers.n, numbers.e
    if exponent % 2 == 0 or not RSA_PUBLIC_EXPONENT <= exponent < EXPONENT_END:
        yield _fault(
            "rsa.exponent",
            f"the public exponent {_short(exponent)} is not an odd number from 65537 to 2**64",
            "NIST SP 800-56B 6.2",
            "use 65537, which every tool takes by itself",
        )
        return
    if exponent != RSA_PUBLIC_EXPONENT:
        yield _fault("rsa.exponent_unusual", f"the public exponent is {exponent}, not 65537", severity=Severity.WARNING)
    if key.key_size > RSA_BITS_MAX:
        return  # refused by its kind; its size would make the checks below expensive
    for slug, check, message in _RSA_CHECKS:
        if check(modulus, e=exponent) is not False:
            hint = "make a new key on a device with a good random source; inform the maker of the one that made this"
            yield _fault(f"weak.{slug}", message, "OCPP A00.FR.501", hint)


def _find_small_order(octets: bytes, bits: int, prime: int, small: frozenset[int]) -> Iterable[Finding]:
    ordinate = int.from_bytes(octets, "little") & ((1 << bits) - 1)
    if ordinate % prime in small:
        yield _fault(
            "weak.small_order", "the public key is a point of small order: anybody can sign for it", "RFC 8032 5", "make a new key"
        )


def _fault(slug: str, message: str, clause: str = "", hint: str = "", severity: Severity = Severity.ERROR) -> Finding:
    return Finding(f"key.{slug}", message, severity, "csr.spki", clause, hint)


def _short(number: int) -> str:
    return str(number) if number < EXPONENT_END else f"of {number.bit_length()} bits"
