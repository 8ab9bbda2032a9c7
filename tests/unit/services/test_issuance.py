"""Issuance: what is granted, what is refused, and what stands in the store afterwards."""

import asyncio
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from chargepki.core.algorithms import KeySpec
from chargepki.core.names import read_name
from chargepki.core.profiles.authority import ROOT_OPERATOR, SUB_OPERATOR
from chargepki.core.records import AuthorityId, CertificateQuery, Outcome, ProfileId, StationId, StationState
from chargepki.core.revocation import RevocationReason
from chargepki.errors import Broken, Conflict, LogUnavailable, NotAuthorised, NotFound, Refused, Severity, VaultUnavailable
from chargepki.ports import SigningOrder, SigningPurpose
from chargepki.services.authorities import NewAuthority
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN, Workbench
from tests.unit.core.csr_forge import forge_request

STATION = ProfileId("ocpp/station")


def make_csr(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None, common_name: str = "whatever") -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def add_station(bench: Workbench, id: str = "CS-17", serial: str = "SN-0017") -> StationId:
    station = await bench.services.inventory.add_station(ADMIN, id=id, serial_number=serial, operator="demo-cpo")
    return station.id


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    return {finding.code for finding in refusal.value.findings}


@pytest.mark.clause("OCPP A00.FR.509", "OCPP A00.FR.511", "OCPP A02.FR.06")
async def test_the_names_come_from_the_inventory_and_never_from_the_csr(bench: Workbench) -> None:
    station = await add_station(bench)
    order = CertificateOrder(STATION, csr=make_csr(common_name="evil.example.org"), station=station)
    issued = await bench.services.issuance.request(ADMIN, order)
    certificate = x509.load_der_x509_certificate(issued.certificate.der)
    assert str(read_name(certificate.subject)) == "O=demo-cpo, CN=SN-0017"
    assert "registration.name.replaced" in {finding.code for finding in issued.findings}
    assert certificate.not_valid_before_utc < bench.clock.now()


@pytest.mark.clause("RFC 5280 6.1")
async def test_the_chain_builds_up_to_the_root(bench: Workbench) -> None:
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=await add_station(bench)))
    leaf, sub, root = map(x509.load_der_x509_certificate, issued.chain)
    leaf.verify_directly_issued_by(sub)
    sub.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    assert all("DEVELOPMENT" in authority.subject.rfc4514_string() for authority in (root, sub))


async def test_a_leaf_never_outlives_its_issuer(bench: Workbench) -> None:
    view = await bench.services.authorities.view(AuthorityId("operator-sub"))
    bench.clock.set(view.not_after - timedelta(days=30))
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=await add_station(bench)))
    assert issued.certificate.not_after == view.not_after


@pytest.mark.clause("RFC 5280 4.1.2.2")
async def test_serial_numbers_are_random_and_of_one_size(bench: Workbench) -> None:
    station = await add_station(bench)
    orders = [CertificateOrder(STATION, csr=make_csr(), station=station) for _ in range(20)]
    serials = {(await bench.services.issuance.request(ADMIN, order)).certificate.serial for order in orders}
    assert len(serials) == 20
    assert {serial.bit_length() for serial in serials} == {127}


async def test_an_rsa_key_gets_an_rsa_chain(bench: Workbench) -> None:
    csr = make_csr(rsa.generate_private_key(65537, 2048))
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=await add_station(bench)))
    assert issued.certificate.issuer == "operator-rsa-sub"


async def test_the_same_key_asking_again_gets_the_same_certificate(bench: Workbench) -> None:
    station, csr = await add_station(bench), make_csr()
    first = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=station))
    again = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=station))
    assert again.is_repeat
    assert again.certificate == first.certificate


async def test_a_revoked_certificate_is_not_handed_out_again(bench: Workbench) -> None:
    station, csr = await add_station(bench), make_csr()
    first = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=station))
    await bench.services.revocation.revoke(ADMIN, first.certificate.id, reason=RevocationReason.SUPERSEDED)
    again = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=station))
    assert again.certificate.id != first.certificate.id


