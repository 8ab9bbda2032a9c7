"""Keys that may be certified, and keys that must not be."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from chargepki.core.algorithms import KeySpec, generate_private_key
from chargepki.core.keychecks import describe_key, find_key_faults
from chargepki.core.profiles.ocpp import TLS_KEYS
from chargepki.errors import Severity

EVERY_KEY = frozenset(KeySpec)
# Made by an Infineon chip; published with the detection tool of the ROCA paper (crocs-muni/roca, mod01 of its test data).
ROCA_MODULUS = int(
    "944e13208a280c37efc31c3114485e590192adbb8e11c87cad60cdef0037ce99278330d3f471a2538fa667802ed2a3c44a8b7dea826e888d0aa341fd664f7fa7",
    16,
)
P25519 = 2**255 - 19


def rsa_key(modulus: int, exponent: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def prime_after(start: int) -> int:
    import gmpy2

    return int(gmpy2.next_prime(start))


def codes_of(key: object) -> set[str]:
    return {finding.code for finding in find_key_faults(key, EVERY_KEY)}  # type: ignore[arg-type]


@pytest.mark.parametrize("spec", list(KeySpec))
def test_a_fresh_key_of_every_kind_has_no_fault(spec: KeySpec) -> None:
    assert find_key_faults(generate_private_key(spec).public_key(), EVERY_KEY) == ()


@pytest.mark.clause("OCPP A00.FR.501", "OCPP A00.FR.502", "OCPP A00.FR.503", "OCPP A00.FR.504")
@pytest.mark.parametrize(
    ("key", "codes", "words"),
    [
        (rsa.generate_private_key(65537, 1024).public_key(), {"key.kind", "key.strength"}, "RSA with 1024 bits"),
        (ec.generate_private_key(ec.SECP192R1()).public_key(), {"key.kind", "key.strength"}, "EC on secp192r1"),
        (ec.generate_private_key(ec.SECP256K1()).public_key(), {"key.kind"}, "EC on secp256k1"),
        (ec.generate_private_key(ec.BrainpoolP256R1()).public_key(), {"key.kind"}, "EC on brainpoolP256r1"),
        (ed25519.Ed25519PrivateKey.generate().public_key(), {"key.kind"}, "ed25519"),
    ],
)
def test_a_kind_that_the_profile_does_not_have_is_named_with_the_command_that_helps(key: object, codes: set[str], words: str) -> None:
    found = find_key_faults(key, TLS_KEYS)  # type: ignore[arg-type]
    assert {finding.code for finding in found} == codes
    assert words in found[0].message
    assert found[0].hint.startswith("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
    assert describe_key(key) == words  # type: ignore[arg-type]


def test_primes_that_lie_close_together_are_found_by_fermat() -> None:
    first = prime_after(3 << 1022)
    assert "key.weak.fermat" in codes_of(rsa_key(first * prime_after(first + 2**40)))


def test_the_roca_fingerprint_is_found() -> None:
    assert "key.weak.roca" in codes_of(rsa_key(ROCA_MODULUS))


def test_a_modulus_with_a_small_factor_is_found() -> None:
    large = prime_after((1 << 2034) + 12345)
    modulus = large * 10007
    assert "key.weak.small_factors" in codes_of(rsa_key(modulus))


def test_a_modulus_of_repeated_octets_is_found() -> None:
    modulus = int.from_bytes(b"\xa5" * 128 + bytes(range(1, 129)), "big") | 1
    assert "key.weak.pattern" in codes_of(rsa_key(modulus))


@pytest.mark.clause("NIST SP 800-56B 6.2")
@pytest.mark.parametrize("exponent", [3, 17, 2**64 + 13])
def test_exponents_outside_the_range_are_refused(exponent: int) -> None:
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    assert codes_of(rsa_key(modulus, exponent)) == {"key.rsa.exponent"}


def test_an_unusual_exponent_is_a_warning() -> None:
    modulus = rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    [finding] = find_key_faults(rsa_key(modulus, 65539), EVERY_KEY)
    assert (finding.code, finding.severity) == ("key.rsa.exponent_unusual", Severity.WARNING)


@pytest.mark.parametrize(
    "octets",
    [
        bytes(32),
        (1).to_bytes(32, "little"),
        (P25519 - 1).to_bytes(32, "little"),
        P25519.to_bytes(32, "little"),
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
    ],
)
def test_ed25519_points_of_small_order_are_found(octets: bytes) -> None:
    """With such a key a signature that anybody can make verifies."""
    assert "key.weak.small_order" in codes_of(ed25519.Ed25519PublicKey.from_public_bytes(octets))


def test_the_ordinates_of_order_eight_are_of_order_eight() -> None:
    """Doubling three times gives the neutral element; doubling twice does not (RFC 8032 5.1.4)."""
    for octets in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ):
        ordinate = int.from_bytes(bytes.fromhex(octets), "little")
        assert doubled(doubled(doubled(ordinate))) == 1
        assert doubled(doubled(ordinate)) == P25519 - 1


def doubled(y: int) -> int:
    """The ordinate of twice the point: (y^2 + x^2) / (1 - d x^2 y^2) with x^2 = (y^2 - 1) / (d y^2 + 1), on -x^2 + y^2 = 1 + d x^2 y^2."""
    d = -121665 * pow(121666, -1, P25519) % P25519
    square = (y * y - 1) * pow(d * y * y + 1, -1, P25519) % P25519
    return (y * y + square) * pow(1 - d * square * y * y, -1, P25519) % P25519


def test_ed448_points_of_small_order_are_found() -> None:
    assert "key.weak.small_order" in codes_of(ed448.Ed448PublicKey.from_public_bytes(bytes([1]) + bytes(56)))
