"""/keys: the register of the vault's keys. Nothing secret is in it, and no key ever leaves through it."""

import json
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from chargepki.api.shapes import PAGE_SIZE, Cursor, IdPath, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.algorithms import KeySpec
from chargepki.core.records import KeyRecord, KeyRef, KeyState

LABEL_CHARS_MAX: Final = 128  # a vault says less, and says so

router = APIRouter(prefix="/keys", tags=["keys"])


class KeyOrder(Order):
    key_spec: KeySpec
    label: str = Field(min_length=1, max_length=LABEL_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["authority next-root"])


class AttestationView(View):
    """What the vault's device said of the key when it was made. `statement` is Base64: canonical JSON, or the vendor's own octets."""

    kind: str
    is_hardware: bool
    statement: str


class KeyView(View):
    """`state`: pending signs nothing, active signs, retired signs status only, destroyed is gone. `spki_sha256` is hex."""

    ref: str
    spec: KeySpec
    label: str
    vault: str
    state: KeyState
    spki_sha256: str
    created_at: datetime
    changed_at: datetime
    attestation: AttestationView | None = Field(description="null: the vault has no device that could say anything")


@router.get("", summary="List the keys of the vault, oldest first", **shown(PageView[KeyView]))
async def list_keys(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.keys.list(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(record) for record in page.items], next=page.next or None))


@router.post("", summary="Make a key, which signs nothing until it is activated", **shown(KeyView, 201, "Made", waits=True))
async def generate_key(body: KeyOrder, visit: Visiting) -> Response:
    record = await visit.services.keys.generate(visit.caller, body.key_spec, label=body.label)
    return answer(_show(record), 201, location=f"/api/v1/keys/{record.ref}")


@router.get("/{ref}", summary="Show a key", **shown(KeyView))
async def get_key(ref: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.keys.get(visit.caller, KeyRef(ref))))


@router.post("/{ref}/activate", summary="Let a key sign", **shown(KeyView, waits=True))
async def activate_key(ref: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.keys.activate(visit.caller, KeyRef(ref))))


@router.post("/{ref}/retire", summary="Let a key sign status only, for ever", **shown(KeyView, waits=True))
async def retire_key(ref: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.keys.retire(visit.caller, KeyRef(ref))))


@router.post("/{ref}/destroy", summary="Erase a key in the vault", **shown(KeyView, waits=True))
async def destroy_key(ref: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.keys.destroy(visit.caller, KeyRef(ref))))


def _show(record: KeyRecord) -> KeyView:
    return KeyView(
        ref=record.ref,
        spec=record.spec,
        label=record.label,
        vault=record.vault,
        state=record.state,
        spki_sha256=record.spki_sha256.hex(),
        created_at=record.created_at,
        changed_at=record.changed_at,
        attestation=AttestationView(**json.loads(record.attestation)) if record.attestation else None,
    )
