"""/machines: backends, factory lines, monitors."""

from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from chargepki.api.grants import ScopeOrder, ScopeView, scope_of, show_scope
from chargepki.api.shapes import PAGE_SIZE, Cursor, IdPath, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.model import Role
from chargepki.core.identifiers.party import PARTY_LENGTH_MAX
from chargepki.core.records import MachineId, MachineState, PartyId
from chargepki.services.grants import DAYS_MAX, MACHINE_DAYS
from chargepki.services.labels import LABEL_MAX
from chargepki.services.machines import CLIENT_PROFILE, HeldMachine

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"

router = APIRouter(prefix="/machines", tags=["machines"])


class MachineOrder(Order):
    name: str = Field(min_length=1, max_length=LABEL_MAX, pattern=_PRINTABLE, examples=["acme-csms"])
    party: str = Field("", max_length=PARTY_LENGTH_MAX, pattern=_PRINTABLE, description="whose it is; empty: the platform's own")
    role: Role = Field(description="the one role it holds: csms, factory-line, mo-backend, oem-backend, cps-signer, monitor")
    scope: ScopeOrder = ScopeOrder()
    days: int = Field(MACHINE_DAYS, ge=1, le=DAYS_MAX, description="for how long it holds the role")


class MachineChange(Order):
    state: MachineState


class MachineView(View):
    """`client_profile` is the profile of the certificate it signs in with; `role` null: what it held has ended."""

    id: str
    name: str
    party: str
    state: MachineState
    role: Role | None
    scope: ScopeView | None
    grant: str | None
    until: datetime | None
    client_profile: str
    created_at: datetime
    version: int


@router.get("", summary="List machines, oldest first", **shown(PageView[MachineView]))
async def list_machines(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.machines.list_machines(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(held) for held in page.items], next=page.next or None))


@router.post("", summary="Register a machine with its one role", **shown(MachineView, 201, "Registered"))
async def create_machine(body: MachineOrder, visit: Visiting) -> Response:
    held = await visit.services.machines.create_machine(
        visit.caller, name=body.name, party=PartyId(body.party), role=body.role, scope=scope_of(body.scope), days=body.days
    )
    return answer(_show(held), 201, location=f"/api/v1/machines/{held.machine.id}")


@router.get("/{id}", summary="Show a machine", **shown(MachineView))
async def get_machine(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.machines.get_machine(visit.caller, MachineId(id))))


@router.patch("/{id}", summary="Suspend or resume a machine", **shown(MachineView))
async def update_machine(id: IdPath, body: MachineChange, visit: Visiting) -> Response:
    return answer(_show(await visit.services.machines.set_state(visit.caller, MachineId(id), body.state)))


def _show(held: HeldMachine) -> MachineView:
    machine, grant = held.machine, held.grant
    return MachineView(
        id=machine.id,
        name=machine.name,
        party=machine.party,
        state=machine.state,
        role=None if grant is None else grant.role,
        scope=None if grant is None else show_scope(grant.scope),
        grant=None if grant is None else grant.id,
        until=None if grant is None else grant.until,
        client_profile=CLIENT_PROFILE,
        created_at=machine.created_at,
        version=machine.version,
    )
