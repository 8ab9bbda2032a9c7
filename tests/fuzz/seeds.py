"""Well-formed inputs of every kind that the parsers read. `python tests/fuzz/seeds.py DIR` writes them as a corpus for atheris.

Keys come from fixed seeds and sign with Ed25519, so that a failing mutation can be found again.
"""

import base64
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chargepki.core import der
from chargepki.core.cms import assemble_certs_only
from chargepki.core.pem import encode_pem

_START = datetime(2026, 11, 22, tzinfo=UTC)
_DER = serialization.Encoding.DER


def _key(number: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "demo-cpo"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(subject: str, key: ed25519.Ed25519PrivateKey, issuer: str, issuer_key: ed25519.Ed25519PrivateKey) -> x509.Certificate:
    is_ca = subject == issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(0x4F00112233445566778899AABBCCDDEE)
        .not_valid_before(_START)
        .not_valid_after(_START + timedelta(days=365))
        .add_extension(x509.BasicConstraints(is_ca, 0 if is_ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(not is_ca, False, False, False, False, is_ca, is_ca, False, False), critical=True)
    )
    if not is_ca:
        url = x509.UniformResourceIdentifier("http://pki.example.org/x")
        names = [x509.DNSName(subject), x509.IPAddress(IPv4Address("192.0.2.1"))]
        builder = (
            builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.CRLDistributionPoints([x509.DistributionPoint([url], None, None, None)]), critical=False)
            .add_extension(
                x509.AuthorityInformationAccess([x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.OCSP, url)]), critical=False
            )
        )
    return builder.sign(issuer_key, None)


def _request() -> x509.CertificateSigningRequest:
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_name("SN-0017"))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cs.example.org")]), critical=False)
        .sign(_key(2), None)
    )


def _crl() -> x509.CertificateRevocationList:
    revoked = (
        x509.RevokedCertificateBuilder()
        .serial_number(77)
        .revocation_date(_START)
        .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        .build()
    )
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_name("root"))
        .last_update(_START)
        .next_update(_START + timedelta(days=1))
        .add_extension(x509.CRLNumber(5), critical=False)
        .add_revoked_certificate(revoked)
        .sign(_key(1), None)
    )


@cache
def seeds() -> dict[str, bytes]:
    """Name to octets."""
    root, leaf = (
        _certificate("root", _key(1), "root", _key(1)),
        _certificate("csms.example.org", _key(2), "root", _key(1)),
    )
    request = _request().public_bytes(_DER)
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, root, hashes.SHA256()).add_extension(x509.OCSPNonce(b"n" * 16), critical=False)
    answered = (
        ocsp.OCSPResponseBuilder()
        .add_response(leaf, root, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD, _START, _START + timedelta(days=1), None, None)
        .responder_id(ocsp.OCSPResponderEncoding.HASH, root)
        .certificates([root])
    )
    ec_key = ec.derive_private_key(12345, ec.SECP256R1())
    spki = ec_key.public_key().public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pkcs8 = ec_key.private_bytes(_DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    certificates = [certificate.public_bytes(_DER) for certificate in (leaf, root)]
    return {
        "leaf.der": certificates[0],
        "root.der": certificates[1],
        "leaf.tbs": leaf.tbs_certificate_bytes,
        "chain.pem": "".join(encode_pem("CERTIFICATE", octets) for octets in certificates).encode(),
        "chain.p7": assemble_certs_only(certificates),
        "request.der": request,
        "request.pem": encode_pem("CERTIFICATE REQUEST", request).encode(),
        "request.b64": base64.b64encode(request),
        "crl.der": _crl().public_bytes(_DER),
        "ocsp-request.der": asked.build().public_bytes(_DER),
        "ocsp-response.der": answered.sign(_key(1), None).public_bytes(_DER),
        "ocsp-error.der": der.sequence(der.enumerated(6)),
        "spki.der": spki,
        "key.der": pkcs8,
        "text": b"CS-17 csms.example.org 192.0.2.1",
        "empty": b"",
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for name, octets in seeds().items():
        (target / name).write_bytes(octets)
