"""/sessions: the stations that are connected now."""

from datetime import datetime

from fastapi import APIRouter, Response

from chargepki.api.services import LiveSession
from chargepki.api.shapes import View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.permissions import Permission
from chargepki.core.records import SecurityProfile

router = APIRouter(prefix="/sessions", tags=["sessions"])


class SessionView(View):
    """`certificate` is the client certificate it came with, null under Basic authentication."""

    station: str
    ocpp_version: str
    security_profile: SecurityProfile
    remote: str
    since: datetime
    certificate: str | None


class SessionList(View):
    items: list[SessionView]


@router.get("", summary="List the live sessions of this process", **shown(SessionList))
async def list_sessions(visit: Visiting) -> Response:
    parties = visit.services.audit.parties_of(visit.caller, Permission.INVENTORY_STATION_READ)
    gateway = visit.services.gateway
    sessions = () if gateway is None else tuple(s for s in gateway.sessions() if parties is None or s.party in parties)
    return answer(SessionList(items=[_show(session) for session in sorted(sessions, key=lambda s: s.station)]))


def _show(session: LiveSession) -> SessionView:
    return SessionView(
        station=session.station,
        ocpp_version=session.ocpp_version,
        security_profile=session.security_profile,
        remote=session.remote,
        since=session.connected_at,
        certificate=session.certificate,
    )
