"""/approvals: what waits for others, and what they say to it."""

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter, Response
from pydantic import Field, StrictBool

from chargepki.api.shapes import PAGE_SIZE, TEXT_CHARS_MAX, Cursor, IdPath, Limit, Order, PageView, View, answer, shown
from chargepki.api.visit import Visiting
from chargepki.core.proposal_states import NOTE_CHARACTERS_MAX
from chargepki.core.proposals import parse_digest, spell_digest
from chargepki.core.records import ProposalId, ProposalState, VoteRecord
from chargepki.services.approvals import Report

DIGEST_CHARS_MAX: Final = 71  # sha256: and 64 hex digits
FIELDS_MAX: Final = 32  # of an order; the largest has a dozen

router = APIRouter(prefix="/approvals", tags=["approvals"])


class VoteOrder(Order):
    """`digest` is the proposal's own: a vote is for exactly these bytes."""

    digest: str = Field(max_length=DIGEST_CHARS_MAX, pattern=r"^(sha256:)?[0-9a-fA-F]{64}$", examples=["sha256:" + "0" * 64])
    is_for: StrictBool
    note: str = Field("", max_length=NOTE_CHARACTERS_MAX, pattern=r"^[^\x00-\x1f\x7f]*$")


class RevisionOrder(Order):
    """`order` has the shape of the one in the proposal's payload."""

    order: dict[str, Any] = Field(min_length=1, max_length=FIELDS_MAX)


class SeatView(View):
    """`roles`: only one of these takes it; empty: whoever holds the permission."""

    permission: str
    count: int
    roles: list[str]


class FilledSeatView(View):
    permission: str
    person: str


class VoteView(View):
    person: str
    is_for: bool
    at: datetime
    note: str


class DifferenceView(View):
    path: str
    before: str
    after: str


class ProposalView(View):
    """`missing` and `filled` are judged by the rights of this moment."""

    id: str
    action: str
    object: str
    rule: str
    party: str
    proposer: str
    state: ProposalState
    outcome: str
    revision: int
    digest: str
    created_at: datetime
    expires_at: datetime
    not_before: datetime | None
    filled: list[FilledSeatView]
    missing: list[SeatView]
    may_vote: bool


class ProposalDetailView(ProposalView):
    """`payload` is the text that `digest` is the SHA-256 of: check it before you vote."""

    payload: str
    votes: list[VoteView]
    changes: list[DifferenceView]


@router.get("", summary="List proposals, newest first", **shown(PageView[ProposalView]))
async def list_approvals(
    visit: Visiting,
    state: ProposalState | None = None,
    mine: bool = False,
    cursor: Cursor = "",
    limit: Limit = PAGE_SIZE,
) -> Response:
    """`mine`: only those that the caller could vote on now; a page may then be shorter than `limit`."""
    page = await visit.services.approvals.list(visit.caller, state=state, is_mine=mine, cursor=cursor, limit=limit)
    return answer(PageView(items=[ProposalView(**_fields(report)) for report in page.items], next=page.next or None))


@router.get("/{id}", summary="Show a proposal, its seats and its votes", **shown(ProposalDetailView))
async def get_approval(id: IdPath, visit: Visiting) -> Response:
    return answer(_show(await visit.services.approvals.get(visit.caller, ProposalId(id))))


@router.post("/{id}/votes", summary="Vote on a proposal; the last missing vote carries it out", **shown(ProposalDetailView, 201, "Voted"))
async def vote(id: IdPath, body: VoteOrder, visit: Visiting) -> Response:
    digest = parse_digest(body.digest)
    report = await visit.services.approvals.vote(visit.caller, ProposalId(id), digest, is_for=body.is_for, note=body.note)
    return answer(_show(report), 201, location=f"/api/v1/approvals/{report.proposal.id}")


@router.post("/{id}/revisions", summary="Edit a proposal: its votes are void", **shown(ProposalDetailView, 201, "Edited"))
async def edit_approval(id: IdPath, body: RevisionOrder, visit: Visiting) -> Response:
    report = await visit.services.approvals.edit(visit.caller, ProposalId(id), body.order)
    return answer(_show(report), 201, location=f"/api/v1/approvals/{report.proposal.id}")


@router.post("/{id}/withdrawal", summary="Withdraw one's own proposal", **shown(ProposalDetailView, 201, "Withdrawn"))
async def withdraw_approval(id: IdPath, visit: Visiting) -> Response:
    report = await visit.services.approvals.withdraw(visit.caller, ProposalId(id))
    return answer(_show(report), 201, location=f"/api/v1/approvals/{report.proposal.id}")


def _show(report: Report) -> ProposalDetailView:
    return ProposalDetailView(
        **_fields(report),
        payload=report.proposal.payload.decode(),
        votes=[_show_vote(vote) for vote in report.votes],
        changes=[DifferenceView(path=c.path, before=_cut(c.before), after=_cut(c.after)) for c in report.changes],
    )


def _fields(report: Report) -> dict[str, Any]:
    proposal = report.proposal
    return {
        "id": proposal.id,
        "action": proposal.action,
        "object": proposal.object,
        "rule": proposal.rule,
        "party": proposal.party,
        "proposer": proposal.proposer,
        "state": proposal.state,
        "outcome": proposal.outcome,
        "revision": proposal.revision,
        "digest": spell_digest(proposal.digest),
        "created_at": proposal.created_at,
        "expires_at": proposal.expires_at,
        "not_before": report.not_before,
        "filled": [FilledSeatView(permission=permission, person=person) for permission, person in report.filled],
        "missing": [SeatView(permission=seat.permission, count=seat.count, roles=sorted(seat.roles)) for seat in report.missing],
        "may_vote": report.may_vote,
    }


def _show_vote(vote: VoteRecord) -> VoteView:
    return VoteView(person=vote.person, is_for=vote.is_for, at=vote.at, note=vote.note)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_CHARS_MAX else text[: TEXT_CHARS_MAX - 1] + "…"
