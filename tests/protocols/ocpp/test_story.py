"""From a password to mutual TLS, and out again, in every version."""

import pytest

from chargepki.core.bundle import OcppVersion
from chargepki.core.records import SecurityProfile, StationId
from chargepki.core.revocation import RevocationReason
from chargepki.testing.station.identity import KeyKind
from chargepki.testing.station.link import UpgradeRefused
from chargepki.testing.station.simulator import Habits
from chargepki.testing.workbench import ADMIN

from .conftest import Endpoint

VERSIONS = pytest.mark.parametrize("version", list(OcppVersion))


@VERSIONS
@pytest.mark.clause("OCPP A02", "OCPP A05", "OCPP A00.FR.401", "OCPP A00.FR.703")
async def test_a_station_goes_from_its_password_to_mutual_tls_and_is_cut_off_when_its_certificate_is_revoked(
    endpoint: Endpoint, version: OcppVersion
) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator(version=version) as station:
        await station.connect_basic(password)
        booted = await station.boot()
        assert booted["status"] == "Accepted"
        certificate = await station.wait_for_certificate()
        assert station.state.organization == "demo-cpo"
        await station.wait_for_upgrade()

        await station.connect_mutual_tls()
        await station.boot()
        [live] = endpoint.gateway.sessions()
        assert (live.security_profile, live.ocpp_version) == (SecurityProfile.MUTUAL_TLS, version.value)
        assert live.certificate is not None

        await endpoint.bench.services.revocation.revoke(ADMIN, live.certificate, reason=RevocationReason.KEY_COMPROMISE)
        closed = await station.wait_closed(1.0)
        assert closed.code == 1008
        with pytest.raises(UpgradeRefused) as refused:
            await station.connect_mutual_tls(certificate)
        assert refused.value.status == 403
        with pytest.raises(UpgradeRefused) as downgraded:
            await station.connect_basic(password)
        assert downgraded.value.status == 403
    assert any(b"admission.certificate.revoked" in entry.body for entry in await endpoint.refusals())
    assert any(b"admission.profile.downgrade" in entry.body for entry in await endpoint.refusals())


@pytest.mark.clause("OCPP A00.FR.318", "OCPP A00.FR.421")
async def test_a_station_with_rsa_keys_and_rsa_suites_only_gets_an_rsa_certificate(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    habits = Habits(key_kind=KeyKind.RSA, server_kind=KeyKind.RSA)
    async with endpoint.simulator(habits=habits) as station:
        await station.connect_basic(password)
        await station.boot()
        certificate = await station.wait_for_certificate()
        await station.connect_mutual_tls()
        await station.heartbeat()
    assert "RSA" in certificate.leaf.signature_algorithm_oid._name.upper()


async def test_a_station_that_wants_the_root_gets_it_when_the_inventory_says_so(endpoint: Endpoint) -> None:
    password = await endpoint.add_station(include_root=True)
    async with endpoint.simulator(habits=Habits(needs_root=True)) as station:
        await station.connect_basic(password)
        await station.boot()
        assert len((await station.wait_for_certificate()).chain) == 3


async def test_an_operator_can_ask_a_connected_station_for_a_new_certificate(endpoint: Endpoint) -> None:
    password = await endpoint.add_station()
    async with endpoint.simulator() as station:
        await station.connect_basic(password)
        await station.boot()
        first = await station.wait_for_certificate()
        outcome = await endpoint.gateway.trigger_certificate(StationId("CS-17"))
        assert outcome.is_accepted
        second = await station.wait_for_certificate()
    assert first.leaf.serial_number != second.leaf.serial_number