@pytest.mark.clause("OCPP A00.FR.427")
async def test_one_key_in_two_stations_is_refused(bench: Workbench) -> None:
    csr = make_csr()
    await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=await add_station(bench)))
    other = await add_station(bench, "CS-18", "SN-0018")
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=other))
    assert codes(refusal) == {"registration.key.foreign"}


async def test_two_stations_racing_with_one_key_cannot_both_win(bench: Workbench) -> None:
    csr, stations = make_csr(), [await add_station(bench, f"CS-{n}", f"SN-{n}") for n in range(8)]
    orders = (bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=station)) for station in stations)
    outcomes = await asyncio.gather(*orders, return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert all(isinstance(outcome, Refused) for outcome in outcomes if isinstance(outcome, BaseException))


async def test_a_suspended_station_gets_nothing(bench: Workbench) -> None:
    station = await add_station(bench)
    await bench.services.inventory.update_station(ADMIN, station, state=StationState.SUSPENDED)
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=station))
    assert codes(refusal) == {"registration.station.state"}


async def test_an_unknown_station_leaves_an_audit_entry_and_no_intent(bench: Workbench) -> None:
    with pytest.raises(NotFound):
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=StationId("nobody")))
    page = await bench.services.audit.list(ADMIN, object="station:nobody")
    assert [entry.outcome for entry in page.items] == [Outcome.REFUSED]
    assert (await bench.services.issuance.list(ADMIN, CertificateQuery(profile=STATION))).items == ()


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (CertificateOrder(STATION, csr=b"not a csr", station=StationId("CS-17")), None),
        (CertificateOrder(STATION, station=StationId("CS-17")), "issuance.key.source"),
        (CertificateOrder(STATION, csr=make_csr()), "registration.station.missing"),
        (CertificateOrder(STATION, csr=make_csr(), station=StationId("CS-17"), validity_days=5000), "profile.validity"),
        (CertificateOrder(STATION, csr=make_csr(), station=StationId("CS-17"), issuer=AuthorityId("manufacturer-sub")), "issuance.issuer"),
        (CertificateOrder(ProfileId("ocpp/csms-server"), csr=make_csr()), "registration.host.missing"),
        (CertificateOrder(ProfileId("status/ocsp-responder"), csr=make_csr(), common_name="x"), "registration.kind"),
        (CertificateOrder(ProfileId("nonsense"), csr=make_csr()), "profile.unknown"),
    ],
)
async def test_a_wrong_order_is_refused_and_nothing_is_signed(bench: Workbench, order: CertificateOrder, code: str | None) -> None:
    await add_station(bench)
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(ADMIN, order)
    assert code is None or code in codes(refusal)
    assert (await bench.services.issuance.list(ADMIN, CertificateQuery(profile=STATION))).items == ()


async def test_a_key_the_profile_does_not_allow_is_refused_with_a_hint(bench: Workbench) -> None:
    csr = make_csr(ec.generate_private_key(ec.SECP256K1()))  # type: ignore[arg-type]
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=await add_station(bench)))
    assert all(finding.hint for finding in refusal.value.findings if finding.is_error)


async def test_nothing_is_signed_while_the_log_cannot_be_written(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    station, signed = await add_station(bench), []

    async def fail(*_: object) -> None:
        raise LogUnavailable("no space left on device")

    async def sign(order: SigningOrder) -> bytes:
        signed.append(order.purpose)
        return await really_sign(order)

    really_sign = bench.ports.vault.sign
    monkeypatch.setattr(bench.ports.vault, "sign", sign)
    monkeypatch.setattr(bench.ports.tiles, "publish", fail)
    with pytest.raises(LogUnavailable):
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=station))
    assert set(signed) <= {SigningPurpose.LOG}
    assert (await bench.services.issuance.list(ADMIN, CertificateQuery(station=station))).items == ()


