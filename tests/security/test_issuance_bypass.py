"""Whoever may ask for one thing gets that one thing, and nobody gets a private key that is not theirs."""

import asyncio
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chargepki.core import der
from chargepki.core.algorithms import ALGORITHM_IDENTIFIER, KeySpec, SignatureAlgorithm, parse_spki, sign, spki_of
from chargepki.core.csr import parse_csr
from chargepki.core.profiles.model import Narrowing
from chargepki.core.profiles.registry import Profiles
from chargepki.core.records import CertificateQuery, ProfileId, StationId
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Conflict, NotAuthorised, Refused
from chargepki.services.audit import Caller
from chargepki.services.orders import CertificateOrder, Issued
from chargepki.services.registration import Registration
from chargepki.services.server_certificates import ServerCertificates, ServerNames
from chargepki.testing.workbench import ADMIN, Workbench, limited
from tests.unit.core.csr_forge import NO_ATTRIBUTES, SUBJECT, forge_request, fresh_key

STATION = ProfileId("ocpp/station")
SERVER = ProfileId("ocpp/csms-server")


async def add_station(bench: Workbench, id: str = "CS-17") -> StationId:
    return (await bench.services.inventory.add_station(ADMIN, id=id, serial_number=f"SN-{id}", operator="demo-cpo")).id


async def enrolee(bench: Workbench, station: StationId) -> tuple[Caller, str]:
    _, secret = await bench.services.inventory.create_enrolment_token(ADMIN, station, profile=STATION)
    return bench.caller(await bench.services.access.authenticate(secret)), secret


def clerk(bench: Workbench, *scopes: str) -> Caller:
    return bench.caller(limited("clerk", frozenset(scopes)))


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    return {finding.code for finding in refusal.value.findings}


async def count(bench: Workbench) -> int:
    return len((await bench.services.issuance.list(ADMIN, CertificateQuery())).items)


@pytest.mark.parametrize(
    "order",
    [
        CertificateOrder(SERVER, host="csms.example.org"),
        CertificateOrder(ProfileId("backend/tls-server"), host="csms.example.org"),
        CertificateOrder(ProfileId("ocpp/local-controller"), host="csms.example.org"),
        CertificateOrder(ProfileId("backend/mtls-client"), common_name="billing"),
        CertificateOrder(ProfileId("firmware/signer"), common_name="release"),
        CertificateOrder(ProfileId("ocpp/manufacturer-initial"), common_name="SN-1"),
    ],
    ids=lambda order: order.profile,
)
async def test_a_stations_token_gets_no_certificate_but_the_stations(bench: Workbench, order: CertificateOrder) -> None:
    caller, secret = await enrolee(bench, await add_station(bench))
    before = await count(bench)
    for spoken in (order, replace(order, enrolment_token=secret)):
        with pytest.raises(NotAuthorised) as refusal:
            await bench.services.issuance.request(caller, replace(spoken, csr=forge_request()))
        assert codes(refusal) == {"registration.kind.station"}
    assert await count(bench) == before


async def test_an_administrator_who_names_an_enrolment_token_for_a_host_is_told_so(bench: Workbench) -> None:
    _, secret = await enrolee(bench, await add_station(bench))
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(
            ADMIN, CertificateOrder(SERVER, csr=forge_request(), host="csms.example.org", enrolment_token=secret)
        )
    assert codes(refusal) == {"registration.token.profile"}


async def test_two_stations_at_once_get_one_certificate_from_one_token(bench: Workbench) -> None:
    station = await add_station(bench)
    caller, secret = await enrolee(bench, station)
    orders = [CertificateOrder(STATION, csr=forge_request(), station=station, enrolment_token=secret) for _ in range(20)]
    outcomes = await asyncio.gather(*(bench.services.issuance.request(caller, order) for order in orders), return_exceptions=True)
    assert sum(isinstance(outcome, Issued) for outcome in outcomes) == 1
    assert all(isinstance(outcome, Issued | Conflict | NotAuthorised) for outcome in outcomes)


