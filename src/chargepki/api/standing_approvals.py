"""/standing-approvals: rules, agreed on beforehand, that let machines work."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field

from chargepki.api.shapes import ID_CHARS_MAX, PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, Text, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.algorithms import KeySpec
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.records import PartyId, ProfileId, StandingId, StandingRecord
from chargepki.services.standing import NAMES_MAX, PER_HOUR_MAX, PROFILES_MAX, StandingOrder

PartyQuery = Annotated[str, Query(max_length=ID_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$", description="only this party's")]

router = APIRouter(prefix="/standing-approvals", tags=["approvals"])


class StandingApprovalOrder(Order):
    """`names` are name spaces of the party, `kind:value`. Without `keys` every key that the profiles allow."""

    party: Id
    profiles: list[Id] = Field(min_length=1, max_length=PROFILES_MAX, examples=[["ocpp/station"]])
    names: list[Text] = Field(min_length=1, max_length=NAMES_MAX, examples=[["station-serial:SN-2026"]])
    keys: list[KeySpec] = Field(default=[], max_length=len(KeySpec))
    per_hour_max: int = Field(ge=1, le=PER_HOUR_MAX)
    until: AwareDatetime


class StandingApprovalView(View):
    """`used` counts the current hour, in a list of those that live."""

    id: str
    party: str
    profiles: list[str]
    names: list[str]
    keys: list[str]
    per_hour_max: int
    used: int
    until: datetime
    created_by: str
    created_at: datetime
    proposal: str | None
    ended_at: datetime | None


@router.get("", summary="List standing approvals, oldest first", **shown(PageView[StandingApprovalView]))
async def list_standing_approvals(
    visit: Visiting, party: PartyQuery = "", live: bool = False, cursor: Cursor = "", limit: Limit = PAGE_SIZE
) -> Response:
    page = await visit.services.standing.list(
        visit.caller, party=PartyId(party) if party else None, is_live=live, cursor=cursor, limit=limit
    )
    return answer(PageView(items=[_show(record) for record in page.items], next=page.next or None))


@router.post("", summary="Propose a standing approval", **shown(StandingApprovalView, 201, "Made", waits=True))
async def create_standing_approval(body: StandingApprovalOrder, visit: Visiting) -> Response:
    order = StandingOrder(
        PartyId(body.party),
        frozenset(map(ProfileId, body.profiles)),
        frozenset(map(parse_name_space, body.names)),
        frozenset(body.keys),
        body.per_hour_max,
        body.until,
    )
    record = await visit.services.standing.create(visit.caller, order)
    return answer(_show(record), 201, location=f"/api/v1/standing-approvals/{record.approval.id}")


@router.get("/{id}", summary="Show a standing approval", **shown(StandingApprovalView))
async def get_standing_approval(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.standing.get(visit.caller, StandingId(id))))


@router.delete("/{id}", summary="End a standing approval at once", **shown(StandingApprovalView, 200, "Ended"))
async def end_standing_approval(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.standing.end(visit.caller, StandingId(id))))


def _show(record: StandingRecord) -> StandingApprovalView:
    approval = record.approval
    return StandingApprovalView(
        id=approval.id,
        party=approval.party,
        profiles=sorted(approval.profiles),
        names=sorted(map(str, approval.names)),
        keys=sorted(approval.keys),
        per_hour_max=approval.per_hour_max,
        used=approval.used,
        until=approval.until,
        created_by=record.created_by,
        created_at=record.created_at,
        proposal=record.proposal,
        ended_at=record.ended_at,
    )
