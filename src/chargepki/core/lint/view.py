"""A TBSCertificate read once, as the rules want to see it (RFC 5280 4.1.2). Nothing here judges; malformed DER is refused."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from chargepki.core import der, oids
from chargepki.core.algorithms import KeySpec
from chargepki.core.der import Element
from chargepki.core.extensions import Extension, as_ia5, parse_alt_names, parse_extensions
from chargepki.core.names import AltNames, Attribute, parse_name
from chargepki.core.profiles.model import KeyUsage

TBS_OCTETS_MAX: Final = 64 * 1024  # an ML-DSA-87 certificate with thirty names has about 4,500
PURPOSES_MAX: Final = 16
URIS_MAX: Final = 8

_VERSION: Final = der.context(0)
_EXTENSIONS: Final = der.context(3)
_URI: Final = 0x86
_TIME_CHARACTERS: Final = {der.UTC_TIME: 13, der.GENERALIZED_TIME: 15}  # RFC 5280 4.1.2.5: seconds always, "Z" always
_USAGES: Final = tuple(KeyUsage)  # RFC 5280 4.2.1.3: in the order of their bits
_EC_BITS: Final = bytes.fromhex("06072a8648ce3d0201")  # RFC 5480 2.1.1: id-ecPublicKey
_RSA: Final = bytes.fromhex("06092a864886f70d010101")  # RFC 3279 2.3.1: rsaEncryption
# RFC 5480 2.1.1.1, RFC 8410 3, RFC 9881 3: the AlgorithmIdentifier of every kind of key but RSA says all of it
_KINDS: Final[dict[bytes, KeySpec]] = {
    der.sequence(_EC_BITS, der.oid("1.2.840.10045.3.1.7")): KeySpec.P256,
    der.sequence(_EC_BITS, der.oid("1.3.132.0.34")): KeySpec.P384,
    der.sequence(_EC_BITS, der.oid("1.3.132.0.35")): KeySpec.P521,
    der.sequence(der.oid("1.3.101.112")): KeySpec.ED25519,
    der.sequence(der.oid("1.3.101.113")): KeySpec.ED448,
    der.sequence(der.oid("2.16.840.1.101.3.4.3.17")): KeySpec.MLDSA44,
    der.sequence(der.oid("2.16.840.1.101.3.4.3.18")): KeySpec.MLDSA65,
    der.sequence(der.oid("2.16.840.1.101.3.4.3.19")): KeySpec.MLDSA87,
}
_RSA_KINDS: Final = {2048: KeySpec.RSA2048, 3072: KeySpec.RSA3072, 4096: KeySpec.RSA4096}


@dataclass(frozen=True, slots=True)
class TimeView:
    """A point of the validity: `tag` says how it is spelt."""

    tag: int
    at: datetime


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    is_ca: bool
    path_length: int | None


@dataclass(frozen=True, slots=True)
class TbsView:
    """`serial` is the content of the INTEGER; `signature`, `issuer`, `subject` and `spki` are whole TLVs.

    `extensions` holds all of them as they stand, `present` and `critical` their types; what an absent one would say is None or empty.
    """

    size: int
    version: int
    serial: bytes
    signature: bytes
    issuer: bytes
    not_before: TimeView
    not_after: TimeView
    subject: bytes
    attributes: tuple[Attribute, ...]
    spki: bytes
    key_spec: KeySpec | None
    extensions: tuple[Extension, ...]
    present: frozenset[str]
    critical: frozenset[str]
    basic_constraints: BasicConstraints | None
    key_usage: frozenset[KeyUsage] | None
    purposes: tuple[str, ...]
    alt_names: AltNames
    subject_key_id: bytes
    authority_key_id: bytes
    ocsp_urls: tuple[str, ...]
    issuer_urls: tuple[str, ...]
    crl_urls: tuple[str, ...]

    def values(self, type: str) -> tuple[str, ...]:
        """The subject's values of one attribute type."""
        return tuple(attribute.value for attribute in self.attributes if attribute.type == type)


def parse_tbs(tbs: bytes) -> TbsView:
    """`Refused` when the octets are not a TBSCertificate in DER."""
    if len(tbs) > TBS_OCTETS_MAX:
        raise der.malformed(f"a certificate of {len(tbs)} octets")
    fields = list(der.parse_element(tbs).expect(der.SEQUENCE).children(10))
    version = 1
    if fields and fields[0].tag == _VERSION:
        version = der.parse_element(fields.pop(0).content).as_integer(octets_max=1) + 1
    if len(fields) < 6:
        raise der.malformed("a certificate without its seven fields")
    serial, signature, issuer, validity, subject, spki, *rest = fields
    serial.as_integer(octets_max=64)
    not_before, not_after = _two(validity.expect(der.SEQUENCE))
    extensions = _find_extensions(rest)
    first = {extension.id: extension.value for extension in reversed(extensions)}
    access = _parse_access(first.get(oids.AUTHORITY_INFO_ACCESS))
    return TbsView(
        size=len(tbs),
        version=version,
        serial=serial.content,
        signature=signature.expect(der.SEQUENCE).raw,
        issuer=issuer.expect(der.SEQUENCE).raw,
        not_before=_parse_time(not_before),
        not_after=_parse_time(not_after),
        subject=subject.raw,
        attributes=tuple(attribute.decode() for attribute in parse_name(subject)),
        spki=spki.raw,
        key_spec=_kind_of(spki),
        extensions=extensions,
        present=frozenset(first),
        critical=frozenset(extension.id for extension in extensions if extension.is_critical),
        basic_constraints=_parse_basic_constraints(first.get(oids.BASIC_CONSTRAINTS)),
        key_usage=_parse_key_usage(first.get(oids.KEY_USAGE)),
        purposes=_parse_purposes(first.get(oids.EXTENDED_KEY_USAGE)),
        alt_names=parse_alt_names(first[oids.SUBJECT_ALT_NAME]) if oids.SUBJECT_ALT_NAME in first else AltNames(),
        subject_key_id=_parse_subject_key_id(first.get(oids.SUBJECT_KEY_IDENTIFIER)),
        authority_key_id=_parse_authority_key_id(first.get(oids.AUTHORITY_KEY_IDENTIFIER)),
        ocsp_urls=tuple(url for method, url in access if method == oids.AD_OCSP),
        issuer_urls=tuple(url for method, url in access if method == oids.AD_CA_ISSUERS),
        crl_urls=_parse_crl_urls(first.get(oids.CRL_DISTRIBUTION_POINTS)),
    )


