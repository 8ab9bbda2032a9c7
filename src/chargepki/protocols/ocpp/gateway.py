"""The live connections: one per station, closed when the station or its certificate loses the right to speak."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from chargepki.core.rates import RateWindow
from chargepki.core.records import CertificateEventKind, CertificateId, StationId, StationState
from chargepki.errors import Broken, NotFound
from chargepki.ports import CertificateStatusChanged, Event, StationChanged
from chargepki.protocols.ocpp.actions.context import NoAnswer
from chargepki.protocols.ocpp.canonical import Outcome
from chargepki.protocols.ocpp.certificates import ask_for_request
from chargepki.protocols.ocpp.security_events import GatewayEvent
from chargepki.protocols.ocpp.services import OcppServices
from chargepki.protocols.ocpp.session import CloseCode, Disconnected, Session, SessionView

SIGNINGS_PER_HOUR_MAX: Final = 12  # one station; A02.FR.18 doubles the wait between retries, so a healthy one stays far below
EVENTS_PER_MINUTE_MAX: Final = 60  # one station; each is kept for good, and a healthy one reports a few a day
STATIONS_REMEMBERED_MAX: Final = 50_000  # for the limits above

_log = structlog.get_logger(__name__)
_ENDED: Final = (CertificateEventKind.REVOKED, CertificateEventKind.HELD)
_SHUT_OUT: Final = (StationState.SUSPENDED, StationState.DECOMMISSIONED)


class Gateway:
    def __init__(self, services: OcppServices) -> None:
        self.signing_rate = RateWindow(limit=SIGNINGS_PER_HOUR_MAX, seconds=3600, keys_max=STATIONS_REMEMBERED_MAX)
        self.event_rate = RateWindow(limit=EVENTS_PER_MINUTE_MAX, seconds=60, keys_max=STATIONS_REMEMBERED_MAX)
        self.orders: set[asyncio.Task[object]] = set()
        self._by_station: dict[StationId, Session] = {}
        self._by_certificate: dict[CertificateId, Session] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closings: set[asyncio.Task[None]] = set()
        services.notifier.subscribe(self._hear)

    def sessions(self) -> tuple[SessionView, ...]:
        return tuple(session.view() for session in self._by_station.values())

    async def trigger_certificate(self, station: StationId) -> Outcome:
        """Asks a connected station for a CSR (OCPP A02). `NotFound` when it is not connected; a silent one has the outcome NoAnswer.

        The caller has authorised this (`Permission.STATION_COMMAND`).
        """
        session = self._by_station.get(station)
        try:
            if session is not None:
                return await ask_for_request(session.context)
        except NoAnswer:
            return Outcome("NoAnswer", "the station did not answer in time")
        except Disconnected:
            pass
        raise NotFound.because("ocpp.station.not_connected", f"{station} is not connected", hint=f"chargepki station show {station}")

    async def close_station(self, station: StationId, reason: str) -> bool:
        """True when there was a connection to close."""
        session = self._by_station.get(station)
        if session is None:
            return False
        await session.close(CloseCode.POLICY, reason)
        return True

    async def stop(self) -> None:
        """Ends every connection and waits until issuance that is under way has committed. Call it before the store closes."""
        sessions = tuple(self._by_station.values())
        await asyncio.gather(*(session.close(CloseCode.GOING_AWAY, "the server is stopping") for session in sessions))
        await asyncio.gather(*self.orders, return_exceptions=True)

    async def serve(self, session: Session) -> None:
        """Runs a fresh connection as the station's only one, to its end."""
        await self._attach(session)
        view = session.view()
        log = _log.bind(station=view.station, remote=view.remote, version=view.ocpp_version, profile=view.security_profile.value)
        log.info("station connected")
        try:
            await session.run()
        finally:
            self._detach(session)
            log.info("station disconnected", code=session.close_code)

    async def _attach(self, session: Session) -> None:
        self._loop = asyncio.get_running_loop()
        older = self._by_station.get(session.station.id)
        self._by_station[session.station.id] = session
        certificate = session.context.admitted.certificate
        if certificate is not None:
            self._by_certificate[certificate.id] = session
        if older is not None:
            self._close_soon(older, "a newer connection took over", CloseCode.REPLACED)  # not awaited: the older peer may be dead
            with suppress(Broken):  # the newer connection is served all the same: it is the one that authenticated last
                note = f"from {older.context.remote} replaced by {session.context.remote}"
                await session.context.record_here(GatewayEvent.DUPLICATE_CONNECTION, note)

    def _detach(self, session: Session) -> None:
        if self._by_station.get(session.station.id) is session:
            del self._by_station[session.station.id]
        certificate = session.context.admitted.certificate
        if certificate is not None and self._by_certificate.get(certificate.id) is session:
            del self._by_certificate[certificate.id]

    def _hear(self, event: Event) -> None:
        """Any thread may publish; connections belong to the loop that serves them."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._act_on, event)

    def _act_on(self, event: Event) -> None:
        match event:
            case CertificateStatusChanged(change) if change.kind in _ENDED:
                session = self._by_certificate.get(change.certificate)
                if session is not None:
                    self._close_soon(session, f"certificate {change.kind}")
            case StationChanged(station) if station.id in self._by_station:
                session = self._by_station[station.id]
                session.context.station = station
                if station.state in _SHUT_OUT:
                    self._close_soon(session, f"station {station.state}")
                elif station.security_profile > session.context.admitted.security_profile:  # OCPP A00.FR.002
                    self._close_soon(session, f"security profile {station.security_profile} is required")
            case _:
                pass

    def _close_soon(self, session: Session, reason: str, code: int = CloseCode.POLICY) -> None:
        _log.info("closing", station=session.station.id, reason=reason)
        task = asyncio.ensure_future(session.close(code, reason))
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)
