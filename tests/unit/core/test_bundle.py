"""How chains are spelt, read back by `cryptography` and OpenSSL."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs7, pkcs12

from chargepki.core.algorithms import KeySpec
from chargepki.core.bundle import (
    CERTIFICATE_CHAIN_MAX,
    BundleFormat,
    OcppVersion,
    assemble_pkcs12,
    ocpp_certificate,
    ocpp_chain,
    spell_chain,
)
from chargepki.errors import Refused
from tests.unit.core.status_pki import SmallPki

PKI = SmallPki()
LEAF = PKI.leaf(3)
CHAIN = (LEAF.der, PKI.responder.der, PKI.ca.der)  # a leaf, something above it, a root


def ders(pem: bytes | str) -> tuple[bytes, ...]:
    octets = pem.encode() if isinstance(pem, str) else pem
    return tuple(c.public_bytes(Encoding.DER) for c in x509.load_pem_x509_certificates(octets))


@pytest.mark.clause("OCPP A02", "OCPP A00.FR.507")
@pytest.mark.parametrize("version", list(OcppVersion))
def test_the_ocpp_chain_is_leaf_first_and_leaves_the_root_at_home(version: OcppVersion) -> None:
    text = ocpp_chain(CHAIN, include_root=False, version=version)
    assert ders(text) == CHAIN[:2]
    assert text.startswith("-----BEGIN CERTIFICATE-----\n")
    assert text.endswith("-----END CERTIFICATE-----\n")
    assert "\r" not in text
    assert "\n\n" not in text
    assert ders(ocpp_chain(CHAIN, include_root=True, version=version)) == CHAIN


@pytest.mark.clause("OCPP A02")
def test_a_chain_that_no_message_carries_is_refused_with_a_way_out() -> None:
    long = SmallPki(KeySpec.MLDSA87)
    with pytest.raises(Refused) as refusal:
        ocpp_chain((LEAF.der, long.responder.der, long.ca.der), include_root=True, version=OcppVersion.V201)
    (finding,) = refusal.value.findings
    assert finding.code == "ocpp.certificate_chain.too_long"
    assert str(CERTIFICATE_CHAIN_MAX) in finding.message
    assert "root" in finding.hint


@pytest.mark.clause("OCPP M05")
def test_one_certificate_has_the_limit_of_its_version() -> None:
    assert ders(ocpp_certificate(PKI.ca.der, OcppVersion.V16)) == (PKI.ca.der,)
    medium = SmallPki(KeySpec.MLDSA44).ca.der
    assert ders(ocpp_certificate(medium, OcppVersion.V21)) == (medium,)
    with pytest.raises(Refused, match="5500"):
        ocpp_certificate(medium, OcppVersion.V201)


def test_pem_der_and_pkcs7_hold_what_they_say() -> None:
    pem, der, p7 = (spell_chain(CHAIN, f) for f in (BundleFormat.PEM, BundleFormat.DER, BundleFormat.PKCS7))
    assert ders(pem.content) == CHAIN[:2]
    assert ders(spell_chain(CHAIN, BundleFormat.PEM, include_root=True).content) == CHAIN
    assert der.content == LEAF.der
    assert [c.public_bytes(Encoding.DER) for c in pkcs7.load_der_pkcs7_certificates(p7.content)] == list(CHAIN[:2])
    assert spell_chain(CHAIN, BundleFormat.OCPP).content == ocpp_chain(CHAIN, include_root=False, version=OcppVersion.V201).encode()
    assert {b.filename_suffix for b in (pem, der, p7)} == {".chain.pem", ".cer", ".p7c"}


def test_a_root_alone_is_its_own_chain() -> None:
    assert ders(spell_chain((PKI.ca.der,), BundleFormat.PEM).content) == (PKI.ca.der,)


def test_pkcs12_without_a_key_is_refused() -> None:
    with pytest.raises(Refused, match="private key"):
        spell_chain(CHAIN, BundleFormat.PKCS12)


@pytest.mark.clause("RFC 7292")
@pytest.mark.parametrize("spec", [KeySpec.P256, KeySpec.RSA2048, KeySpec.ED25519, KeySpec.ED448])
def test_a_pkcs12_file_opens_with_its_passphrase(tmp_path: Path, spec: KeySpec) -> None:
    pki = SmallPki(spec)
    leaf = pki.leaf(3)
    exported = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    bundle = assemble_pkcs12(exported, b"open sesame", (leaf.der, pki.ca.der), friendly_name="CS-17")
    opened = pkcs12.load_pkcs12(bundle.content, b"open sesame")
    assert opened.cert is not None
    assert (opened.cert.certificate, opened.cert.friendly_name) == (leaf.certificate, b"CS-17")
    assert [c.certificate for c in opened.additional_certs] == [pki.ca.certificate]
    path = tmp_path / "station.p12"
    path.write_bytes(bundle.content)
    shown = subprocess.run(
        ["openssl", "pkcs12", "-in", str(path), "-passin", "pass:open sesame", "-info", "-noout"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "PBES2, PBKDF2, AES-256-CBC" in shown.stderr


def test_a_wrong_passphrase_is_refused() -> None:
    exported = LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right"))
    with pytest.raises(Refused, match="cannot be written"):
        assemble_pkcs12(exported, b"wrong", CHAIN, friendly_name="CS-17")


def test_a_key_that_the_container_cannot_hold_is_refused() -> None:
    pki = SmallPki(KeySpec.MLDSA44)
    leaf = pki.leaf(3)
    exported = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(Refused, match="cannot be written"):
        assemble_pkcs12(exported, b"secret", (leaf.der, pki.ca.der), friendly_name="CS-17")