async def test_who_may_order_certificates_may_not_carry_keys_away(bench: Workbench) -> None:
    issued = await bench.services.issuance.request(
        ADMIN, CertificateOrder(ProfileId("backend/mtls-client"), key_spec=KeySpec.P256, common_name="billing")
    )
    station_caller, _ = await enrolee(bench, await add_station(bench))
    for caller in (station_caller, clerk(bench, "certificate:request:create", "certificate:object:read")):
        with pytest.raises(NotAuthorised):
            await bench.services.issuance.export_pkcs12(caller, issued.certificate.id, b"carried away")
    holder = clerk(bench, "certificate:key:export")
    assert await bench.services.issuance.export_pkcs12(holder, issued.certificate.id, b"carried away")


async def test_the_platforms_own_keys_are_exported_by_nobody(bench: Workbench) -> None:
    own = ServerCertificates(bench.ports, bench.services.issuance, ServerNames(("csms.example.org",), ()))
    certificate = (await own.ensure(SERVER, KeySpec.P256)).certificate
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.issuance.export_pkcs12(ADMIN, certificate.id, b"carried away")
    assert codes(refusal) == {"certificate.key.platform"}


async def test_the_platform_serves_no_certificate_that_somebody_ordered_in_its_name(bench: Workbench) -> None:
    order = CertificateOrder(SERVER, key_spec=KeySpec.P256, host="csms.example.org", organization="demo-cpo")
    planted = (await bench.services.issuance.request(clerk(bench, "certificate:request:create"), order)).certificate
    own = ServerCertificates(bench.ports, bench.services.issuance, ServerNames(("csms.example.org",), ()))
    assert (await own.ensure(SERVER, KeySpec.P256)).certificate.id != planted.id


# ------------------------------------------------------------------------------------------------------ one key, one owner


def compressed(key: ec.EllipticCurvePrivateKey) -> bytes:
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    algorithm = der.parse_element(spki_of(key.public_key())).children()[0].raw
    return der.sequence(algorithm, der.bit_string(point))


def hybrid(key: ec.EllipticCurvePrivateKey) -> bytes:
    """X9.62 4.3.6: the uncompressed point, with the parity of y in its first octet."""
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    algorithm = der.parse_element(spki_of(key.public_key())).children()[0].raw
    return der.sequence(algorithm, der.bit_string(bytes((6 | point[-1] & 1,)) + point[1:]))


def without_parameters(spki: bytes) -> bytes:
    """RSA without the NULL that RFC 3279 2.3.1 asks for."""
    algorithm, bits = der.parse_element(spki).children()
    return der.sequence(der.sequence(algorithm.children()[0].raw), bits.raw)


def under_pss(spki: bytes) -> bytes:
    """The RSA key under id-RSASSA-PSS (RFC 4055 1.2)."""
    bits = der.parse_element(spki).children()[1]
    return der.sequence(der.sequence(der.oid("1.2.840.113549.1.1.10")), bits.raw)


def request_with(spki: bytes, key: object, algorithm: SignatureAlgorithm) -> bytes:
    info = der.sequence(der.integer(0), SUBJECT, spki, NO_ATTRIBUTES)
    return der.sequence(info, ALGORITHM_IDENTIFIER[algorithm], der.bit_string(sign(key, algorithm, info)))  # type: ignore[arg-type]


def spellings() -> list[tuple[str, bytes, bytes]]:
    """(name, the usual request, the same key spelt otherwise), signed by the same key."""
    point, modulus = fresh_key(KeySpec.P256), fresh_key(KeySpec.RSA2048)
    assert isinstance(point, ec.EllipticCurvePrivateKey)
    usual = spki_of(modulus.public_key())
    ecdsa, pkcs1 = SignatureAlgorithm.ECDSA_SHA256, SignatureAlgorithm.RSA_SHA256
    return [
        ("compressed", forge_request(point), request_with(compressed(point), point, ecdsa)),
        ("hybrid", forge_request(point), request_with(hybrid(point), point, ecdsa)),
        ("rsa-without-null", forge_request(modulus), request_with(without_parameters(usual), modulus, pkcs1)),
        ("rsa-under-pss", forge_request(modulus), request_with(under_pss(usual), modulus, pkcs1)),
    ]


