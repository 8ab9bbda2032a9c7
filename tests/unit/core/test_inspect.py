"""The inspector reads anything X.509 in any spelling, says what it means, and never shows a private key."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from chargepki.core import der
from chargepki.core.inspect import OCTETS_MAX, Inspection, Kind, Node, inspect
from chargepki.core.inspect.status import ENTRIES_MAX
from chargepki.core.pem import encode_pem
from chargepki.errors import Refused
from tests.fuzz.seeds import seeds
from tests.unit.core.csr_forge import forge_request, fresh_key

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SEEDS = seeds()
LABELS = {
    "leaf.der": "CERTIFICATE",
    "request.der": "CERTIFICATE REQUEST",
    "crl.der": "X509 CRL",
    "chain.p7": "PKCS7",
    "spki.der": "PUBLIC KEY",
    "key.der": "PRIVATE KEY",
}


def find(node: Node, label: str) -> Node:
    """The first node with this label, anywhere below."""
    found = find_all(node, label)
    assert found, f"no {label}"
    return found[0]


def find_all(node: Node, label: str) -> list[Node]:
    own = [node] if node.label == label else []
    return own + [hit for child in node.children for hit in find_all(child, label)]


def text_of(inspection: Inspection) -> str:
    return json.dumps(inspection.to_json())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("leaf.der", Kind.CERTIFICATE),
        ("chain.pem", Kind.CHAIN),
        ("chain.p7", Kind.PKCS7),
        ("request.der", Kind.REQUEST),
        ("request.b64", Kind.REQUEST),
        ("crl.der", Kind.CRL),
        ("ocsp-request.der", Kind.OCSP_REQUEST),
        ("ocsp-response.der", Kind.OCSP_RESPONSE),
        ("ocsp-error.der", Kind.OCSP_RESPONSE),
        ("spki.der", Kind.PUBLIC_KEY),
        ("key.der", Kind.PRIVATE_KEY),
    ],
)
def test_every_kind_is_recognised_by_its_shape(name: str, kind: Kind) -> None:
    inspection = inspect(SEEDS[name], now=NOW)
    assert inspection.kind is kind
    assert json.loads(text_of(inspection))["kind"] == kind.value


@pytest.mark.parametrize("name", LABELS)
def test_der_pem_and_base64_say_the_same(name: str) -> None:
    octets = SEEDS[name]
    spellings = (octets, encode_pem(LABELS[name], octets).encode(), base64.encodebytes(octets))
    assert len({text_of(inspect(spelling, now=NOW)) for spelling in spellings}) == 1


def test_a_certificate_is_told_in_peoples_words() -> None:
    root = inspect(SEEDS["leaf.der"], now=NOW, issuer=SEEDS["root.der"]).root
    assert find(root, "Subject").value == "C=DE, O=demo-cpo, CN=csms.example.org"
    assert find(root, "Issuer").value == "C=DE, O=demo-cpo, CN=root"
    assert find(root, "Serial number").value == "4f:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee"
    assert find(root, "Valid until").note == "356 days left"
    assert find(root, "Public key").value == "ed25519"
    assert [name.value or name.label for name in find(root, "Subject alternative names").children] == ["csms.example.org", "192.0.2.1"]
    assert find(root, "Extended key usage").value == "TLS server"
    assert (find(root, "Key usage").value, find(root, "Key usage").note) == ("digitalSignature", "critical")
    assert find(root, "SHA-256 fingerprint").value == hashlib.sha256(SEEDS["leaf.der"]).hexdigest()


@pytest.mark.parametrize(
    ("days", "note"), [(-2, "begins in 2 days"), (0, "365 days left"), (364, "1 day left"), (375, "expired 10 days ago")]
)
def test_the_validity_is_told_relative_to_now(days: int, note: str) -> None:
    start = datetime(2026, 11, 22, tzinfo=UTC)
    assert find(inspect(SEEDS["leaf.der"], now=start + timedelta(days=days)).root, "Valid until").note == note
    assert find(inspect(SEEDS["leaf.der"]).root, "Valid until").note == ""


@pytest.mark.clause("OCPP CertificateHashDataType", "RFC 6960 4.1.1")
def test_the_ocpp_hash_data_agree_with_an_ocsp_request_of_cryptography() -> None:
    asked = ocsp.load_der_ocsp_request(SEEDS["ocsp-request.der"])
    for inspection in (inspect(SEEDS["leaf.der"], issuer=SEEDS["root.der"]), inspect(SEEDS["chain.pem"])):
        data = find(inspection.root, "OCPP certificate hash data")
        assert find(data, "issuerNameHash").value == asked.issuer_name_hash.hex()
        assert find(data, "issuerKeyHash").value == asked.issuer_key_hash.hex()
        assert find(data, "serialNumber").value == f"{asked.serial_number:x}"
    assert find_all(inspect(SEEDS["leaf.der"], issuer=SEEDS["leaf.der"]).root, "issuerKeyHash") == []


def test_the_order_of_a_chain_is_explained() -> None:
    right = inspect(SEEDS["chain.pem"])
    assert (find(right.root, "Order").value, find(right.root, "Order").note) == (
        "leaf first, each followed by its issuer",
        "the root is included",
    )
    assert right.findings == ()
    blocks = [encode_pem("CERTIFICATE", SEEDS[name]) for name in ("root.der", "leaf.der")]
    wrong = inspect("".join(blocks).encode())
    assert [finding.code for finding in wrong.findings] == ["inspect.chain.order"]
    assert "certificate 2 did not issue certificate 1" in wrong.findings[0].message


def test_a_private_key_is_named_and_never_shown() -> None:
    key = fresh_key()
    octets = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    sealed = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
    old = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    beside = encode_pem("PRIVATE KEY", octets) + encode_pem("CERTIFICATE", SEEDS["leaf.der"])
    for data in (octets, sealed, old, beside.encode()):
        text = text_of(inspect(data, now=NOW))
        assert '"Private key", "value": "not shown"' in text
        for material in (octets[36:68], sealed[-32:]):
            assert material.hex() not in text
            assert base64.b64encode(material).decode() not in text


def test_a_request_that_would_be_refused_is_shown_with_the_reason() -> None:
    wrong = inspect(forge_request(signer=fresh_key()))
    assert "csr.signature.wrong" in {finding.code for finding in wrong.findings}
    assert find(wrong.root, "Subject").value == "O=demo-cpo, CN=SN-0017"
    odd = inspect(forge_request(version=2))
    assert [finding.code for finding in odd.findings] == ["csr.quirk.version"]
    assert find(odd.root, "Signature").value == "valid"


def crl_of(count: int) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(NOW).next_update(NOW + timedelta(days=1))
    for serial in range(1, count + 1):
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW).build())
    return builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(serialization.Encoding.DER)


def test_a_long_crl_is_counted_and_listed_up_to_a_bound() -> None:
    revoked = find(inspect(crl_of(ENTRIES_MAX + 3), now=NOW).root, "Revoked")
    assert revoked.value == str(ENTRIES_MAX + 3)
    assert len(revoked.children) == ENTRIES_MAX + 1
    assert revoked.children[-1].value == "and 3 more"


def test_a_crl_and_an_answer_past_their_time_are_findings() -> None:
    late = NOW + timedelta(days=30)
    for data in (crl_of(1), SEEDS["ocsp-response.der"]):
        assert [finding.code for finding in inspect(data, now=late).findings] == ["inspect.status.overdue"]


def test_a_revoked_entry_says_why() -> None:
    assert find(inspect(SEEDS["crl.der"]).root, "4d").note == "keyCompromise"


def test_a_weak_key_is_a_finding() -> None:
    weak = ed25519.Ed25519PublicKey.from_public_bytes(bytes(32))
    octets = weak.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert [finding.code for finding in inspect(octets).findings] == ["key.weak.small_order"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "pem.unknown"),
        (b"\x00" * 10, "pem.unknown"),
        (b"x" * (OCTETS_MAX + 1), "pem.too_long"),
        (der.sequence(der.boolean(True)), "inspect.unknown"),
        (encode_pem("SSH KEY", b"1").encode(), "inspect.unknown"),
        (encode_pem("CERTIFICATE", SEEDS["leaf.der"][:-1]).encode(), "inspect.unreadable"),
        (encode_pem("CERTIFICATE", SEEDS["request.der"]).encode(), "inspect.unreadable"),
        (encode_pem("X509 CRL", SEEDS["leaf.der"]).encode(), "inspect.unreadable"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_hint(data: bytes, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        inspect(data)
    assert refusal.value.findings[0].code == code
    assert refusal.value.findings[0].hint


def test_no_text_from_outside_can_fool_a_terminal() -> None:
    subject = der.sequence(der.set_of(der.sequence(der.oid("2.5.4.3"), der.utf8_string("a\x1b[2J\u202eb"))))
    text = text_of(inspect(forge_request(subject=subject)))
    assert "\\u001b" not in text
    assert "\\u202e" not in text