def _two(element: Element) -> tuple[Element, Element]:
    children = element.children(2)
    if len(children) != 2:
        raise der.malformed(f"a pair of {len(children)} elements")
    return children[0], children[1]


def _find_extensions(fields: list[Element]) -> tuple[Extension, ...]:
    # RFC 5280 4.1.2.8: the unique identifiers [1] and [2] may stand before the extensions [3]
    found = [field for field in fields if field.tag == _EXTENSIONS]
    return parse_extensions(der.parse_element(found[0].content)) if found else ()


def _parse_time(element: Element) -> TimeView:
    text = as_ia5(element.content)
    if len(text) != _TIME_CHARACTERS.get(element.tag) or not text[:-1].isdigit() or text[-1] != "Z":
        raise der.malformed(f"{text[:20]!r} is no time of a certificate")
    if element.tag == der.UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text  # RFC 5280 4.1.2.5.1
    try:
        at = datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:14]), tzinfo=UTC)
    except ValueError as error:
        raise der.malformed(f"{text!r} is no point in time") from error
    return TimeView(element.tag, at)


def _kind_of(spki: Element) -> KeySpec | None:
    algorithm, key = _two(spki.expect(der.SEQUENCE))
    if not algorithm.content.startswith(_RSA):
        return _KINDS.get(algorithm.raw)
    modulus = der.parse_element(key.expect(der.BIT_STRING).content[1:]).children(2)[0].as_integer()
    return _RSA_KINDS.get(modulus.bit_length())


def _parse_basic_constraints(value: bytes | None) -> BasicConstraints | None:
    if value is None:
        return None
    is_ca, path_length = False, None
    for part in der.parse_element(value).expect(der.SEQUENCE).children(2):
        if part.tag == der.BOOLEAN:
            is_ca = part.content == b"\xff"
        else:
            path_length = part.as_integer(octets_max=2)
    return BasicConstraints(is_ca, path_length)


def _parse_key_usage(value: bytes | None) -> frozenset[KeyUsage] | None:
    if value is None:
        return None
    bits = der.parse_element(value).expect(der.BIT_STRING).content
    if not 2 <= len(bits) <= 3:
        raise der.malformed(f"key usage bits of {len(bits)} octets")
    flags = int.from_bytes(bits[1:3].ljust(2, b"\0"), "big")
    if flags & 0x01FF:
        raise der.malformed("key usage bits that no profile uses")  # encipherOnly, decipherOnly, and beyond
    return frozenset(usage for bit, usage in enumerate(_USAGES) if flags >> (15 - bit) & 1)


def _parse_purposes(value: bytes | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(purpose.as_oid() for purpose in der.parse_element(value).expect(der.SEQUENCE).children(PURPOSES_MAX))


def _parse_subject_key_id(value: bytes | None) -> bytes:
    return b"" if value is None else der.parse_element(value).expect(der.OCTET_STRING).content


def _parse_authority_key_id(value: bytes | None) -> bytes:
    if value is None:
        return b""
    parts = der.parse_element(value).expect(der.SEQUENCE).children(3)
    return next((part.content for part in parts if part.tag == der.context(0, constructed=False)), b"")


def _parse_access(value: bytes | None) -> tuple[tuple[str, str], ...]:
    """RFC 5280 4.2.2.1: (access method, URI) of every description that names a URI."""
    if value is None:
        return ()
    found = []
    for description in der.parse_element(value).expect(der.SEQUENCE).children(URIS_MAX):
        method, location = _two(description)
        if location.tag == _URI:
            found.append((method.as_oid(), as_ia5(location.content)))
    return tuple(found)


def _parse_crl_urls(value: bytes | None) -> tuple[str, ...]:
    """RFC 5280 4.2.1.13: the URIs in DistributionPoint [0] fullName [0]."""
    if value is None:
        return ()
    found = []
    for point in der.parse_element(value).expect(der.SEQUENCE).children(URIS_MAX):
        for name in point.children(3):
            for full_name in name.children(1) if name.tag == der.context(0) else ():
                found += [as_ia5(uri.content) for uri in full_name.children(URIS_MAX) if uri.tag == _URI]
    return tuple(found)
