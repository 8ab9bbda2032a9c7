"""/audit-entries: who did what, and what became of it."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from chargepki.api.shapes import PAGE_SIZE, Cursor, IdPath, Limit, PageView, TextQuery, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.records import AuditEntry, AuditId, Outcome

router = APIRouter(prefix="/audit-entries", tags=["audit-entries"])


class AuditEntryView(View):
    """`body` is the entry's canonical JSON document, leaf `index` of the log. `personal` are the values behind its commitments, as long
    as nobody has erased them."""

    id: str
    at: datetime
    actor: str
    action: str
    object: str
    outcome: Outcome
    index: int | None
    party: str
    body: dict[str, Any]
    personal: dict[str, str]


@router.get("", summary="List audit entries, newest first", **shown(PageView[AuditEntryView]))
async def list_audit_entries(
    visit: Visiting,
    actor: TextQuery = "",
    action: TextQuery = "",
    object: Annotated[TextQuery, Query(description="ends in * to match a prefix: station:CS-*")] = "",
    outcome: Literal["", "intent", "done", "pending", "refused", "broken"] = "",
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE,
) -> Response:
    page = await visit.services.audit.list(
        visit.caller, actor=actor, action=action, object=object, outcome=outcome, cursor=cursor, limit=limit
    )
    return answer(PageView(items=[_show(entry) for entry in page.items], next=page.next or None))


@router.get("/{id}", summary="Show an audit entry", **shown(AuditEntryView))
async def get_audit_entry(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.audit.get(visit.caller, AuditId(id))))


def _show(entry: AuditEntry) -> AuditEntryView:
    return AuditEntryView(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        object=entry.object,
        outcome=entry.outcome,
        index=entry.index,
        party=entry.party,
        body=json.loads(entry.body),
        personal=json.loads(entry.private)["values"] if entry.private else {},
    )
