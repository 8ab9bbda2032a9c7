"""Properties of the readers and writers of octets: what is written reads back, and nothing else is ever raised than a refusal."""

import json
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core import der
from chargepki.core.csr import parse_csr
from chargepki.core.extensions import parse_alt_names
from chargepki.core.identifiers.station import parse_host, parse_serial_number, parse_station_id
from chargepki.core.inspect import inspect
from chargepki.core.names import UPPER_BOUND, AltNames, Name, parse_name, read_name
from chargepki.core.pem import encode_pem, parse_any, parse_pem
from chargepki.errors import Refused
from tests.fuzz.seeds import seeds

NOW = datetime(2026, 12, 1, tzinfo=UTC)
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
SEEDS = [octets for octets in seeds().values() if octets]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A well-formed object with a few octets replaced, removed or inserted."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@given(st.integers(-(1 << 2048), 1 << 2048))
def test_integers_read_back(value: int) -> None:
    assert der.parse_element(der.integer(value)).as_integer() == value


@given(st.lists(st.integers(0, 1 << 40), max_size=8), st.integers(0, 2), st.integers(0, 39))
def test_object_identifiers_read_back(rest: list[int], first: int, second: int) -> None:
    dotted = ".".join(map(str, (first, second, *rest)))
    assert der.parse_element(der.oid(dotted)).as_oid() == dotted


@given(
    st.recursive(
        st.binary(max_size=300).map(der.octet_string), lambda inner: st.lists(inner, max_size=5).map(lambda parts: der.sequence(*parts))
    )
)
def test_structures_read_back_octet_for_octet(octets: bytes) -> None:
    element = der.parse_element(octets)
    assert element.raw == octets
    if element.tag == der.SEQUENCE:
        assert der.sequence(*(child.raw for child in element.children())) == octets


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1950))
@pytest.mark.clause("RFC 5280 4.1.2.5")
def test_times_from_2050_on_have_four_digits_for_the_year(at: datetime) -> None:
    encoded = der.parse_element(der.time(at))
    assert (encoded.tag == der.GENERALIZED_TIME) == (at.year >= 2050)
    digits = 4 if encoded.tag == der.GENERALIZED_TIME else 2
    assert encoded.content.decode() == f"{at.year:04}"[-digits:] + f"{at:%m%d%H%M%S}Z"


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=60)
countries = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)
attributes = st.sampled_from([name for name in UPPER_BOUND if name not in ("C", "DC")]).flatmap(
    lambda name: st.tuples(st.just(name), texts)
)


@given(st.lists(st.one_of(attributes, countries.map(lambda text: ("C", text))), max_size=6))
@pytest.mark.clause("RFC 5280 4.1.2.4")
def test_names_read_back_and_cryptography_reads_the_same(pairs: list[tuple[str, str]]) -> None:
    name = Name.of(*pairs)
    octets = name.encode()
    assert Name(tuple(attribute.decode() for attribute in parse_name(der.parse_element(octets)))) == name
    assert read_name(cryptography_name(octets)) == name


def cryptography_name(octets: bytes) -> x509.Name:
    """The subject of a request that carries these octets as its subject."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, None)
    info = der.parse_element(builder.public_bytes(Encoding.DER)).children()[0].children()
    request = der.sequence(info[0].raw, octets, *(field.raw for field in info[2:]))
    algorithm = der.sequence(der.oid("1.3.101.112"))
    return x509.load_der_x509_csr(der.sequence(request, algorithm, der.bit_string(KEY.sign(request)))).subject


@given(
    st.builds(
        AltNames,
        st.lists(st.from_regex(r"[a-z0-9]{1,20}(\.[a-z]{1,5}){1,3}", fullmatch=True), max_size=5).map(tuple),
        st.lists(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), max_size=3).map(tuple),
        st.lists(st.from_regex(r"https?://[a-z]{1,20}", fullmatch=True), max_size=3).map(tuple),
    )
)
@pytest.mark.clause("RFC 5280 4.2.1.6")
def test_alternative_names_read_back(names: AltNames) -> None:
    assert parse_alt_names(names.encode()) == names


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", min_size=1, max_size=30), st.binary(max_size=2000))
def test_pem_reads_back(label: str, octets: bytes) -> None:
    [block] = parse_pem(encode_pem(label, octets).encode(), octets_max=10_000)
    assert (block.label, block.der) == (label, octets)


@given(st.one_of(st.binary(max_size=2000), damaged()))
def test_pem_and_friends_are_read_or_refused(data: bytes) -> None:
    with suppress(Refused):
        assert parse_any(data, octets_max=10_000)


@given(data=st.one_of(st.binary(max_size=2000), damaged()), tolerant=st.booleans())
@settings(max_examples=400)
def test_a_request_is_read_or_refused_in_its_own_words(data: bytes, tolerant: bool) -> None:
    assert all(code.startswith(("csr.", "key.")) for code in codes_of_request(data, tolerant=tolerant))


def codes_of_request(data: bytes, *, tolerant: bool) -> list[str]:
    try:
        return [finding.code for finding in parse_csr(data, tolerant=tolerant).findings]
    except Refused as refusal:
        return [finding.code for finding in refusal.findings]


@given(st.one_of(st.binary(max_size=2000), damaged()))
@settings(max_examples=400)
def test_an_inspection_is_json_or_refused(data: bytes) -> None:
    try:
        inspection = inspect(data, now=NOW)
    except Refused:
        return
    assert json.loads(json.dumps(inspection.to_json()))["kind"]


@given(st.text(max_size=300))
def test_identifiers_are_canonical_or_refused(text: str) -> None:
    for parse in (parse_station_id, parse_serial_number, parse_host):
        try:
            accepted = parse(text)
        except Refused:
            continue
        assert parse(accepted) == accepted
