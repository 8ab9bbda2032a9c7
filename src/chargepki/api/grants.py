"""/grants: the register of access rights; /access-reviews: whether they are still right."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field, StringConstraints

from chargepki.api.shapes import PAGE_SIZE, Cursor, Id, IdPath, Limit, Order, PageView, Text, TextQuery, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.access.model import Role, Scope
from chargepki.core.identifiers.name_spaces import parse_name_space
from chargepki.core.proposals import parse_digest, spell_digest
from chargepki.core.records import GrantId, GrantState, PartyId
from chargepki.services.access_reviews import ReviewedGrant
from chargepki.services.grants import SCOPE_ITEMS_MAX
from chargepki.services.holders import HeldGrant

DIGEST_CHARS_MAX: Final = 80  # "sha256:" and 64 hex digits

router = APIRouter(prefix="/grants", tags=["grants"])
review_router = APIRouter(prefix="/access-reviews", tags=["grants"])

_Ids = Annotated[list[Id], Field(min_length=1, max_length=SCOPE_ITEMS_MAX)]
_Spaces = Annotated[list[Text], Field(min_length=1, max_length=SCOPE_ITEMS_MAX)]
_Digest = Annotated[str, StringConstraints(max_length=DIGEST_CHARS_MAX)]


class ScopeOrder(Order):
    """What a grant reaches. What is left out is not bounded; a role within a party reaches that party."""

    parties: _Ids | None = None
    authorities: _Ids | None = None
    profiles: _Ids | None = None
    names: _Spaces | None = Field(None, examples=[["evse-operator:DE*ACM", "dns:acme.example"]])


class GrantOrder(Order):
    holder: Text = Field(min_length=1, description="person:USERNAME, or the id of a person or a machine", examples=["person:anna.berg"])
    role: Role
    scope: ScopeOrder = ScopeOrder()
    until: AwareDatetime | None = Field(None, description="a year from now for people, 90 days for machines, unless said")


class ReviewOrder(Order):
    """`digest` is that of the review that was read."""

    digest: _Digest
    party: Id | None = None


class ScopeView(View):
    """null: not bounded."""

    parties: list[str] | None
    authorities: list[str] | None
    profiles: list[str] | None
    names: list[str] | None


class GrantView(View):
    id: str
    holder: str
    holder_name: str
    party: str
    role: Role
    scope: ScopeView
    state: GrantState
    until: datetime
    created_by: str
    created_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    proposal: str | None
    version: int


class ReviewLineView(View):
    grant: GrantView
    last_seen: datetime | None
    ends_soon: bool
    is_unused: bool


class ReviewView(View):
    """`digest` names exactly these rights: what an auditor signs."""

    at: datetime
    party: str | None
    digest: str
    lines: list[ReviewLineView]


class SignedReviewView(View):
    entry: str
    digest: str


@router.get("", summary="The register of access rights, oldest first", **shown(PageView[GrantView]))
async def list_grants(
    visit: Visiting,
    holder: TextQuery = "",
    role: Role | None = None,
    state: GrantState | None = None,
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE,
) -> Response:
    """`holder` is `person:USERNAME`, an id, or `me`: everybody may see their own."""
    page = await visit.services.grants.list_grants(
        visit.caller, holder=holder, role=role or "", state=state or "", cursor=cursor, limit=limit
    )
    return answer(PageView(items=[show_grant(held) for held in page.items], next=page.next or None))


@router.post("", summary="Propose a role for a person or a machine", **shown(GrantView, 201, "Offered", waits=True))
async def propose_grant(body: GrantOrder, visit: Visiting) -> Response:
    """A person has to accept it. Where others have to agree first, the answer is 202 with the proposal."""
    held = await visit.services.grants.propose_grant(
        visit.caller, holder=body.holder, role=body.role, scope=scope_of(body.scope), until=body.until
    )
    return answer(show_grant(held), 201, location=f"/api/v1/grants/{held.record.id}")


@router.get("/{id}", summary="Show a grant", **shown(GrantView))
async def get_grant(id: IdPath, visit: Visiting) -> Response:
    return answer(show_grant(await visit.services.grants.get_grant(visit.caller, GrantId(id))))


@router.post("/{id}/acceptance", summary="Accept a role that was offered to you", **shown(GrantView, 200, "In force"))
async def accept_grant(id: IdPath, visit: Visiting) -> Response:
    return answer(show_grant(await visit.services.grants.accept_grant(visit.caller, GrantId(id))))


@router.post("/{id}/end", summary="Take a role away", **shown(GrantView, 200, "Ended"))
async def end_grant(id: IdPath, visit: Visiting) -> Response:
    return answer(show_grant(await visit.services.grants.end_grant(visit.caller, GrantId(id))))


@review_router.get("", summary="Who holds what, whether they use it, and what ends soon", **shown(ReviewView))
async def review_access(visit: Visiting, party: TextQuery = "") -> Response:
    review = await visit.services.grants.reviews.review(visit.caller, party=PartyId(party) if party else None)
    lines = [_show_line(line) for line in review.lines]
    return answer(ReviewView(at=review.at, party=review.party, digest=spell_digest(review.digest), lines=lines))


@review_router.post("", summary="Sign that these access rights were reviewed", **shown(SignedReviewView, 201, "Signed"))
async def sign_access_review(body: ReviewOrder, visit: Visiting) -> Response:
    digest = parse_digest(body.digest)
    entry = await visit.services.grants.reviews.sign(visit.caller, digest, party=PartyId(body.party) if body.party else None)
    return answer(SignedReviewView(entry=entry, digest=spell_digest(digest)), 201, location=f"/api/v1/audit-entries/{entry}")


def scope_of(order: ScopeOrder) -> Scope:
    names = None if order.names is None else frozenset(map(parse_name_space, order.names))
    return Scope(_set(order.parties), _set(order.authorities), _set(order.profiles), names)


def show_scope(scope: Scope) -> ScopeView:
    names = None if scope.names is None else sorted(map(str, scope.names))
    return ScopeView(parties=_sorted(scope.parties), authorities=_sorted(scope.authorities), profiles=_sorted(scope.profiles), names=names)


def show_grant(held: HeldGrant) -> GrantView:
    record, holder = held.record, held.holder
    return GrantView(
        id=record.id,
        holder=record.holder,
        holder_name=holder.name,
        party=holder.party,
        role=record.role,
        scope=show_scope(record.scope),
        state=record.state,
        until=record.until,
        created_by=record.created_by,
        created_at=record.created_at,
        accepted_at=record.accepted_at,
        ended_at=record.ended_at,
        ended_by=record.ended_by,
        proposal=record.proposal,
        version=record.version,
    )


def _show_line(line: ReviewedGrant) -> ReviewLineView:
    return ReviewLineView(grant=show_grant(line.held), last_seen=line.last_seen, ends_soon=line.ends_soon, is_unused=line.is_unused)


def _set(values: Sequence[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _sorted(values: frozenset[str] | None) -> list[str] | None:
    return None if values is None else sorted(values)
