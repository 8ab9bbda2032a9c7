"""Prometheus metrics. Label values are few by construction: profiles, outcomes, authorities; never a serial number or a station."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector

from chargepki.errors import Broken
from chargepki.ports import CertificateIssued, CertificateStatusChanged, Event


@dataclass(frozen=True, slots=True)
class Reading:
    """A gauge's value, taken when somebody asks."""

    name: str
    labels: dict[str, str]
    value: float


class Metrics:
    """Counts committed events, and reads gauges from `sources` at every scrape."""

    def __init__(self, sources: Sequence[Callable[[], Sequence[Reading]]] = ()) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._issued = Counter("pki_certificates_issued", "Certificates issued", ["profile"], registry=self._registry)
        self._status = Counter("pki_certificate_status_changes", "Revocations, holds, releases", ["kind"], registry=self._registry)
        self._emergencies = Counter("pki_emergency_holds", "Certificates that one person has held alone", registry=self._registry)
        self._gauges: dict[str, Gauge] = {}
        self._sources = sources

    def observe(self, event: Event) -> None:
        match event:
            case CertificateIssued(certificate):
                self._issued.labels(certificate.profile).inc()
            case CertificateStatusChanged(event=change):
                self._status.labels(change.kind).inc()
                if change.until is not None:
                    self._emergencies.inc()
            case _:
                pass

    def render(self) -> bytes:
        for source in self._sources:
            for reading in source():
                gauge = self._gauge(reading)
                (gauge.labels(**reading.labels) if reading.labels else gauge).set(reading.value)
        return generate_latest(self._registry)

    def _gauge(self, reading: Reading) -> Gauge:
        if reading.name not in self._gauges:
            self._gauges[reading.name] = Gauge(
                reading.name, reading.name.replace("_", " "), sorted(reading.labels), registry=self._registry
            )
        return self._gauges[reading.name]


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of readiness. `run` raises `Broken` when it does not hold."""

    name: str
    run: Callable[[], Awaitable[None]]


async def find_unready(checks: Sequence[Check]) -> tuple[str, ...]:
    """One line for each check that fails; none means ready."""
    failed = []
    for check in checks:
        try:
            await check.run()
        except Broken as broken:
            failed.append(f"{check.name}: {broken}")
    return tuple(failed)


CONTENT_TYPE = CONTENT_TYPE_LATEST
