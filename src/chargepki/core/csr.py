"""Certificate signing requests (PKCS #10, RFC 2986): a strict reader, and one that knows the quirks of devices in the field.

What a CSR asks for is information. The key and the proof that its holder has the private half are what counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from chargepki.core import der, oids
from chargepki.core.algorithms import (
    ALGORITHM_IDENTIFIER,
    KeySpec,
    PublicKey,
    SignatureAlgorithm,
    is_signature_valid,
    parse_spki,
    spec_of,
    spki_of,
)
from chargepki.core.der import Element
from chargepki.core.extensions import parse_alt_names, parse_extensions
from chargepki.core.names import AltNames, EncodedAttribute, Name, parse_name
from chargepki.core.pem import is_pem, parse_any
from chargepki.errors import Finding, Refused, Severity, refuse_errors

CSR_OCTETS_MAX: Final = 16 * 1024  # OCPP allows 5,500 characters; an ML-DSA-87 request in PEM has about 10,300
ATTRIBUTES_MAX: Final = 16

_LABELS: Final = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")  # RFC 7468 7
_BLANKS: Final = b" \t\r\n"
_TOLERANT_HINT: Final = "repair the device's request, or set csr_tolerant for the station"
_NAME_STRINGS: Final = frozenset({der.UTF8_STRING, der.PRINTABLE_STRING, der.IA5_STRING})
_ATTRIBUTES: Final = der.context(0)

# RFC 2986 4.2; OCPP A00.FR.504, FR.506: hashes whose collisions are cheap prove nothing
_WEAK_SIGNATURES: Final = frozenset(
    {
        "1.2.840.113549.1.1.2",
        "1.2.840.113549.1.1.3",
        "1.2.840.113549.1.1.4",
        "1.2.840.113549.1.1.5",
        "1.3.14.3.2.29",
        "1.2.840.10040.4.3",
        "1.2.840.10045.4.1",
    }
)
_STRONG_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
# RFC 4055 5: readers accept RSA identifiers with and without the NULL
_ALGORITHMS: Final[dict[bytes, SignatureAlgorithm]] = {octets: algorithm for algorithm, octets in ALGORITHM_IDENTIFIER.items()} | {
    bytes.fromhex("300b06092a864886f70d01010b"): SignatureAlgorithm.RSA_SHA256
}


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A CSR whose signature was verified. `dns` and `ip` (4 or 16 octets) are what it asks for; `findings` are tolerated quirks.

    `spki` is the key's one DER, however the request spelt it (a compressed point, RSA without its NULL): one key, one hash.
    """

    der: bytes
    subject: Name
    spki: bytes
    key: PublicKey
    key_spec: KeySpec | None  # None: a kind of key this platform does not sign
    dns: tuple[str, ...] = ()
    ip: tuple[bytes, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Parts:
    """The pieces of a CSR as octets. `info` is what was signed; `attributes` is None where the device left them out."""

    der: bytes
    info: bytes
    version: int
    subject: Element
    spki: bytes
    attributes: Element | None
    algorithm: Element
    signature: bytes


def parse_csr(data: bytes, *, tolerant: bool = False) -> CertificateRequest:
    """The one request in `data` (PEM, DER or base64). `Refused` with all findings; `tolerant` turns known quirks into warnings.

    A signature that does not verify, or that uses SHA-1 or MD5, is never tolerated.
    """
    octets, trailing = _take_request(data)
    parts = _split(octets)
    attributes = _parse_subject(parts.subject)
    alt_names, extension_quirks = _parse_alt_names(parts.attributes)
    quirks = [*trailing, *_find_structure_quirks(parts), *_find_subject_quirks(attributes), *extension_quirks]
    request = None
    if not quirks:
        request, quirks = _read_again(parts.der)
    found = _judge(quirks, tolerant)
    try:
        key = parse_spki(parts.spki)
    except Refused as refusal:
        raise Refused(*found, *refusal.findings) from refusal
    refuse_errors((*found, *_find_signature_faults(parts, key, request)))
    subject = Name(tuple(attribute.decode() for attribute in attributes))
    return CertificateRequest(parts.der, subject, spki_of(key), key, spec_of(key), alt_names.dns, alt_names.ip, found)


def _take_request(data: bytes) -> tuple[bytes, tuple[Finding, ...]]:
    """The DER of the request, and what is odd about the octets behind it."""
    try:
        blobs = parse_any(data, octets_max=CSR_OCTETS_MAX)
    except Refused as refusal:
        raise _as_csr(refusal) from refusal
    if any("PRIVATE KEY" in blob.label for blob in blobs):
        raise Refused.because(
            "csr.private_key",
            "a private key was sent with the request; it was not read",
            path="csr",
            clause="OCPP A02.FR.05",
            hint="make a new key: this one has left its device",
        )
    if len(blobs) != 1 or (blobs[0].label and blobs[0].label not in _LABELS):
        labels = ", ".join(blob.label for blob in blobs[:4])
        raise Refused.because("csr.block", f"one CERTIFICATE REQUEST block belongs here, found: {labels}", path="csr", clause="RFC 7468 7")
    try:
        first, rest = der.take_element(blobs[0].der)
    except Refused as refusal:
        raise _as_csr(refusal) from refusal
    if is_pem(data):
        label_at = data.rfind(b"-----END ") + len(b"-----END ")
        rest += data[data.find(b"-----", label_at) + 5 :].strip(_BLANKS)
    return first.raw, _find_trailing(rest)


def _find_trailing(rest: bytes) -> tuple[Finding, ...]:
    if not rest:
        return ()
    if rest.strip(_BLANKS + b"\0"):
        raise Refused.because("csr.trailing", f"{len(rest)} octets follow the request", path="csr", clause="RFC 2986 4.2")
    return (_quirk("trailing", f"{len(rest)} blank or zero octets follow the request", "csr", "RFC 2986 4.2"),)


def _split(octets: bytes) -> _Parts:
    try:
        info, algorithm, signature = _three(der.parse_element(octets).expect(der.SEQUENCE))
        fields = info.expect(der.SEQUENCE).children(4)
        if len(fields) < 3 or signature.expect(der.BIT_STRING).content[:1] != b"\0":
            raise der.malformed("not the structure of a certification request")
        version = fields[0].as_integer(octets_max=1)
        subject, spki = fields[1].expect(der.SEQUENCE), fields[2].expect(der.SEQUENCE)
        attributes = fields[3].expect(_ATTRIBUTES) if len(fields) == 4 else None
        return _Parts(octets, info.raw, version, subject, spki.raw, attributes, algorithm.expect(der.SEQUENCE), signature.content[1:])
    except Refused as refusal:
        raise _as_csr(refusal) from refusal


def _three(element: Element) -> tuple[Element, Element, Element]:
    children = element.children(3)
    if len(children) != 3:
        raise der.malformed(f"a certification request of {len(children)} parts")
    return children[0], children[1], children[2]


def _parse_subject(element: Element) -> tuple[EncodedAttribute, ...]:
    try:
        attributes = parse_name(element)
        for attribute in attributes:
            attribute.decode()
    except Refused as refusal:
        raise _as_csr(refusal, "csr.subject") from refusal
    return attributes


def _parse_alt_names(attributes: Element | None) -> tuple[AltNames, tuple[Finding, ...]]:
    """What the extension request (RFC 2985 5.4.2) asks for; unreadable ones are a quirk, for nothing is copied from them."""
    if attributes is None or not attributes.content:
        return AltNames(), ()
    try:
        for attribute in attributes.children(ATTRIBUTES_MAX):
            type, *values = attribute.expect(der.SEQUENCE).children(2)
            if type.as_oid() != oids.EXTENSION_REQUEST or not values:
                continue
            for extensions in values[0].expect(der.SET).children(1):
                for extension in parse_extensions(extensions):
                    if extension.id == oids.SUBJECT_ALT_NAME:
                        return parse_alt_names(extension.value), ()
    except (Refused, ValueError) as error:
        return AltNames(), (_quirk("extensions", f"the requested extensions cannot be read: {error}", "csr.attributes", "RFC 2985 5.4.2"),)
    return AltNames(), ()


def _find_structure_quirks(parts: _Parts) -> Iterable[Finding]:
    if parts.version != 0:
        yield _quirk("version", f"the version field is {parts.version}, not 0 (v1)", "csr.version", "RFC 2986 4.1")
    if parts.attributes is None:
        yield _quirk("attributes", "the attributes field is missing", "csr.attributes", "RFC 2986 4.1")


def _find_subject_quirks(attributes: Iterable[EncodedAttribute]) -> Iterable[Finding]:
    for attribute in attributes:
        path = f"csr.subject.{attribute.type.lower()}"
        if attribute.type == "C" and (len(attribute.octets) != 2 or not attribute.octets.isalpha()):
            yield _quirk("country", f"C={attribute.octets[:32]!r} is no two-letter country code", path, "RFC 5280 A.1")
        if attribute.tag not in _NAME_STRINGS:
            yield _quirk("string_type", f"{attribute.type} has the string type 0x{attribute.tag:02x}", path, "RFC 5280 4.1.2.4")
        if not attribute.octets:
            yield _quirk("empty", f"{attribute.type} is empty", path, "RFC 5280 A.1")


def _read_again(octets: bytes) -> tuple[x509.CertificateSigningRequest | None, list[Finding]]:
    """A second parser's view of a request in which the first saw nothing odd."""
    try:
        return x509.load_der_x509_csr(octets), []
    except (ValueError, x509.InvalidVersion) as error:
        return None, [_quirk("encoding", f"a strict reader refuses the encoding: {error}", "csr", "RFC 2986 4.2")]


def _judge(quirks: Iterable[Finding], tolerant: bool) -> tuple[Finding, ...]:
    if tolerant:
        return tuple(quirks)
    return tuple(replace(quirk, severity=Severity.ERROR, hint=_TOLERANT_HINT) for quirk in quirks)


def _find_signature_faults(parts: _Parts, key: PublicKey, request: x509.CertificateSigningRequest | None) -> tuple[Finding, ...]:
    """RFC 2986 4.2: the signature over the octets of CertificationRequestInfo, exactly as they came."""
    algorithm = _ALGORITHMS.get(parts.algorithm.raw)
    if algorithm is not None:
        is_valid = is_signature_valid(key, algorithm, parts.signature, parts.info)
    elif weak := _find_weak_hash(parts.algorithm):
        return weak
    elif request is None:
        return (_signature_fault("algorithm", "this signature algorithm is not supported", "sign the request with SHA-256"),)
    else:
        return _find_faults_of_rare(request)
    return () if is_valid else (_WRONG_SIGNATURE,)


def _find_weak_hash(algorithm: Element) -> tuple[Finding, ...]:
    try:
        id = algorithm.children(2)[0].as_oid() if algorithm.content else ""
    except Refused as refusal:
        return _as_csr(refusal, "csr.signature").findings
    if id in _WEAK_SIGNATURES:
        return (_signature_fault("hash", "the request is signed with SHA-1 or MD5", "openssl req -new -sha256 -key KEY"),)
    return ()


def _find_faults_of_rare(request: x509.CertificateSigningRequest) -> tuple[Finding, ...]:
    """Signatures that this platform reads but never makes: RSA with SHA-384 or SHA-512, other PSS parameters."""
    try:
        hash = request.signature_hash_algorithm
        if hash is not None and hash.name not in _STRONG_HASHES:
            return (_signature_fault("hash", f"the request is signed with {hash.name.upper()}", "openssl req -new -sha256 -key KEY"),)
        return () if request.is_signature_valid else (_WRONG_SIGNATURE,)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return (_signature_fault("algorithm", f"this signature algorithm is not supported: {error}", "sign the request with SHA-256"),)


def _signature_fault(slug: str, message: str, hint: str) -> Finding:
    return Finding(f"csr.signature.{slug}", message, Severity.ERROR, "csr.signature", "RFC 2986 4.2", hint)


_WRONG_SIGNATURE: Final = _signature_fault(
    "wrong",
    "the signature does not verify: the sender has not shown that it holds the private key",
    "make the request again with the key it names",
)


def _quirk(slug: str, message: str, path: str, clause: str) -> Finding:
    return Finding(f"csr.quirk.{slug}", message, Severity.WARNING, path, clause)


def _as_csr(refusal: Refused, path: str = "csr") -> Refused:
    """The same refusal, told as a fault of the request."""
    message = refusal.findings[0].message
    hint = refusal.findings[0].hint or "openssl req -in FILE -noout -text -verify shows what OpenSSL makes of it"
    return Refused.because("csr.unreadable", message, path=path, clause=refusal.findings[0].clause, hint=hint)
