"""A factory line in production: alone, with nobody to agree, it gets what is in its batch and not one certificate more."""

from datetime import timedelta
from pathlib import Path

import pytest

from chargepki.core.access.model import Role, Scope
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.records import CertificateQuery, PartyId, ProfileId, StationId
from chargepki.errors import Conflict, NeedsVotes, NotAuthorised
from chargepki.services.audit import Caller
from chargepki.services.batches import BatchOrder
from chargepki.services.orders import CertificateOrder
from chargepki.testing.workbench import Workbench, open_workbench
from tests.unit.services.test_issuance import make_csr

OF_STATIONS = CertificateQuery(profile=ProfileId("ocpp/station"))


async def order_for(bench: Workbench, line: Caller, number: int) -> CertificateOrder:
    serial = f"SN-2026-{number:04}"
    station = await bench.services.inventory.add_station(line, id=f"CS-{number}", serial_number=serial, operator="demo-cpo")
    return CertificateOrder(ProfileId("ocpp/station"), csr=make_csr(common_name=serial), station=StationId(station.id))


async def test_a_line_gets_what_its_batch_counts_and_nothing_more(tmp_path: Path) -> None:
    async with open_workbench(tmp_path, policy=PRODUCTION) as bench:
        requester = await bench.person("renate", Role.REQUESTER, party="demo-cpo", scope=Scope(parties=frozenset({"demo-cpo"})))
        until = bench.clock.now() + timedelta(days=7)
        order = BatchOrder(PartyId("demo-cpo"), ProfileId("ocpp/station"), frozenset({"SN-2026-"}), 2, until)
        batch = await bench.services.batches.create(requester, order)
        secret = await bench.services.batches.create_token(requester, batch.id)
        line = Caller(await bench.services.access.authenticate(secret), door="test")
        for number in (1, 2):
            issued = await bench.services.issuance.request(line, await order_for(bench, line, number))
            assert (issued.certificate.standing, issued.certificate.party) == (batch.id, "demo-cpo")
        for wait in (timedelta(), timedelta(hours=2)):  # in this hour and in a later one
            bench.clock.advance(wait)
            with pytest.raises((Conflict, NeedsVotes)):
                await bench.services.issuance.request(line, await order_for(bench, line, 3 + wait.seconds))
        with pytest.raises(NotAuthorised):
            await bench.services.inventory.add_station(line, id="CS-9", serial_number="SN-2027-0001", operator="demo-cpo")
        shown = await bench.services.batches.get(requester, batch.id)
        assert (shown.used, shown.count) == (2, 2)
        assert len((await bench.ports.store.list_certificates(OF_STATIONS, now=bench.clock.now())).items) == 2