@pytest.mark.clause("OCPP A00.FR.427", "RFC 5480 2.2")
async def test_a_key_spelt_otherwise_is_still_the_same_key(bench: Workbench) -> None:
    first, second = await add_station(bench, "CS-1"), await add_station(bench, "CS-2")
    for name, usual, odd in spellings():
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=usual, station=first))
        with pytest.raises(Refused) as refusal:
            await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=odd, station=second))
        assert codes(refusal) & {"registration.key.foreign", "csr.unreadable", "key.unreadable", "csr.quirk.encoding"}, name


def test_what_a_request_says_of_its_key_is_the_usual_spelling() -> None:
    for name, _, odd in spellings():
        try:
            request = parse_csr(odd)
        except Refused:
            continue
        assert request.spki == spki_of(parse_spki(request.spki)), name


# -------------------------------------------------------------------------------------------- what a revocation is worth


@pytest.mark.clause("RFC 5280 5.3.1")
async def test_a_compromised_key_is_never_certified_again(bench: Workbench) -> None:
    station, csr = await add_station(bench), forge_request()
    order = CertificateOrder(STATION, csr=csr, station=station)
    issued = await bench.services.issuance.request(ADMIN, order)
    await bench.services.revocation.revoke(ADMIN, issued.certificate.id, reason=RevocationReason.KEY_COMPROMISE)
    _, secret = await enrolee(bench, station)
    for spoken in (order, replace(order, enrolment_token=secret), replace(order, profile=ProfileId("ocpp/station-eku"))):
        with pytest.raises(Refused) as refusal:
            await bench.services.issuance.request(ADMIN, spoken)
        assert codes(refusal) == {"registration.key.compromised"}


async def test_a_key_whose_certificate_was_superseded_may_be_certified_again(bench: Workbench) -> None:
    station, csr = await add_station(bench), forge_request()
    order = CertificateOrder(STATION, csr=csr, station=station)
    issued = await bench.services.issuance.request(ADMIN, order)
    await bench.services.revocation.revoke(ADMIN, issued.certificate.id, reason=RevocationReason.SUPERSEDED)
    again = await bench.services.issuance.request(ADMIN, order)
    assert again.certificate.id != issued.certificate.id


# ------------------------------------------------------------------------------------------------------------- narrowing


async def test_a_deployment_that_limits_host_names_hands_out_no_addresses(bench: Workbench) -> None:
    profiles = Profiles([Narrowing(SERVER, host_suffixes=frozenset({"example.org"}))])
    registration = Registration(bench.ports, bench.services.audit, bench.services.parties, "demo-cpo")
    order = CertificateOrder(SERVER, host="csms.example.org", alt_hosts=("192.0.2.99",))
    with pytest.raises(Refused) as refusal:
        await registration.grant(ADMIN, order, profiles.get(SERVER))
    assert codes(refusal) == {"registration.host.outside"}
    assert (await registration.grant(bench.system, order, profiles.get(SERVER))).alt_names.ip  # its own listeners have addresses


@pytest.mark.parametrize(
    "host", ["csms.example.org\0.evil.test", "csms.example.org%00", "csms。example.org", "csms.example.org/", " csms.example.org"]
)
async def test_no_trick_of_spelling_makes_another_host(bench: Workbench, host: str) -> None:
    with pytest.raises(Refused):
        await bench.services.issuance.request(ADMIN, CertificateOrder(SERVER, csr=forge_request(), host=host))


@pytest.mark.parametrize("operator", [" demo-cpo", "demo-cpo ", "demo  cpo", "demo\u00a0cpo", "demo\u200bcpo"])
@pytest.mark.clause("RFC 5280 7.1")
async def test_an_operators_name_has_no_blanks_that_a_comparison_would_drop(bench: Workbench, operator: str) -> None:
    with pytest.raises(Refused):
        await bench.services.inventory.add_station(ADMIN, id="CS-9", serial_number="SN-9", operator=operator)


async def test_the_issued_certificate_carries_the_usual_spelling(bench: Workbench) -> None:
    station = await add_station(bench)
    for _, _, odd in spellings():
        try:
            issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=odd, station=station))
        except Refused:
            continue
        key = x509.load_der_x509_certificate(issued.certificate.der).public_key()
        assert spki_of(key) in issued.certificate.der  # type: ignore[arg-type]
