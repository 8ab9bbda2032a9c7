"""What a scraper and a load balancer see."""

from collections.abc import Sequence

import httpx

from chargepki.adapters.telemetry.http import create_health_app
from chargepki.adapters.telemetry.metrics import Check, Metrics, Reading
from chargepki.errors import StoreUnavailable


def readings() -> Sequence[Reading]:
    return (Reading("pki_connected_stations", {}, 3), Reading("x509_crl_stale", {"authority": "operator-sub"}, 0))


def speaking_to(*checks: Check) -> httpx.AsyncClient:
    app = create_health_app(Metrics((readings,)), checks)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://health")


async def test_gauges_are_read_at_every_scrape_with_and_without_labels() -> None:
    async with speaking_to() as http:
        first, second = await http.get("/metrics"), await http.get("/metrics")
    assert first.status_code == second.status_code == 200
    assert "pki_connected_stations 3.0" in second.text
    assert 'x509_crl_stale{authority="operator-sub"} 0.0' in second.text
    assert "process_resident_memory_bytes" in second.text


async def test_readiness_says_what_is_away_while_liveness_goes_on() -> None:
    async def is_away() -> None:
        raise StoreUnavailable("the database does not answer")

    async with speaking_to(Check("store", is_away)) as http:
        ready, live = await http.get("/readyz"), await http.get("/livez")
    assert (ready.status_code, ready.text) == (503, "store: the database does not answer\n")
    assert live.status_code == 200
