"""Admission: who may open an OCPP connection, with which security profile."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from chargepki.core.records import Certificate, Outcome, ProfileId, SecurityProfile, StationId, StationState
from chargepki.core.revocation import RevocationReason
from chargepki.errors import NotAuthenticated, NotAuthorised, Refused
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN, Workbench
from tests.unit.services.test_issuance import add_station, codes, make_csr

REMOTE = "192.0.2.7:50000"
STATION = ProfileId("ocpp/station")


@dataclass(frozen=True)
class Enrolled:
    bench: Workbench
    station: StationId
    password: str
    certificate: Certificate

    async def by_password(self, password: str | None = None, username: str = "CS-17", station: str = "CS-17") -> SecurityProfile:
        admission = self.bench.services.admission
        return (await admission.admit_basic(station, username, password or self.password, remote=REMOTE)).security_profile

    async def by_certificate(self, station: str = "CS-17", certificate: Certificate | None = None) -> SecurityProfile:
        shown = (certificate or self.certificate).der
        return (await self.bench.services.admission.admit_certificate(station, shown, remote=REMOTE)).security_profile


@pytest.fixture
async def enrolled(bench: Workbench) -> Enrolled:
    station = await add_station(bench)
    password = await bench.services.inventory.set_password(ADMIN, station)
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=make_csr(), station=station))
    return Enrolled(bench, station, password, issued.certificate)


async def refusals(bench: Workbench, station: str = "CS-17") -> list[Outcome]:
    return [entry.outcome for entry in (await bench.services.audit.list(ADMIN, object=f"station:{station}", outcome="refused")).items]


@pytest.mark.clause("OCPP A00.FR.204")
async def test_the_right_password_opens_profile_2(enrolled: Enrolled) -> None:
    assert await enrolled.by_password() is SecurityProfile.TLS_BASIC


@pytest.mark.clause("OCPP A00.FR.205")
async def test_the_octets_that_the_hex_password_stands_for_are_taken_too(enrolled: Enrolled) -> None:
    octets = bytes.fromhex(enrolled.password).decode("latin-1")
    assert await enrolled.by_password(octets) is SecurityProfile.TLS_BASIC


@pytest.mark.parametrize(("username", "password"), [("CS-17", "wrong"), ("CS-18", None), ("cs-17", None), ("", None), ("CS-17", "-")])
async def test_wrong_credentials_are_refused_alike_and_put_on_record(enrolled: Enrolled, username: str, password: str | None) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        await enrolled.by_password(password, username)
    assert codes(refusal) == {"admission.password"}
    assert await refusals(enrolled.bench) == [Outcome.REFUSED]


async def test_a_station_without_a_password_and_an_unknown_one_get_the_same_answer(enrolled: Enrolled) -> None:
    await add_station(enrolled.bench, "CS-18", "SN-0018")
    for station in ("CS-18", "nobody"):
        with pytest.raises(NotAuthenticated) as refusal:
            await enrolled.by_password("-", station, station)
        assert codes(refusal) == {"admission.password"}


async def test_an_old_password_ends_when_a_new_one_is_made(enrolled: Enrolled) -> None:
    await enrolled.bench.services.inventory.set_password(ADMIN, enrolled.station)
    with pytest.raises(NotAuthenticated):
        await enrolled.by_password()


@pytest.mark.clause("OCPP A00.FR.402", "OCPP A00.FR.404", "OCPP A00.FR.405")
async def test_its_certificate_opens_profile_3(enrolled: Enrolled) -> None:
    assert await enrolled.by_certificate() is SecurityProfile.MUTUAL_TLS


@pytest.mark.clause("OCPP A05.FR.07")
async def test_after_mutual_tls_there_is_no_way_back_but_the_operators(enrolled: Enrolled) -> None:
    await enrolled.by_certificate()
    with pytest.raises(NotAuthorised) as refusal:
        await enrolled.by_password()
    assert codes(refusal) == {"admission.profile.downgrade"}
    await enrolled.bench.services.inventory.update_station(ADMIN, enrolled.station, security_profile=SecurityProfile.TLS_BASIC)
    assert await enrolled.by_password() is SecurityProfile.TLS_BASIC


async def test_the_first_mutual_tls_connection_is_on_record_as_a_change(enrolled: Enrolled) -> None:
    await enrolled.by_certificate()
    [entry] = (await enrolled.bench.services.audit.list(ADMIN, action="station:session:open", outcome="done")).items
    assert b'"security_profile":{"from":"2","to":"3"}' in entry.body


@pytest.mark.clause("OCPP A00.FR.405", "OCPP A00.FR.407")
async def test_the_certificate_of_another_station_is_refused(enrolled: Enrolled) -> None:
    await add_station(enrolled.bench, "CS-18", "SN-0018")
    with pytest.raises(NotAuthorised) as refusal:
        await enrolled.by_certificate("CS-18")
    assert codes(refusal) == {"admission.certificate.station", "admission.certificate.cn"}
    assert await refusals(enrolled.bench, "CS-18") == [Outcome.REFUSED]


@pytest.mark.parametrize("reason", [RevocationReason.KEY_COMPROMISE, RevocationReason.CERTIFICATE_HOLD])
@pytest.mark.clause("OCPP A00.FR.703")
async def test_a_revoked_or_held_certificate_is_refused(enrolled: Enrolled, reason: RevocationReason) -> None:
    await enrolled.bench.services.revocation.revoke(ADMIN, enrolled.certificate.id, reason=reason)
    with pytest.raises(NotAuthorised) as refusal:
        await enrolled.by_certificate()
    assert codes(refusal) == {"admission.certificate.revoked"}


async def test_a_released_certificate_opens_again(enrolled: Enrolled) -> None:
    revocation = enrolled.bench.services.revocation
    await revocation.revoke(ADMIN, enrolled.certificate.id, reason=RevocationReason.CERTIFICATE_HOLD)
    await revocation.release(ADMIN, enrolled.certificate.id)
    assert await enrolled.by_certificate() is SecurityProfile.MUTUAL_TLS


async def test_an_expired_certificate_is_refused(enrolled: Enrolled) -> None:
    enrolled.bench.clock.advance(timedelta(days=400))
    with pytest.raises(NotAuthorised) as refusal:
        await enrolled.by_certificate()
    assert codes(refusal) == {"admission.certificate.validity"}


async def test_a_certificate_of_another_profile_is_no_stations(enrolled: Enrolled) -> None:
    order = CertificateOrder(ProfileId("backend/mtls-client"), csr=make_csr(), organization="demo-cpo", common_name="SN-0017")
    backend = (await enrolled.bench.services.issuance.request(ADMIN, order)).certificate
    with pytest.raises(NotAuthorised) as refusal:
        await enrolled.by_certificate(certificate=backend)
    assert "admission.certificate.profile" in codes(refusal)


async def test_octets_that_are_no_certificate_are_refused(enrolled: Enrolled) -> None:
    with pytest.raises(Refused):
        await enrolled.bench.services.admission.admit_certificate("CS-17", b"\x30\x03\x02\x01\x01", remote=REMOTE)
    altered = enrolled.certificate.der[:-1] + bytes([enrolled.certificate.der[-1] ^ 1])
    with pytest.raises(NotAuthenticated) as refusal:
        await enrolled.bench.services.admission.admit_certificate("CS-17", altered, remote=REMOTE)
    assert codes(refusal) == {"admission.certificate.unknown"}


@pytest.mark.parametrize("state", [StationState.SUSPENDED, StationState.DECOMMISSIONED])
async def test_a_station_out_of_service_may_not_connect(enrolled: Enrolled, state: StationState) -> None:
    admitted = await enrolled.bench.services.admission.admit_certificate("CS-17", enrolled.certificate.der, remote=REMOTE)
    await enrolled.bench.services.inventory.update_station(ADMIN, enrolled.station, state=state)
    for attempt in (enrolled.by_certificate(), enrolled.bench.services.admission.check_still_admitted(admitted)):
        with pytest.raises(NotAuthorised) as refusal:
            await attempt
        assert codes(refusal) == {"admission.station.state"}


@pytest.mark.clause("OCPP A00.FR.407")
async def test_a_failed_handshake_is_on_record_with_who_and_why(enrolled: Enrolled) -> None:
    admission = enrolled.bench.services.admission
    await admission.refuse_handshake(
        remote=REMOTE, reason="unable to get local issuer certificate", certificate_der=enrolled.certificate.der
    )
    [entry] = (await enrolled.bench.services.audit.list(ADMIN, object="handshake:*")).items
    assert entry.outcome is Outcome.REFUSED
    assert b"unable to get local issuer" in entry.body
    assert b"CN=SN-0017" in entry.body
