"""/batches: a factory line's permission, boxed in time, count and serial numbers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, Field, StringConstraints

from chargepki.api.shapes import ID_CHARS_MAX, PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import ShownOnce, Visiting
from chargepki.core.records import PartyId, ProfileId, StandingId
from chargepki.services.batches import COUNT_MAX, PREFIXES_MAX, Batch, BatchOrder, prefixes_of

PartyQuery = Annotated[str, Query(max_length=ID_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$", description="only this party's")]
Prefix = Annotated[str, StringConstraints(min_length=1, max_length=ID_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f*]+$")]

router = APIRouter(prefix="/batches", tags=["approvals"])


class FactoryBatchOrder(Order):
    """So many certificates of one profile, for stations whose serial numbers begin with one of `prefixes`."""

    party: Id
    profile: Id = "ocpp/station"
    prefixes: list[Prefix] = Field(min_length=1, max_length=PREFIXES_MAX, examples=[["SN-2026-"]])
    count: int = Field(ge=1, le=COUNT_MAX)
    until: AwareDatetime


class BatchView(View):
    id: str
    party: str
    profile: str
    prefixes: list[str]
    count: int
    used: int
    left: int
    until: datetime
    created_by: str
    created_at: datetime
    proposal: str | None
    ended_at: datetime | None


class BatchTokenView(View):
    batch: str
    secret: str


@router.get("", summary="List factory batches, oldest first", **shown(PageView[BatchView]))
async def list_batches(visit: Visiting, party: PartyQuery = "", cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.batches.list(visit.caller, party=PartyId(party) if party else None, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(batch) for batch in page.items], next=page.next or None))


@router.post("", summary="Make a factory batch", **shown(BatchView, 201, "Made", waits=True))
async def create_batch(body: FactoryBatchOrder, visit: Visiting) -> Response:
    order = BatchOrder(PartyId(body.party), ProfileId(body.profile), frozenset(body.prefixes), body.count, body.until)
    batch = await visit.services.batches.create(visit.caller, order)
    return answer(_show(batch), 201, location=f"/api/v1/batches/{batch.id}")


@router.get("/{id}", summary="Show a factory batch", **shown(BatchView))
async def get_batch(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.batches.get(visit.caller, StandingId(id))))


@router.post(
    "/{id}/token",
    summary="Make the factory line's token; the one before ends",
    dependencies=[ShownOnce],
    **shown(BatchTokenView, 201, "Made", secret=True),
)
async def create_batch_token(id: IdPath, visit: Visiting) -> Response:
    return answer(BatchTokenView(batch=id, secret=await visit.services.batches.create_token(visit.caller, StandingId(id))), 201)


@router.delete("/{id}", summary="End a factory batch at once", **shown(BatchView, 200, "Ended"))
async def end_batch(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.batches.end(visit.caller, StandingId(id))))


def _show(batch: Batch) -> BatchView:
    record = batch.record
    return BatchView(
        id=batch.id,
        party=batch.party,
        profile=min(record.approval.profiles),
        prefixes=list(prefixes_of(record.approval)),
        count=batch.count,
        used=batch.used,
        left=batch.count - batch.used,
        until=record.approval.until,
        created_by=record.created_by,
        created_at=record.created_at,
        proposal=record.proposal,
        ended_at=record.ended_at,
    )
