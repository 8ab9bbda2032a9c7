"""/tokens: bearer tokens of this API; and who am I."""

from datetime import datetime
from typing import Final

from fastapi import APIRouter, Response
from pydantic import Field

from chargepki.api.shapes import PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import ShownOnce, Visiting
from chargepki.core.access.decide import held_permissions
from chargepki.core.access.model import Grant, Scope
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.records import ApiToken, TokenId
from chargepki.services.access import VALID_DAYS, VALID_DAYS_MAX, TokenOrder

NAME_CHARS_MAX: Final = 64
SCOPES_MAX: Final = 32

router = APIRouter(prefix="/tokens", tags=["tokens"])
identity_router = APIRouter(prefix="/whoami", tags=["tokens"])


class NewToken(Order):
    """`scopes` are permissions, `*` stands for one whole segment. A token is its maker's, narrowed: it never may more, nor lives longer.

    `parties`, `profiles` and `names` narrow where it reaches; null leaves the maker's own bound.
    """

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")
    scopes: list[Id] = Field(min_length=1, max_length=SCOPES_MAX, examples=[["certificate:request:create", "certificate:object:read"]])
    parties: list[Id] | None = Field(None, max_length=SCOPES_MAX)
    profiles: list[Id] | None = Field(None, max_length=SCOPES_MAX)
    names: list[Id] | None = Field(None, max_length=SCOPES_MAX, examples=[["station:CS-17", "dns:csms.example.org"]])
    valid_days: int = Field(VALID_DAYS, ge=1, le=VALID_DAYS_MAX)


class GrantView(View):
    """A role within a scope; null is no bound. `narrowed_to` are permission patterns, null: all of the role's."""

    id: str
    role: str
    parties: list[str] | None
    authorities: list[str] | None
    profiles: list[str] | None
    names: list[str] | None
    narrowed_to: list[str] | None
    until: datetime | None


class TokenView(View):
    id: str
    name: str
    holder: str
    party: str
    grants: list[GrantView]
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class NewTokenView(View):
    token: TokenView
    secret: str


class IdentityView(View):
    """`permissions` are those held now, somewhere; `grants` say where."""

    actor: str
    kind: str
    person: str
    assurance: str
    grants: list[GrantView]
    permissions: list[str]


@router.get("", summary="List the tokens, oldest first", **shown(PageView[TokenView]))
async def list_tokens(visit: Visiting, cursor: Cursor = "", limit: Limit = PAGE_SIZE) -> Response:
    page = await visit.services.access.list_tokens(visit.caller, cursor=cursor, limit=limit)
    return answer(PageView(items=[_show(token) for token in page.items], next=page.next or None))


@router.post("", summary="Make a token", dependencies=[ShownOnce], **shown(NewTokenView, 201, "Made", secret=True))
async def create_token(body: NewToken, visit: Visiting) -> Response:
    scope = Scope(
        parties=None if body.parties is None else frozenset(body.parties),
        profiles=None if body.profiles is None else frozenset(body.profiles),
        names=None if body.names is None else frozenset(map(parse_name_space, body.names)),
    )
    order = TokenOrder(body.name, frozenset(body.scopes), scope, body.valid_days)
    token, secret = await visit.services.access.create_token(visit.caller, order)
    return answer(NewTokenView(token=_show(token), secret=secret), 201)


@router.delete("/{id}", summary="Revoke a token", **shown(None, 204, "Revoked"))
async def revoke_token(id: IdPath, visit: Visiting) -> Response:
    await visit.services.access.revoke_token(visit.caller, TokenId(id))
    return Response(status_code=204)


@identity_router.get("", summary="Say who the caller is", **shown(IdentityView))
async def get_identity(visit: Visiting) -> Response:
    actor, services = visit.caller.actor, visit.services
    held = held_permissions(actor, services.ports.clock.now(), services.audit.policy)
    return answer(
        IdentityView(
            actor=actor.id,
            kind=actor.kind,
            person=actor.person,
            assurance=actor.assurance.name.lower(),
            grants=[show_grant(grant) for grant in actor.grants],
            permissions=sorted(held),
        )
    )


def show_grant(grant: Grant) -> GrantView:
    scope = grant.scope
    return GrantView(
        id=grant.id,
        role=grant.role,
        parties=_sorted(scope.parties),
        authorities=_sorted(scope.authorities),
        profiles=_sorted(scope.profiles),
        names=None if scope.names is None else sorted(map(str, scope.names)),
        narrowed_to=_sorted(grant.narrowed_to),
        until=grant.until,
    )


def _sorted(values: frozenset[str] | None) -> list[str] | None:
    return None if values is None else sorted(values)


def _show(token: ApiToken) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        holder=token.holder,
        party=token.party,
        grants=[show_grant(grant) for grant in token.grants],
        created_by=token.created_by,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
    )
