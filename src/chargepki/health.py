"""What a node says of itself: its metrics, whether it is ready, and what its monitor found in the log."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from chargepki.adapters.telemetry.http import create_health_app
from chargepki.adapters.telemetry.metrics import Check, Metrics, Reading
from chargepki.adapters.witness.client import Witnesses
from chargepki.app import Services
from chargepki.errors import Broken
from chargepki.ports import Ports
from chargepki.protocols.ocpp.server import OcppApp
from chargepki.services.monitors import Monitor, MonitorReport

_log = structlog.get_logger(__name__)


def health_app(
    ports: Ports,
    services: Services,
    ocpp: OcppApp,
    monitor: Monitor,
    witnesses: Witnesses,
    check_background: Callable[[], Awaitable[None]],
) -> Any:
    """Metrics and readiness. `check_background` raises `Broken` when something that should run for ever has stopped."""

    def read_stations() -> Sequence[Reading]:
        return (Reading("pki_connected_stations", {}, len(ocpp.gateway.sessions())),)

    def read_status() -> Sequence[Reading]:
        health = services.status.health()
        return (
            Reading("pki_ocsp_answers_from_memory", {}, health.answers_from_memory),
            Reading("pki_ocsp_answers_signed", {}, health.answers_signed),
            *(
                Reading("x509_crl_next_update", {"authority": a.id}, a.crl_next_update.timestamp())
                for a in health.authorities
                if a.crl_next_update is not None
            ),
            *(Reading("x509_crl_stale", {"authority": a.id}, float(a.is_stale)) for a in health.authorities),
        )

    def read_log() -> Sequence[Reading]:
        health, report = services.log.health(), monitor.report
        found = () if report is None else [f for f in (*report.findings, *report.overdue) if f.is_error]
        return (
            Reading("pki_log_size", {}, health.size),
            Reading("pki_log_cosigned_size", {}, health.cosigned),
            *(Reading("pki_log_witness_size", {"witness": state.name}, state.size) for state in witnesses.states()),
            Reading("pki_log_monitored_size", {}, 0 if report is None else report.size),
            Reading("pki_log_monitor_findings", {}, len(found)),
        )

    async def check_log() -> None:
        """Not ready when the log cannot go on, or is not the one that was seen before. The former stops every signature, the latter only
        this: an operator decides."""
        if problem := services.log.health().problem:
            raise Broken(problem)
        if (report := monitor.report) is not None and (finding := report.contradiction) is not None:
            raise Broken(f"{finding.code}: {finding.message}")

    async def check_status() -> None:
        for authority in services.status.health().authorities:
            if authority.is_stale or authority.problem:
                raise Broken(f"{authority.id}: {authority.problem or 'its CRL is stale'}")

    metrics = Metrics((read_stations, read_status, read_log))
    ports.notifier.subscribe(metrics.observe)
    return create_health_app(
        metrics,
        (
            Check("store", ports.store.ping),
            Check("log", check_log),
            Check("status", check_status),
            Check("background", check_background),
        ),
    )


def report_look(outcome: MonitorReport | Broken) -> None:
    """What the monitor finds stays in its report; new or not, each minute says that it is there."""
    if isinstance(outcome, Broken):
        _log.error("the monitor could not look at the log", error=str(outcome))
    elif not outcome.is_clean:
        worst = [finding for finding in (*outcome.findings, *outcome.overdue) if finding.is_error]
        _log.critical("the log does not follow its rules", findings=len(worst), first=f"{worst[0].code}: {worst[0].message}")
