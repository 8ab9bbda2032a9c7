"""/stations: the inventory, and what a station is given to get in."""

from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field, StrictBool

from chargepki.api.shapes import PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, TextQuery, View, answer, shown
from chargepki.api.visit import ShownOnce, Visit, Visiting
from chargepki.core.access.permissions import Permission
from chargepki.core.records import ProfileId, SecurityEvent, SecurityProfile, Station, StationId, StationState
from chargepki.errors import Finding, NotFound
from chargepki.services.scoping import resource_of_station

IDENTITY_CHARS_MAX: Final = 48  # OCPP 2.0.1 SecurityCtrlr.Identity
NAME_CHARS_MAX: Final = 64
TOKEN_HOURS_MAX: Final = 24 * 365
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"

router = APIRouter(prefix="/stations", tags=["stations"])


class StationOrder(Order):
    id: str = Field(min_length=1, max_length=IDENTITY_CHARS_MAX, pattern=_PRINTABLE, description="the OCPP identity", examples=["CS-17"])
    serial_number: str = Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=_PRINTABLE, description="becomes the CN of its certificate")
    operator: str = Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=_PRINTABLE, description="becomes the O of its certificate")
    csr_tolerant: StrictBool = Field(False, description="accept the known quirks of field devices in its CSRs")
    include_root: StrictBool = Field(False, description="send the root with its chain")


class StationChange(Order):
    """What is left out stays as it is."""

    state: StationState | None = None
    security_profile: SecurityProfile | None = None
    csr_tolerant: StrictBool | None = None
    include_root: StrictBool | None = None


class EnrolmentOrder(Order):
    profile: Id = "ocpp/station"
    valid_hours: int = Field(72, ge=1, le=TOKEN_HOURS_MAX)


class StationView(View):
    id: str
    serial_number: str
    operator: str
    state: StationState
    security_profile: SecurityProfile
    ocpp_version: str
    vendor: str
    model: str
    firmware: str
    csr_tolerant: bool
    include_root: bool
    has_password: bool
    is_connected: bool
    created_at: datetime
    last_seen: datetime | None
    version: int
    party: str


class PasswordView(View):
    station: str
    password: str


class EnrolmentTokenView(View):
    id: str
    station: str
    profile: str
    expires_at: datetime
    created_at: datetime
    secret: str


class SecurityEventView(View):
    id: str
    station: str
    type: str
    at: datetime
    received_at: datetime
    is_critical: bool
    tech_info: str


class TriggerView(View):
    """`answer` is the station's own word: Accepted, Rejected, NotImplemented."""

    station: str
    answer: str


@router.get("", summary="List stations by id", **shown(PageView[StationView]))
async def list_stations(
    visit: Visiting,
    text: TextQuery = "",
    operator: TextQuery = "",
    state: StationState | None = None,
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE,
) -> Response:
    page = await visit.services.inventory.list_stations(
        visit.caller, text=text, operator=operator, state=state or "", cursor=cursor, limit=limit
    )
    connected = _connected(visit)
    return answer(PageView(items=[_show(station, connected) for station in page.items], next=page.next or None))


@router.post("", summary="Add a station to the inventory", **shown(StationView, 201, "Added"))
async def add_station(body: StationOrder, visit: Visiting) -> Response:
    station = await visit.services.inventory.add_station(
        visit.caller,
        id=StationId(body.id),
        serial_number=body.serial_number,
        operator=body.operator,
        csr_tolerant=body.csr_tolerant,
        include_root=body.include_root,
    )
    return answer(_show(station, _connected(visit)), 201, location=f"/api/v1/stations/{station.id}")


@router.get("/{id}", summary="Show a station", **shown(StationView))
async def get_station(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.inventory.get_station(visit.caller, StationId(id)), _connected(visit)))


@router.patch("/{id}", summary="Change a station", **shown(StationView))
async def update_station(id: IdPath, body: StationChange, visit: Visiting) -> Response:
    station = await visit.services.inventory.update_station(
        visit.caller,
        StationId(id),
        state=body.state,
        csr_tolerant=body.csr_tolerant,
        include_root=body.include_root,
        security_profile=body.security_profile,
    )
    return answer(_show(station, _connected(visit)))


@router.post(
    "/{id}/password",
    summary="Give a station a fresh Basic password",
    dependencies=[ShownOnce],
    **shown(PasswordView, 201, "Set", secret=True),
)
async def set_password(id: IdPath, visit: Visiting) -> Response:
    password = await visit.services.inventory.set_password(visit.caller, StationId(id))
    return answer(PasswordView(station=id, password=password), 201)


@router.post(
    "/{id}/enrolment-tokens",
    summary="Make a one-time token for one certificate",
    dependencies=[ShownOnce],
    **shown(EnrolmentTokenView, 201, "Made", secret=True),
)
async def create_enrolment_token(id: IdPath, body: EnrolmentOrder, visit: Visiting) -> Response:
    token, secret = await visit.services.inventory.create_enrolment_token(
        visit.caller, StationId(id), profile=ProfileId(body.profile), valid_hours=body.valid_hours
    )
    view = EnrolmentTokenView(
        id=token.id,
        station=token.station,
        profile=token.profile,
        expires_at=token.expires_at,
        created_at=token.created_at,
        secret=secret,
    )
    return answer(view, 201)


@router.get("/{id}/security-events", summary="List a station's security events, newest first", **shown(PageView[SecurityEventView]))
async def list_security_events(id: IdPath, visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.inventory.list_security_events(visit.caller, StationId(id), cursor=cursor, limit=limit)
    return answer(PageView(items=[_show_event(event) for event in page.items], next=page.next or None))


@router.post("/{id}/certificate-trigger", summary="Ask a connected station for a CSR", **shown(TriggerView, 202, "Asked"))
async def trigger_certificate(id: IdPath, visit: Visiting) -> Response:
    services, station = visit.services, StationId(id)
    known = await services.inventory.get_station(visit.caller, station)
    resource = resource_of_station(known, None)
    act = visit.caller.act(Permission.STATION_COMMAND, f"station:{station}", resource=resource, command="certificate-trigger")
    async with services.audit.act(act) as opened:
        if services.gateway is None:
            raise NotFound(
                Finding("station.not_connected", f"{station} is not connected here", hint="this process has no station endpoint")
            )
        said = await services.gateway.trigger_certificate(station)
        await services.ports.store.commit(opened.done())
    return answer(TriggerView(station=station, answer=said.status), 202)


def _connected(visit: Visit) -> frozenset[StationId]:
    gateway = visit.services.gateway
    return frozenset() if gateway is None else frozenset(session.station for session in gateway.sessions())


def _show(station: Station, connected: frozenset[StationId]) -> StationView:
    return StationView(
        id=station.id,
        serial_number=station.serial_number,
        operator=station.operator,
        state=station.state,
        security_profile=station.security_profile,
        ocpp_version=station.ocpp_version,
        vendor=station.vendor,
        model=station.model,
        firmware=station.firmware,
        csr_tolerant=station.csr_tolerant,
        include_root=station.include_root,
        has_password=bool(station.password_hash),
        is_connected=station.id in connected,
        created_at=station.created_at,
        last_seen=station.last_seen,
        version=station.version,
        party=station.party,
    )


def _show_event(event: SecurityEvent) -> SecurityEventView:
    return SecurityEventView(
        id=event.id,
        station=event.station,
        type=event.type,
        at=event.at,
        received_at=event.received_at,
        is_critical=event.is_critical,
        tech_info=event.tech_info,
    )
