"""How a certificate and its chain are spelt for whoever asked. A chain runs leaf, sub-CAs, root, in DER."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from chargepki.core.cms import assemble_certs_only
from chargepki.core.pem import encode_pem
from chargepki.errors import Refused

Chain = tuple[bytes, ...]
_Pkcs12Key = pkcs12.PKCS12PrivateKeyTypes

FRIENDLY_NAME_MAX: Final = 64
_PKCS12_ROUNDS: Final = 100_000  # PBKDF2 with HMAC-SHA-256; the passphrase protects a file in transit, not an archive


class BundleFormat(StrEnum):
    PEM = "pem"
    DER = "der"
    PKCS7 = "pkcs7"
    PKCS12 = "pkcs12"
    OCPP = "ocpp"


class OcppVersion(StrEnum):
    V16 = "1.6"
    V201 = "2.0.1"
    V21 = "2.1"


CERTIFICATE_CHAIN_MAX: Final = 10_000  # CertificateSigned.certificateChain, in every version
CERTIFICATE_MAX: Final = {OcppVersion.V16: 5_500, OcppVersion.V201: 5_500, OcppVersion.V21: 10_000}  # InstallCertificate.certificate


@dataclass(frozen=True, slots=True)
class Bundle:
    """`filename_suffix` begins with its dot."""

    media_type: str
    filename_suffix: str
    content: bytes


def spell_chain(chain: Chain, format: BundleFormat, *, include_root: bool = False) -> Bundle:
    """The chain in `format`. DER carries the leaf alone; PKCS#12 needs a key and is made by `assemble_pkcs12`."""
    match format:
        case BundleFormat.PEM:
            pem = "".join(encode_pem("CERTIFICATE", der) for der in _travelling(chain, include_root))
            return Bundle("application/pem-certificate-chain", ".chain.pem", pem.encode())  # RFC 8555 9.1
        case BundleFormat.DER:
            return Bundle("application/pkix-cert", ".cer", chain[0])  # RFC 2585 4.1
        case BundleFormat.PKCS7:
            message = assemble_certs_only(_travelling(chain, include_root))
            return Bundle("application/pkcs7-mime; smime-type=certs-only", ".p7c", message)  # RFC 8551 3.2.1
        case BundleFormat.OCPP:
            text = ocpp_chain(chain, include_root=include_root, version=OcppVersion.V201)
            return Bundle("application/pem-certificate-chain", ".chain.pem", text.encode())
        case BundleFormat.PKCS12:
            raise Refused.because(
                "bundle.pkcs12.key",
                "PKCS#12 carries a private key, and this certificate's key is not here",
                path="format",
                hint="only where the platform made the key: order the certificate with --key instead of --csr",
            )


def ocpp_chain(chain: Chain, *, include_root: bool, version: OcppVersion) -> str:
    """The `certificateChain` of CertificateSigned, character by character (OCPP A02.FR.02, 2.1 part 2 1.7.1).

    Leaf first, then the sub-CAs, the root only when asked for: PEM whose lines end in one line feed. `Refused` when it is longer
    than the message may carry.
    """
    text = "".join(encode_pem("CERTIFICATE", der) for der in _travelling(chain, include_root))
    if len(text) > CERTIFICATE_CHAIN_MAX:
        raise Refused.because(
            "ocpp.certificate_chain.too_long",
            f"the chain takes {len(text)} characters; OCPP {version} carries {CERTIFICATE_CHAIN_MAX}",
            path="certificateChain",
            clause="OCPP CertificateSigned.certificateChain",
            hint="leave the root out, or use an authority with smaller keys (ec-p256)",
        )
    return text


def ocpp_certificate(der: bytes, version: OcppVersion) -> str:
    """One certificate as InstallCertificate carries it (OCPP M05); `Refused` when it is too long for the field."""
    text, limit = encode_pem("CERTIFICATE", der), CERTIFICATE_MAX[version]
    if len(text) > limit:
        raise Refused.because(
            "ocpp.certificate.too_long",
            f"the certificate takes {len(text)} characters; OCPP {version} carries {limit}",
            path="certificate",
            clause="OCPP InstallCertificate.certificate",
            hint="use an authority with smaller keys (ec-p256)",
        )
    return text


def assemble_pkcs12(pkcs8_pem: bytes, passphrase: bytes, chain: Chain, *, friendly_name: str) -> Bundle:
    """A PKCS#12 file (RFC 7292) with the key, the leaf and its whole chain, under PBES2 with AES-256.

    `pkcs8_pem` is the key as a vault exports it, under the same `passphrase`. The file's salt is random: the one place in the core
    where equal inputs give unequal octets, because the library that writes it draws the salt itself.
    """
    leaf, *above = (x509.load_der_x509_certificate(der) for der in chain)
    try:
        key = cast(_Pkcs12Key, serialization.load_pem_private_key(pkcs8_pem, passphrase))
        name = friendly_name[:FRIENDLY_NAME_MAX].encode()
        content = pkcs12.serialize_key_and_certificates(name, key, leaf, above, _pkcs12_encryption(passphrase))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused.because(
            "bundle.pkcs12.unwritable",
            f"the PKCS#12 file cannot be written: {error}",
            path="passphrase",
            hint="ask for pem, or another passphrase",
        ) from error
    return Bundle("application/pkcs12", ".p12", content)


def _pkcs12_encryption(passphrase: bytes) -> serialization.KeySerializationEncryption:
    return (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_PKCS12_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(passphrase)
    )


def _travelling(chain: Chain, include_root: bool) -> Chain:
    return chain if include_root or len(chain) == 1 else chain[:-1]
