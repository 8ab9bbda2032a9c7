"""/intents: signatures that were announced and led to no certificate; after a crash, the operator looks here."""

from datetime import datetime

from fastapi import APIRouter, Response

from chargepki.api.shapes import PAGE_SIZE, Cursor, Limit, PageView, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.records import Intent

router = APIRouter(prefix="/intents", tags=["intents"])


class IntentView(View):
    id: str
    issuer: str
    serial: str
    tbs_sha256: str
    profile: str
    station: str | None
    requested_by: str
    created_at: datetime


@router.get("", summary="List open intents without a certificate, oldest first", **shown(PageView[IntentView]))
async def list_intents(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.issuance.open_intents(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(intent) for intent in page.items], next=page.next or None))


def _show(intent: Intent) -> IntentView:
    return IntentView(
        id=intent.id,
        issuer=intent.issuer,
        serial=f"{intent.serial:x}",
        tbs_sha256=intent.tbs_sha256.hex(),
        profile=intent.profile,
        station=intent.station,
        requested_by=intent.requested_by,
        created_at=intent.created_at,
    )
