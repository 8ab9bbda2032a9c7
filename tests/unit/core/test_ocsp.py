"""OCSP requests read and answers spliced by core/ocsp.py, judged by `cryptography`, OpenSSL, GnuTLS and pkilint."""

import base64
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core import der, oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.ocsp import (
    HASH_OIDS,
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    REQUEST_ITEMS_MAX,
    RESPONSE_BASE64_MAX,
    TRY_LATER,
    UNAUTHORIZED,
    CertStatus,
    SingleAnswer,
    Unrevoked,
    assemble_response,
    cert_id_hashes,
    compile_responder,
    parse_ocsp_request,
    plan_response,
)
from chargepki.core.revocation import RevocationReason, Revoked
from chargepki.errors import Refused
from tests.unit.core.status_pki import NOW, Party, SmallPki

HASHES = {oids.SHA1: hashes.SHA1(), oids.SHA256: hashes.SHA256(), oids.SHA384: hashes.SHA384(), oids.SHA512: hashes.SHA512()}
REVOKED = Revoked(5, NOW - timedelta(minutes=2), RevocationReason.KEY_COMPROMISE)


def make_request(issuer: Party, serial: int, hash: str = oids.SHA256, nonce: bytes | None = None) -> bytes:
    triple = cert_id_hashes(issuer.name, issuer.spki, hash)
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(triple.name, triple.key, serial, HASHES[hash])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def request_of(*requests: bytes, extensions: bytes = b"", before: bytes = b"", behind: bytes = b"") -> bytes:
    return der.sequence(der.sequence(before, der.sequence(*requests), extensions), behind)


def item(issuer: Party, serial: int, hash: bytes = der.oid(oids.SHA256) + b"\x05\x00", extensions: bytes = b"") -> bytes:
    triple = cert_id_hashes(issuer.name, issuer.spki, oids.SHA256)
    cert_id = der.sequence(der.sequence(hash), der.octet_string(triple.name), der.octet_string(triple.key), der.integer(serial))
    return der.sequence(cert_id, extensions)


def nonce_extension(content: bytes) -> bytes:
    return der.explicit(2, der.sequence(der.sequence(der.oid(oids.OCSP_NONCE), der.octet_string(content))))


def answer(pki: SmallPki, request: bytes, *statuses: CertStatus) -> bytes:
    parsed = parse_ocsp_request(request)
    responder = compile_responder(pki.responder.der, pki.responder.signature)
    answers = [
        SingleAnswer(cert_id, status, NOW - timedelta(minutes=5), NOW + timedelta(hours=12))
        for cert_id, status in zip(parsed.items, statuses, strict=True)
    ]
    tbs = plan_response(responder, answers, produced_at=NOW, nonce=parsed.nonce)
    return assemble_response(responder, tbs, pki.responder.sign(tbs))


# ----------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.clause("RFC 6960 4.1.1", "OCPP M06")
@pytest.mark.parametrize("hash", HASH_OIDS)
def test_a_request_names_its_certificate_by_any_of_four_hashes(hash: str) -> None:
    request = parse_ocsp_request(make_request(PKI.ca, 2**126 + 9, hash, nonce=b"n" * 32))
    assert [(found.serial, found.issuer) for found in request.items] == [(2**126 + 9, cert_id_hashes(PKI.ca.name, PKI.ca.spki, hash))]
    assert (request.nonce, request.is_signed) == (b"n" * 32, False)


@pytest.mark.clause("RFC 6960 4.1.1")
def test_issuer_hashes_are_those_that_cryptography_computes() -> None:
    for hash, algorithm in HASHES.items():
        stranger = ocsp.OCSPRequestBuilder().add_certificate(PKI.leaf(3).certificate, PKI.ca.certificate, algorithm).build()
        triple = cert_id_hashes(PKI.ca.name, PKI.ca.spki, hash)
        assert (triple.name, triple.key) == (stranger.issuer_name_hash, stranger.issuer_key_hash)


@pytest.mark.clause("RFC 9654 2.1")
@pytest.mark.parametrize("size", [1, 16, 32, 127, 128])
def test_nonces_of_1_to_128_octets_are_read(size: int) -> None:
    assert parse_ocsp_request(make_request(PKI.ca, 1, nonce=b"\x07" * size)).nonce == b"\x07" * size


@pytest.mark.clause("RFC 9654 2.1")
@pytest.mark.parametrize("content", [der.octet_string(b""), der.octet_string(b"x" * 129), b"raw nonce without its tag"])
def test_other_nonces_are_malformed(content: bytes) -> None:
    with pytest.raises(Refused):
        parse_ocsp_request(request_of(item(PKI.ca, 1), extensions=nonce_extension(content)))


def test_a_name_a_version_and_a_signature_are_allowed_and_change_nothing() -> None:
    before = der.explicit(0, der.integer(0)) + der.explicit(1, der.explicit(4, PKI.ca.name))
    signature = der.explicit(0, der.sequence(der.sequence(der.oid("1.2.840.10045.4.3.2")), der.bit_string(b"sig")))
    request = parse_ocsp_request(request_of(item(PKI.ca, 8), before=before, behind=signature))
    assert (request.items[0].serial, request.is_signed) == (8, True)


@pytest.mark.clause("RFC 6960 4.4")
def test_unknown_extensions_are_ignored_unless_critical() -> None:
    def extension(*critical: bytes) -> bytes:
        return der.sequence(der.sequence(der.oid("1.2.3.4"), *critical, der.octet_string(b"\x05\x00")))

    assert parse_ocsp_request(request_of(item(PKI.ca, 1), extensions=der.explicit(2, extension()))).nonce is None
    for request in (
        request_of(item(PKI.ca, 1), extensions=der.explicit(2, extension(der.boolean(True)))),
        request_of(item(PKI.ca, 1, extensions=der.explicit(0, extension(der.boolean(True))))),
    ):
        with pytest.raises(Refused, match="critical extension"):
            parse_ocsp_request(request)


def no_requests() -> dict[str, bytes]:
    one = item(PKI.ca, 1)
    twice = [der.sequence(der.oid(oids.OCSP_NONCE), der.octet_string(b"\x04\x01x"))] * 2
    return {
        "nothing": b"",
        "an empty sequence": b"\x30\x00",
        "an indefinite length": b"\x30\x80\x00\x00",
        "asks about nothing": request_of(),
        "asks about too many": request_of(*(item(PKI.ca, n) for n in range(REQUEST_ITEMS_MAX + 1))),
        "too long": b"\x30\x82\x20\x00" + b"\x00" * 0x2000,
        "a CertID without fields": request_of(der.sequence(der.sequence())),
        "an item without a CertID": request_of(der.sequence()),
        "another version": request_of(one, before=der.explicit(0, der.integer(1))),
        "hash parameters": request_of(item(PKI.ca, 1, hash=der.oid(oids.SHA256) + der.octet_string(b"cache buster"))),
        "a serial number of 22 octets": request_of(item(PKI.ca, 2**168)),
        "octets behind": request_of(one) + b"\x00",
        "an extension without a value": request_of(one, extensions=der.explicit(2, der.sequence(der.sequence(der.oid(oids.OCSP_NONCE))))),
        "two nonces": request_of(one, extensions=der.explicit(2, der.sequence(*twice))),
    }


def test_what_is_no_request_is_refused_with_its_reason() -> None:
    for defect, octets in no_requests().items():
        with pytest.raises(Refused) as refusal:
            parse_ocsp_request(octets)
        assert all(finding.code and finding.message and finding.clause for finding in refusal.value.findings), defect


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_octets_are_read_or_refused_and_nothing_else(octets: bytes) -> None:
    with suppress(Refused):
        parse_ocsp_request(octets)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_request_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    request = bytearray(make_request(PKI.ca, 12345, nonce=b"0123456789abcdef"))
    for _ in range(data.draw(st.integers(1, 4))):
        request[data.draw(st.integers(0, len(request) - 1))] = data.draw(st.integers(0, 255))
    with suppress(Refused):
        parse_ocsp_request(bytes(request[: data.draw(st.integers(0, len(request)))]))


# ------------------------------------------------------------------------------------------------------------------ answers


@pytest.mark.clause("RFC 6960 4.2.1", "RFC 6960 4.2.2.2", "RFC 6960 4.2.2.3")
@pytest.mark.parametrize(
    "spec", [KeySpec.P256, KeySpec.P384, KeySpec.P521, KeySpec.RSA2048, KeySpec.ED25519, KeySpec.ED448, KeySpec.MLDSA44]
)
def test_an_answer_is_what_the_library_reads_in_it(spec: KeySpec) -> None:
    pki = SmallPki(spec)
    response = ocsp.load_der_ocsp_response(answer(pki, make_request(pki.ca, 5, nonce=b"nonce of the client"), REVOKED))
    assert response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    assert response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(pki.responder.key.public_key()).digest
    assert response.certificates == [pki.responder.certificate]
    assert (response.produced_at_utc, response.this_update_utc) == (NOW, NOW - timedelta(minutes=5))
    assert response.next_update_utc == NOW + timedelta(hours=12)
    assert (response.serial_number, response.certificate_status) == (5, ocsp.OCSPCertStatus.REVOKED)
    assert (response.revocation_time_utc, response.revocation_reason) == (REVOKED.at, x509.ReasonFlags.key_compromise)
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"nonce of the client"


@pytest.mark.clause("RFC 6960 4.2.1")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Unrevoked.GOOD, ocsp.OCSPCertStatus.GOOD),
        (Unrevoked.UNKNOWN, ocsp.OCSPCertStatus.UNKNOWN),
        *((Revoked(5, NOW, reason), ocsp.OCSPCertStatus.REVOKED) for reason in RevocationReason),
    ],
)
def test_the_octets_are_those_of_the_library_builder(status: CertStatus, expected: ocsp.OCSPCertStatus) -> None:
    leaf = PKI.leaf(5)
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf.certificate, PKI.ca.certificate, hashes.SHA256()).build()
    ours = ocsp.load_der_ocsp_response(answer(PKI, request.public_bytes(Encoding.DER), status))
    reason = status.reason if isinstance(status, Revoked) else RevocationReason.UNSPECIFIED
    builder = ocsp.OCSPResponseBuilder(certs=[PKI.responder.certificate]).add_response(
        cert=leaf.certificate,
        issuer=PKI.ca.certificate,
        algorithm=hashes.SHA256(),
        cert_status=expected,
        this_update=NOW - timedelta(minutes=5),
        next_update=NOW + timedelta(hours=12),
        revocation_time=NOW if isinstance(status, Revoked) else None,
        revocation_reason=None if reason is RevocationReason.UNSPECIFIED else x509.ReasonFlags(reason.value),
    )
    responder_id = (ocsp.OCSPResponderEncoding.HASH, PKI.responder.certificate)
    theirs = builder.responder_id(*responder_id).sign(PKI.responder.key, hashes.SHA256())  # type: ignore[arg-type]
    assert _without_produced_at(ours.tbs_response_bytes) == _without_produced_at(theirs.tbs_response_bytes)


@pytest.mark.clause("RFC 6960 2.3", "RFC 6960 4.2.1")
def test_errors_are_unsigned_and_named_by_the_standard() -> None:
    spelt = {ocsp.load_der_ocsp_response(e).response_status.name for e in (MALFORMED_REQUEST, INTERNAL_ERROR, TRY_LATER, UNAUTHORIZED)}
    assert spelt == {"MALFORMED_REQUEST", "INTERNAL_ERROR", "TRY_LATER", "UNAUTHORIZED"}


@pytest.mark.clause("OCPP M06")
@pytest.mark.parametrize("spec", [KeySpec.P256, KeySpec.P521, KeySpec.RSA2048, KeySpec.RSA4096, KeySpec.ED448])
def test_an_answer_fits_the_message_that_carries_it_to_a_station(spec: KeySpec) -> None:
    pki = SmallPki(spec)
    response = answer(pki, make_request(pki.ca, 2**126, oids.SHA512, nonce=b"n" * 128), REVOKED)
    assert len(base64.b64encode(response)) <= RESPONSE_BASE64_MAX


def test_openssl_takes_the_answer_for_each_hash(tmp_path: Path) -> None:
    leaf = PKI.leaf(4711)
    ca, cert = PKI.ca.write(tmp_path / "ca.pem"), leaf.write(tmp_path / "leaf.pem")
    for digest in ("sha1", "sha256", "sha384", "sha512"):
        query, reply = tmp_path / f"{digest}.req", tmp_path / f"{digest}.resp"
        named = ("-no_nonce", "-issuer", str(ca), f"-{digest}", "-cert", str(cert))
        _run("openssl", "ocsp", *named, "-reqout", str(query))
        reply.write_bytes(answer(PKI, query.read_bytes(), Revoked(4711, NOW, RevocationReason.SUPERSEDED)))
        shown = _run("openssl", "ocsp", *named, "-CAfile", str(ca), "-respin", str(reply))
        assert "Response verify OK" in shown.stderr, digest
        assert f"{cert}: revoked" in shown.stdout
        assert "Reason: superseded" in shown.stdout


def test_openssl_reads_several_certificates_in_one_answer(tmp_path: Path) -> None:
    paths = [PKI.leaf(serial).write(tmp_path / f"{serial}.pem") for serial in (21, 22, 23)]
    ca, query, reply = PKI.ca.write(tmp_path / "ca.pem"), tmp_path / "req", tmp_path / "resp"
    named = [part for path in paths for part in ("-cert", str(path))]
    _run("openssl", "ocsp", "-no_nonce", "-issuer", str(ca), *named, "-reqout", str(query))
    reply.write_bytes(
        answer(PKI, query.read_bytes(), Unrevoked.GOOD, Revoked(22, NOW, RevocationReason.CERTIFICATE_HOLD), Unrevoked.UNKNOWN)
    )
    shown = _run("openssl", "ocsp", "-no_nonce", "-issuer", str(ca), *named, "-CAfile", str(ca), "-respin", str(reply))
    assert "Response verify OK" in shown.stderr
    assert [f"{path}: {status}" in shown.stdout for path, status in zip(paths, ("good", "revoked", "unknown"), strict=True)] == [True] * 3


@pytest.mark.skipif(shutil.which("ocsptool") is None, reason="GnuTLS ocsptool is not installed")
def test_gnutls_verifies_the_answer(tmp_path: Path) -> None:
    ca, reply = PKI.ca.write(tmp_path / "ca.pem"), tmp_path / "resp"
    reply.write_bytes(answer(PKI, make_request(PKI.ca, 9, oids.SHA1), Unrevoked.GOOD))
    shown = _run("ocsptool", "--verify-response", "--load-trust", str(ca), "--load-response", str(reply))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "Verifying OCSP Response: Success" in shown.stdout


@pytest.mark.clause("RFC 6960 4.2")
@pytest.mark.parametrize("status", [Unrevoked.GOOD, Unrevoked.UNKNOWN, REVOKED])
def test_pkilint_has_nothing_against_the_answer(tmp_path: Path, status: CertStatus) -> None:
    path = tmp_path / "answer.der"
    path.write_bytes(answer(PKI, make_request(PKI.ca, 5, nonce=b"n" * 32), status))
    lint = Path(sys.executable).with_name("lint_ocsp_response")
    report = _run(str(lint), "lint", "--document-format", "DER", "-s", "WARNING", "-f", "TEXT", str(path))
    assert report.returncode == 0, report.stdout + report.stderr


def _without_produced_at(tbs: bytes) -> list[bytes]:
    """The library stamps its own time on what it builds."""
    return [part.raw for part in der.parse_element(tbs).children() if part.tag != der.GENERALIZED_TIME]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


PKI = SmallPki()