async def test_a_vault_that_fails_leaves_a_closed_intent_and_no_certificate(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    station = await add_station(bench)

    async def refuse(order: SigningOrder) -> bytes:
        if order.purpose is SigningPurpose.LOG:
            return await sign(order)
        raise VaultUnavailable("the vault is away")

    sign = bench.ports.vault.sign
    monkeypatch.setattr(bench.ports.vault, "sign", refuse)
    with pytest.raises(VaultUnavailable):
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=station))
    bench.clock.advance(timedelta(hours=1))
    assert (await bench.services.issuance.open_intents(ADMIN)).items == ()
    entries = (await bench.services.audit.list(ADMIN, object=f"station:{station}", outcome="broken")).items
    assert len(entries) == 1


async def test_a_signature_of_another_key_is_discarded(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    station, rogue = await add_station(bench), ec.generate_private_key(ec.SECP256R1())

    async def sign_with_rogue(order: SigningOrder) -> bytes:
        return rogue.sign(order.data, ec.ECDSA(hashes.SHA256()))

    monkeypatch.setattr(bench.ports.vault, "sign", sign_with_rogue)
    with pytest.raises(Broken, match="does not verify"):
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=station))
    assert (await bench.services.issuance.list(ADMIN, CertificateQuery(profile=STATION))).items == ()


async def test_an_enrolment_token_works_once_for_its_station_and_profile(bench: Workbench) -> None:
    station = await add_station(bench)
    _, secret = await bench.services.inventory.create_enrolment_token(ADMIN, station, profile=STATION, valid_hours=1)
    enrolee = bench.caller(await bench.services.access.authenticate(secret))
    await bench.services.issuance.request(enrolee, CertificateOrder(STATION, csr=make_csr(), station=station, enrolment_token=secret))
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.issuance.request(enrolee, CertificateOrder(STATION, csr=make_csr(), station=station, enrolment_token=secret))
    assert codes(refusal) == {"registration.token.used"}


async def test_an_enrolment_token_shows_every_reason_it_does_not_fit(bench: Workbench) -> None:
    station, other = await add_station(bench), await add_station(bench, "CS-18", "SN-0018")
    _, secret = await bench.services.inventory.create_enrolment_token(ADMIN, station, profile=STATION, valid_hours=1)
    bench.clock.advance(timedelta(hours=2))
    order = CertificateOrder(ProfileId("ocpp/station-eku"), csr=make_csr(), station=other, enrolment_token=secret)
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.issuance.request(ADMIN, order)
    assert codes(refusal) == {"registration.token.station", "registration.token.profile", "registration.token.expired"}


async def test_two_requests_racing_for_one_token_issue_one_certificate(bench: Workbench) -> None:
    station = await add_station(bench)
    _, secret = await bench.services.inventory.create_enrolment_token(ADMIN, station, profile=STATION)
    orders = [CertificateOrder(STATION, csr=make_csr(), station=station, enrolment_token=secret) for _ in range(5)]
    outcomes = await asyncio.gather(*(bench.services.issuance.request(ADMIN, order) for order in orders), return_exceptions=True)
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert all(isinstance(outcome, Conflict | NotAuthorised) for outcome in outcomes if isinstance(outcome, BaseException))


async def test_pkcs12_exists_only_where_the_platform_made_the_key(bench: Workbench) -> None:
    order = CertificateOrder(ProfileId("backend/mtls-client"), key_spec=KeySpec.P256, organization="partner", common_name="roaming-hub")
    made_here = (await bench.services.issuance.request(ADMIN, order)).certificate
    sealed = await bench.services.issuance.export_pkcs12(ADMIN, made_here.id, b"a long passphrase")
    key, certificate, more = serialization.pkcs12.load_key_and_certificates(sealed, b"a long passphrase")
    assert key is not None
    assert certificate is not None
    assert len(more) >= 1
    theirs = (
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=await add_station(bench)))
    ).certificate
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.export_pkcs12(ADMIN, theirs.id, b"a long passphrase")
    assert codes(refusal) == {"certificate.key.not_ours"}


