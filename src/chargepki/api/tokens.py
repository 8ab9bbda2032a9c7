"""/tokens: bearer tokens of this API; and who am I."""

from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from chargepki.api.shapes import PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import ShownOnce, Visiting
from chargepki.core.records import ApiToken, TokenId

NAME_CHARS_MAX: Final = 64
SCOPES_MAX: Final = 32
VALID_DAYS_MAX: Final = 3650

router = APIRouter(prefix="/tokens", tags=["tokens"])
identity_router = APIRouter(prefix="/whoami", tags=["tokens"])


class TokenOrder(Order):
    """`scopes` are permissions, `*` stands for one whole segment. A token never gets a scope its maker lacks."""

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")
    scopes: list[Id] = Field(min_length=1, max_length=SCOPES_MAX, examples=[["certificate:request:create", "certificate:object:read"]])
    role: Id = "operator"
    valid_days: int | None = Field(None, ge=1, le=VALID_DAYS_MAX)


class TokenView(View):
    id: str
    name: str
    role: str
    scopes: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewTokenView(View):
    token: TokenView
    secret: str


class IdentityView(View):
    actor: str
    kind: str
    role: str
    scopes: list[str]


@router.get("", summary="List the tokens, oldest first", **shown(PageView[TokenView]))
async def list_tokens(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.access.list_tokens(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(token) for token in page.items], next=page.next or None))


@router.post("", summary="Make a token", dependencies=[ShownOnce], **shown(NewTokenView, 201, "Made", secret=True))
async def create_token(body: TokenOrder, visit: Visiting) -> Response:
    token, secret = await visit.services.access.create_token(
        visit.caller, name=body.name, scopes=frozenset(body.scopes), role=body.role, valid_days=body.valid_days
    )
    return answer(NewTokenView(token=_show(token), secret=secret), 201)


@router.delete("/{id}", summary="Revoke a token", **shown(None, 204, "Revoked"))
async def revoke_token(id: IdPath, visit: Visiting) -> Response:
    await visit.services.access.revoke_token(visit.caller, TokenId(id))
    return Response(status_code=204)


@identity_router.get("", summary="Say who the caller is", **shown(IdentityView))
async def get_identity(visit: Visiting) -> Response:
    actor = visit.caller.actor
    return answer(IdentityView(actor=actor.id, kind=actor.kind, role=actor.role, scopes=sorted(actor.scopes)))


def _show(token: ApiToken) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        role=token.role,
        scopes=sorted(token.scopes),
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )
