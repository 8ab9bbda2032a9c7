"""Certs-only messages, judged by `cryptography`, OpenSSL and GnuTLS."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given
from hypothesis import strategies as st

from chargepki.core import der, oids
from chargepki.core.cms import CERTIFICATES_MAX, assemble_certs_only, parse_certs_only
from chargepki.errors import Refused
from tests.unit.core.status_pki import SmallPki

PKI = SmallPki()
CHAIN = (PKI.leaf(7).der, PKI.responder.der, PKI.ca.der)


@pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed as DER")
@pytest.mark.clause("RFC 8551 3.8", "RFC 5652 5.1")
def test_the_certificates_come_out_in_the_order_they_went_in() -> None:
    for chain in (CHAIN, CHAIN[::-1], CHAIN[:1]):
        message = assemble_certs_only(chain)
        assert parse_certs_only(message) == chain
        assert [c.public_bytes(Encoding.DER) for c in pkcs7.load_der_pkcs7_certificates(message)] == list(chain)


def test_a_message_of_another_maker_is_read() -> None:
    message = pkcs7.serialize_certificates([PKI.ca.certificate, PKI.responder.certificate], Encoding.DER)
    assert set(parse_certs_only(message)) == {PKI.ca.der, PKI.responder.der}


def test_crls_beside_the_certificates_are_skipped() -> None:
    fields = (der.integer(1), der.set_of(), der.sequence(der.oid(oids.CMS_DATA)), der.tlv(0xA0, PKI.ca.der), der.tlv(0xA1, b"\x30\x00"))
    message = der.sequence(der.oid(oids.CMS_SIGNED_DATA), der.explicit(0, der.sequence(*fields, der.set_of())))
    assert parse_certs_only(message) == (PKI.ca.der,)


def test_openssl_prints_the_certificates(tmp_path: Path) -> None:
    path = tmp_path / "chain.p7c"
    path.write_bytes(assemble_certs_only(CHAIN))
    shown = _run("openssl", "pkcs7", "-inform", "DER", "-in", str(path), "-print_certs", "-noout")
    assert [line.rpartition("CN = ")[2] for line in shown.stdout.splitlines() if line.startswith("subject")] == [
        "leaf 7",
        "responder",
        "status CA",
    ]


@pytest.mark.skipif(shutil.which("certtool") is None, reason="GnuTLS certtool is not installed")
def test_gnutls_prints_the_certificates(tmp_path: Path) -> None:
    path = tmp_path / "chain.p7c"
    path.write_bytes(assemble_certs_only(CHAIN))
    shown = _run("certtool", "--p7-info", "--inder", "--infile", str(path))
    assert shown.returncode == 0, shown.stderr
    assert "Number of certificates: 3" in shown.stdout


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x30\x00",
        der.sequence(der.oid(oids.CMS_DATA), der.explicit(0, der.sequence())),
        der.sequence(der.oid(oids.CMS_SIGNED_DATA), der.explicit(0, der.sequence())),
        der.sequence(
            der.oid(oids.CMS_SIGNED_DATA),
            der.explicit(0, der.sequence(der.integer(9), der.set_of(), der.sequence(), der.set_of())),
        ),
        der.sequence(
            der.oid(oids.CMS_SIGNED_DATA),
            der.explicit(0, der.sequence(der.integer(1), der.set_of(), der.sequence(), der.set_of(der.sequence()))),
        ),
        assemble_certs_only([b"\x30\x00"] * (CERTIFICATES_MAX + 1)),
        assemble_certs_only([b"\x04\x01x"]),
    ],
)
def test_what_is_no_bag_of_certificates_is_refused(message: bytes) -> None:
    with pytest.raises(Refused):
        parse_certs_only(message)


@given(st.binary(max_size=200))
def test_arbitrary_octets_are_read_or_refused_and_nothing_else(octets: bytes) -> None:
    with suppress(Refused):
        parse_certs_only(octets)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