@pytest.mark.clause("RFC 9525 6.3", "OCPP A00.FR.510")
async def test_a_server_certificate_carries_its_names_in_cn_and_san(bench: Workbench) -> None:
    order = CertificateOrder(
        ProfileId("ocpp/csms-server"), csr=make_csr(), host="CSMS.example.org", alt_hosts=("ocpp.example.org", "127.0.0.1")
    )
    certificate = x509.load_der_x509_certificate((await bench.services.issuance.request(ADMIN, order)).certificate.der)
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert san.get_values_for_type(x509.DNSName) == ["csms.example.org", "ocpp.example.org"]
    assert [str(address) for address in san.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert read_name(certificate.subject).first("CN") == "csms.example.org"


async def test_every_entry_of_the_trail_is_canonical_and_small(bench: Workbench) -> None:
    await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=await add_station(bench)))
    page = await bench.services.audit.list(ADMIN, limit=100)
    assert page.items
    assert all(len(entry.body) <= 16 * 1024 for entry in page.items)


async def test_a_revoked_sub_ca_issues_nothing_more_and_still_answers_for_what_it_issued(bench: Workbench) -> None:
    station = await add_station(bench)
    issued = (await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=station))).certificate
    sub = await bench.services.authorities.view(AuthorityId("operator-sub"))
    await bench.services.revocation.revoke(ADMIN, sub.authority.certificate, reason=RevocationReason.CA_COMPROMISE)
    order = CertificateOrder(STATION, csr=make_csr(), station=station, issuer=AuthorityId("operator-sub"))
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(ADMIN, order)
    assert codes(refusal) == {"issuance.issuer"}
    assert (await bench.services.status.publish_crl(issued.issuer)).issuer == "operator-sub"


@pytest.mark.clause("OCPP A00.FR.318")
@pytest.mark.parametrize("newer", [KeySpec.MLDSA65, KeySpec.ED25519, KeySpec.RSA2048])
async def test_a_newer_authority_of_another_kind_does_not_take_over_the_stations(bench: Workbench, newer: KeySpec) -> None:
    authorities = bench.services.authorities
    root, sub = AuthorityId("newer-root"), AuthorityId("newer-sub")
    await authorities.create(ADMIN, NewAuthority(root, ROOT_OPERATOR, None, newer, "Newer root", "demo-cpo"))
    await authorities.create(ADMIN, NewAuthority(sub, SUB_OPERATOR, root, newer, "Newer sub", "demo-cpo"))
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=await add_station(bench)))
    assert issued.certificate.issuer == "operator-sub"


async def test_a_key_that_no_pkcs12_file_can_carry_is_refused_before_anything_is_signed(bench: Workbench) -> None:
    order = CertificateOrder(ProfileId("backend/tls-server"), key_spec=KeySpec.MLDSA65, host="backend.example.org")
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(ADMIN, order)
    assert codes(refusal) == {"issuance.key.no_pkcs12"}


async def test_a_tolerated_quirk_is_a_finding_on_the_request_and_in_its_audit_entry(bench: Workbench) -> None:
    station = await add_station(bench)
    quirky = CertificateOrder(STATION, csr=forge_request(version=1), station=station)
    with pytest.raises(Refused) as refusal:
        await bench.services.issuance.request(ADMIN, quirky)
    assert codes(refusal) == {"csr.quirk.version"}
    await bench.services.inventory.update_station(ADMIN, station, csr_tolerant=True)
    issued = await bench.services.issuance.request(ADMIN, quirky)
    assert {(f.code, f.severity) for f in issued.findings} == {("csr.quirk.version", Severity.WARNING)}
    assert issued.entry is not None
    entry = await bench.ports.store.get_audit(issued.entry)
    assert b"csr.quirk.version" in entry.body


async def test_a_refusal_names_what_is_wrong_with_the_station_and_with_the_csr(bench: Workbench) -> None:
    csr = make_csr(ec.generate_private_key(ec.SECP224R1()))
    with pytest.raises(NotFound) as refusal:
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr, station=StationId("nobody")))
    assert codes(refusal) == {"station.unknown", "key.kind"}
    with pytest.raises(NotFound) as refusal:
        await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=csr[:100], station=StationId("nobody")))
    assert codes(refusal) == {"station.unknown", "csr.unreadable"}
