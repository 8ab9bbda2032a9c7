"""What a certification request must be, what a tolerant reader lets pass, and what nobody lets pass."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from chargepki.core import der, oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.csr import CSR_OCTETS_MAX, parse_csr
from chargepki.core.pem import encode_pem
from chargepki.errors import Refused, Severity
from tests.unit.core.csr_forge import attribute, forge_request, fresh_key


def codes_of(data: bytes, *, tolerant: bool = False) -> set[str]:
    with pytest.raises(Refused) as refusal:
        parse_csr(data, tolerant=tolerant)
    return {finding.code for finding in refusal.value.findings}


@pytest.mark.clause("RFC 2986 4.2")
@pytest.mark.parametrize("spec", list(KeySpec))
def test_a_request_of_every_kind_of_key_is_read(spec: KeySpec) -> None:
    request = parse_csr(forge_request(fresh_key(spec)))
    assert request.key_spec is spec
    assert str(request.subject) == "O=demo-cpo, CN=SN-0017"
    assert request.findings == ()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_request_made_by_openssl_is_read_with_the_names_it_asks_for(tmp_path: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "r.pem",
            "-subj",
            "/C=DE/O=demo/CN=a.example.org",
            "-addext",
            "subjectAltName=DNS:a.example.org,IP:192.0.2.1,IP:2001:db8::1",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    request = parse_csr((tmp_path / "r.pem").read_bytes())
    assert request.key_spec is KeySpec.RSA2048
    assert request.dns == ("a.example.org",)
    assert [len(address) for address in request.ip] == [4, 16]


@pytest.mark.parametrize("hash", [hashes.SHA384(), hashes.SHA512()])
def test_rsa_requests_with_longer_hashes_are_read(hash: hashes.HashAlgorithm) -> None:
    key = rsa.generate_private_key(65537, 2048)
    octets = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hash).public_bytes(serialization.Encoding.DER)
    assert parse_csr(octets).key_spec is KeySpec.RSA2048
    damaged = bytearray(octets)
    damaged[-1] ^= 1
    assert codes_of(bytes(damaged)) == {"csr.signature.wrong"}


@pytest.mark.parametrize("spelling", ["der", "pem", "crlf", "no-final-newline", "text-before", "base64", "new-label", "one-line"])
def test_the_spelling_of_the_octets_does_not_matter(spelling: str) -> None:
    octets = forge_request()
    pem = encode_pem("CERTIFICATE REQUEST", octets)
    spelt = {
        "der": octets,
        "pem": pem.encode(),
        "crlf": pem.replace("\n", "\r\n").encode(),
        "no-final-newline": pem.rstrip().encode(),
        "text-before": b"Certificate Request:\n    Data:\n" + pem.encode(),
        "base64": "".join(pem.splitlines()[1:-1]).encode(),
        "new-label": encode_pem("NEW CERTIFICATE REQUEST", octets).encode(),
        "one-line": pem.replace("\n", "").encode(),
    }[spelling]
    assert parse_csr(spelt).der == octets


@pytest.mark.clause("RFC 2986 4.2", "OCPP A02.FR.04")
@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("spec", [KeySpec.P256, KeySpec.RSA2048, KeySpec.ED25519])
def test_a_signature_by_another_key_is_never_tolerated(spec: KeySpec, tolerant: bool) -> None:
    assert "csr.signature.wrong" in codes_of(forge_request(fresh_key(spec), signer=fresh_key(spec)), tolerant=tolerant)
    assert "csr.signature.wrong" in codes_of(forge_request(fresh_key(spec), signer=fresh_key(spec), version=2), tolerant=True)


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize(
    "algorithm",
    ["300d06092a864886f70d0101050500", "300d06092a864886f70d0101040500", "300906072a8648ce3d0401"],
    ids=["sha1-rsa", "md5-rsa", "sha1-ecdsa"],
)
def test_requests_signed_with_broken_hashes_are_refused(algorithm: str, tolerant: bool) -> None:
    assert "csr.signature.hash" in codes_of(forge_request(algorithm=bytes.fromhex(algorithm)), tolerant=tolerant)


QUIRKS = {
    "version": {"version": 2},
    "country": {
        "subject": der.sequence(attribute(oids.COUNTRY, der.printable_string("France")), attribute(oids.COMMON_NAME, der.utf8_string("a")))
    },
    "string_type": {"subject": der.sequence(attribute(oids.COMMON_NAME, der.tlv(0x14, b"T\xe9l\xe9")))},
    "empty": {"subject": der.sequence(attribute(oids.COMMON_NAME, der.utf8_string("")))},
    "attributes": {"attributes": b""},
    "extensions": {
        "attributes": der.tlv(der.context(0), der.sequence(der.oid(oids.EXTENSION_REQUEST), der.set_of(der.sequence(b"\x05\x00"))))
    },
}


@pytest.mark.clause("RFC 2986 4.1")
@pytest.mark.parametrize("quirk", QUIRKS)
def test_a_quirk_of_the_field_is_an_error_to_the_strict_reader_and_a_warning_to_the_tolerant_one(quirk: str) -> None:
    octets = forge_request(**QUIRKS[quirk])  # type: ignore[arg-type]
    with pytest.raises(Refused) as refusal:
        parse_csr(octets)
    [fault] = refusal.value.findings
    assert fault.code == f"csr.quirk.{quirk}"
    assert "csr_tolerant" in fault.hint
    [warning] = parse_csr(octets, tolerant=True).findings
    assert (warning.code, warning.severity) == (f"csr.quirk.{quirk}", Severity.WARNING)


@pytest.mark.parametrize("garbage", [b"\0", b"\n", b"\r\n\0\0"])
def test_blank_or_zero_octets_behind_the_request_are_a_quirk(garbage: bytes) -> None:
    octets = forge_request()
    assert codes_of(octets + garbage) == {"csr.quirk.trailing"}
    request = parse_csr(octets + garbage, tolerant=True)
    assert request.der == octets
    pem = encode_pem("CERTIFICATE REQUEST", octets).encode()
    assert parse_csr(pem + garbage, tolerant=True).der == octets


def test_several_quirks_are_told_together_and_with_the_wrong_signature() -> None:
    octets = forge_request(version=2, attributes=b"", signer=fresh_key())
    assert codes_of(octets) == {"csr.quirk.version", "csr.quirk.attributes", "csr.signature.wrong"}


def test_the_order_of_the_names_and_several_names_in_one_rdn_are_no_fault() -> None:
    both = der.set_of(
        der.sequence(der.oid(oids.COMMON_NAME), der.utf8_string("a")), der.sequence(der.oid(oids.ORGANIZATION), der.utf8_string("b"))
    )
    request = parse_csr(forge_request(subject=der.sequence(both)))
    assert (request.subject.first("CN"), request.subject.first("O")) == ("a", "b")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "csr.unreadable"),
        (b"hello", "csr.unreadable"),
        (b"\x30\x80\x00\x00", "csr.unreadable"),
        (b"0" * (CSR_OCTETS_MAX + 1), "csr.unreadable"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB", "csr.unreadable"),
        (encode_pem("CERTIFICATE", forge_request()).encode(), "csr.block"),
        (encode_pem("CERTIFICATE REQUEST", forge_request()).encode() * 2, "csr.block"),
        (encode_pem("CERTIFICATE REQUEST", forge_request()).encode() + b"see above", "csr.trailing"),
        (forge_request() + b"\x30\x00", "csr.trailing"),
    ],
)
def test_what_is_no_single_request_is_refused(data: bytes, code: str) -> None:
    assert codes_of(data, tolerant=True) == {code}


def test_every_truncation_of_a_request_is_refused() -> None:
    octets = forge_request()
    for end in range(len(octets)):
        assert codes_of(octets[:end], tolerant=True)


def test_a_private_key_beside_the_request_is_refused_without_being_read() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(Refused) as refusal:
        parse_csr(pem + encode_pem("CERTIFICATE REQUEST", forge_request()).encode())
    [finding] = refusal.value.findings
    assert finding.code == "csr.private_key"
    assert pem.splitlines()[1].decode() not in str(refusal.value)


def test_a_key_of_an_unknown_kind_is_read_and_left_to_the_key_checks() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    octets = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert parse_csr(octets).key_spec is None


def test_a_point_off_its_curve_is_refused() -> None:
    octets = bytearray(forge_request())
    point = octets.index(b"\x03\x42\x00\x04") + 10
    octets[point] ^= 0xFF
    assert codes_of(bytes(octets)) <= {"key.unreadable", "csr.signature.wrong"}


def test_a_subject_that_lies_about_its_strings_is_refused() -> None:
    subject = der.sequence(attribute(oids.COMMON_NAME, der.tlv(der.UTF8_STRING, b"\xff\xfe")))
    assert codes_of(forge_request(subject=subject), tolerant=True) == {"csr.unreadable"}
