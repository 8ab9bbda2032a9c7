"""A station's connection stands on what is true now: its password, its certificate, and every authority above that."""

import asyncio
import threading
from dataclasses import replace
from unittest.mock import patch

import pytest

from chargepki.core.records import AuthorityId, Outcome, ProfileId, SecurityProfile, StationId
from chargepki.core.revocation import RevocationReason
from chargepki.errors import NotAuthenticated, NotAuthorised, Refused, TooMany
from chargepki.services import admission as admissions
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import ADMIN, Workbench
from tests.unit.core.csr_forge import forge_request

REMOTE = "192.0.2.7:4711"
STATION = ProfileId("ocpp/station")


async def add_station(bench: Workbench, id: str = "CS-17") -> tuple[StationId, str]:
    inventory = bench.services.inventory
    station = await inventory.add_station(ADMIN, id=id, serial_number=f"SN-{id}", operator="demo-cpo")
    return station.id, await inventory.set_password(ADMIN, station.id)


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    return {finding.code for finding in refusal.value.findings}


@pytest.mark.clause("OCPP A00.FR.703", "RFC 5280 6.1.3")
async def test_a_revoked_authority_takes_its_stations_along(bench: Workbench) -> None:
    station, _ = await add_station(bench)
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=forge_request(), station=station))
    admitted = await bench.services.admission.admit_certificate(station, issued.certificate.der, remote=REMOTE)
    sub = (await bench.services.authorities.view(AuthorityId("operator-sub"))).authority
    await bench.services.revocation.revoke(ADMIN, sub.certificate, reason=RevocationReason.CA_COMPROMISE)
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.admission.admit_certificate(station, issued.certificate.der, remote=REMOTE)
    assert codes(refusal) == {"admission.certificate.issuer_revoked"}
    with pytest.raises(NotAuthorised):
        await bench.services.admission.check_still_admitted(admitted)


@pytest.mark.parametrize(
    "order",
    [
        CertificateOrder(ProfileId("backend/mtls-client"), common_name="SN-CS-17", organization="demo-cpo"),
        CertificateOrder(ProfileId("ocpp/csms-server"), host="cs-17.example.org", organization="demo-cpo"),
        CertificateOrder(ProfileId("ocpp/local-controller"), host="cs-17.example.org", organization="demo-cpo"),
        CertificateOrder(ProfileId("ocpp/manufacturer-initial"), common_name="SN-CS-17", organization="demo-cpo"),
        CertificateOrder(STATION, station=StationId("CS-18")),
    ],
    ids=lambda order: f"{order.profile}-{order.station or order.host or order.common_name}",
)
async def test_no_other_certificate_of_ours_speaks_for_a_station(bench: Workbench, order: CertificateOrder) -> None:
    await add_station(bench)
    await add_station(bench, "CS-18")
    issued = await bench.services.issuance.request(ADMIN, replace(order, csr=forge_request()))
    with pytest.raises(NotAuthorised):
        await bench.services.admission.admit_certificate("CS-17", issued.certificate.der, remote=REMOTE)
    assert (await bench.ports.store.get_station(StationId("CS-17"))).security_profile is SecurityProfile.TLS_BASIC


async def test_the_certificate_of_an_authority_is_no_stations(bench: Workbench) -> None:
    await add_station(bench)
    for view in await bench.services.authorities.views():
        with pytest.raises(Refused):
            await bench.services.admission.admit_certificate("CS-17", view.certificate_der, remote=REMOTE)


async def test_a_changed_password_ends_the_connection_that_used_the_old_one(bench: Workbench) -> None:
    station, password = await add_station(bench)
    admitted = await bench.services.admission.admit_basic(station, station, password, remote=REMOTE)
    await bench.services.admission.check_still_admitted(admitted)
    await bench.services.inventory.set_password(ADMIN, station)
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.admission.check_still_admitted(admitted)
    assert codes(refusal) == {"admission.password.changed"}


@pytest.mark.clause("OCPP A05.FR.07")
async def test_a_password_connection_ends_once_the_station_has_used_its_certificate(bench: Workbench) -> None:
    station, password = await add_station(bench)
    admitted = await bench.services.admission.admit_basic(station, station, password, remote=REMOTE)
    issued = await bench.services.issuance.request(ADMIN, CertificateOrder(STATION, csr=forge_request(), station=station))
    await bench.services.admission.admit_certificate(station, issued.certificate.der, remote=REMOTE)
    with pytest.raises(NotAuthorised) as refusal:
        await bench.services.admission.check_still_admitted(admitted)
    assert codes(refusal) == {"admission.profile.downgrade"}


async def test_a_thousand_wrong_passwords_at_once_take_the_memory_of_two(bench: Workbench) -> None:
    await add_station(bench)
    lock, running, peak = threading.Lock(), 0, 0
    check = admissions.is_password_valid

    def counted(password: str, phc: str) -> bool:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        try:
            return check(password, phc)
        finally:
            with lock:
                running -= 1

    with patch.object(admissions, "is_password_valid", counted):
        tries = (bench.services.admission.admit_basic(f"CS-{n}", f"CS-{n}", "wrong", remote=f"192.0.2.{n % 250}:1") for n in range(1000))
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert peak <= admissions.PASSWORD_CHECKS_MAX
    assert {type(outcome) for outcome in outcomes} == {NotAuthenticated, TooMany}


async def test_strangers_cannot_fill_the_audit_trail(bench: Workbench) -> None:
    admission, store = bench.services.admission, bench.ports.store
    for n in range(500):
        await admission.refuse_handshake(remote=f"192.0.2.{n % 2}", reason="unknown ca", certificate_der=None)
    found, cursor = [], ""
    while True:
        page = await store.list_audit(outcome=Outcome.REFUSED, cursor=cursor, limit=500)
        found += page.items
        if not (cursor := page.next):
            break
    assert 60 <= len(found) <= 150


async def test_what_went_unrecorded_is_counted_in_the_next_entry(bench: Workbench) -> None:
    admission, store = bench.services.admission, bench.ports.store
    for _ in range(100):
        await admission.refuse_handshake(remote="192.0.2.1", reason="unknown ca", certificate_der=None)
    await admission.refuse_handshake(remote="192.0.2.2", reason="unknown ca", certificate_der=None)
    (newest, *_) = (await store.list_audit(outcome=Outcome.REFUSED, limit=1)).items
    assert b'"unrecorded":"40"' in newest.body
    assert b"192.0.2.2" in newest.private
