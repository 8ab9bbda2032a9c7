"""The station inventory, and the stations that are connected now."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from chargepki.client.paging import iterate
from chargepki.client.transport import Transport
from chargepki.client.wire import decode


@dataclass(frozen=True, slots=True)
class Station:
    id: str
    serial_number: str
    operator: str
    state: str
    security_profile: str
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


@dataclass(frozen=True, slots=True)
class StationPassword:
    station: str
    password: str


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    id: str
    station: str
    profile: str
    expires_at: datetime
    created_at: datetime
    secret: str


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    id: str
    station: str
    type: str
    at: datetime
    received_at: datetime
    is_critical: bool
    tech_info: str


@dataclass(frozen=True, slots=True)
class Trigger:
    station: str
    answer: str


@dataclass(frozen=True, slots=True)
class Session:
    station: str
    ocpp_version: str
    security_profile: str
    remote: str
    since: datetime
    certificate: str | None


class Stations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def add(self, *, id: str, serial_number: str, operator: str, csr_tolerant: bool = False, include_root: bool = False) -> Station:
        body = {
            "id": id,
            "serial_number": serial_number,
            "operator": operator,
            "csr_tolerant": csr_tolerant,
            "include_root": include_root,
        }
        return decode(Station, await self._transport.post("/stations", body))

    def list(self, *, text: str = "", operator: str = "", state: str = "") -> AsyncIterator[Station]:
        return iterate(self._transport, Station, "/stations", text=text, operator=operator, state=state)

    async def get(self, id: str) -> Station:
        return decode(Station, await self._transport.get(_path(id)))

    async def update(
        self,
        id: str,
        *,
        state: str | None = None,
        security_profile: str | None = None,
        csr_tolerant: bool | None = None,
        include_root: bool | None = None,
    ) -> Station:
        """None leaves a field as it is."""
        given = {"state": state, "security_profile": security_profile, "csr_tolerant": csr_tolerant, "include_root": include_root}
        body = {name: value for name, value in given.items() if value is not None}
        return decode(Station, (await self._transport.call("PATCH", _path(id), body=body)).json())

    async def set_password(self, id: str) -> StationPassword:
        return decode(StationPassword, await self._transport.post(f"{_path(id)}/password"))

    async def create_enrolment_token(self, id: str, *, profile: str = "ocpp/station", valid_hours: int = 72) -> EnrolmentToken:
        body = {"profile": profile, "valid_hours": valid_hours}
        return decode(EnrolmentToken, await self._transport.post(f"{_path(id)}/enrolment-tokens", body))

    def security_events(self, id: str) -> AsyncIterator[SecurityEvent]:
        return iterate(self._transport, SecurityEvent, f"{_path(id)}/security-events")

    async def trigger_certificate(self, id: str) -> Trigger:
        return decode(Trigger, await self._transport.post(f"{_path(id)}/certificate-trigger"))

    async def sessions(self) -> tuple[Session, ...]:
        return tuple(decode(Session, item) for item in (await self._transport.get("/sessions"))["items"])


def _path(id: str) -> str:
    return f"/stations/{quote(id, safe='')}"
