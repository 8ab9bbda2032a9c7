"""/inspections: reads anything X.509 and explains it. Nothing is kept."""

import asyncio
import json
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from chargepki.api.problems import FindingView
from chargepki.api.shapes import Order, View, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.model import PUBLIC_RESOURCE
from chargepki.core.access.permissions import Permission
from chargepki.core.inspect import OCTETS_MAX, inspect

ISSUER_CHARS_MAX: Final = 16 * 1024

router = APIRouter(prefix="/inspections", tags=["inspections"])


class InspectionOrder(Order):
    """`issuer` lets a certificate's OCPP hash data be shown."""

    data: str = Field(min_length=1, max_length=OCTETS_MAX, description="PEM, or base64 of DER")
    issuer: str = Field("", max_length=ISSUER_CHARS_MAX, description="the issuer's certificate, in the same spellings")


class NodeView(View):
    """One line and what hangs below it; empty parts are left out."""

    label: str
    value: str = ""
    note: str = ""
    children: "list[NodeView]" = []


class InspectionView(View):
    kind: str
    tree: NodeView
    findings: list[FindingView]


@router.post("", summary="Explain a certificate, CSR, CRL, OCSP message or PKCS#7", **shown(InspectionView))
async def inspect_object(body: InspectionOrder, visit: Visiting) -> Response:
    visit.services.audit.check(visit.caller, Permission.PROFILE_READ, PUBLIC_RESOURCE)
    now = visit.services.ports.clock.now()
    return Response(await asyncio.to_thread(_inspect, body, now), media_type="application/json")


def _inspect(body: InspectionOrder, now: datetime) -> bytes:
    inspection = inspect(body.data.encode(), now=now, issuer=body.issuer.encode())
    return json.dumps(inspection.to_json(), ensure_ascii=False).encode()
