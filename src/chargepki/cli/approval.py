"""chargepki approval: what waits for others, and what you say to it."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chargepki.cli.desk import Desk, command, noun
from chargepki.errors import Refused

if TYPE_CHECKING:
    from chargepki.client.approvals import Proposal, ProposalDetail

app = noun("approval", "Proposals that wait for others: list, show, approve, reject, edit, withdraw.")

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="the proposal: prp_...")]
DigestOption = Annotated[
    str, typer.Option(metavar="sha256:...", help="the digest of what you agree to; asked for on a terminal unless said")
]
NoteOption = Annotated[str, typer.Option(help="why, for those who read it later")]


@command(app, "list")
async def list_approvals(
    desk: Desk,
    mine: Annotated[bool, typer.Option("--mine", help="only those you could vote on now")] = False,
    state: Annotated[str, typer.Option(help="open, approved, executed, rejected, withdrawn, expired or failed")] = "",
    limit: Annotated[int, typer.Option(min=1, help="at most so many")] = 50,
) -> None:
    """List proposals, newest first."""
    from chargepki.cli.output import minute

    found: list[Proposal] = []
    async with desk.client() as client:
        async for proposal in client.approvals.list(state=state, mine=mine):
            found.append(proposal)
            if len(found) == limit:
                break
    if desk.is_json:
        desk.out.json(found)
        return
    rows = [(p.id, p.action, p.object, p.state, _missing(p), minute(p.expires_at), p.proposer) for p in found]
    desk.out.table(
        ("PROPOSAL", "ACTION", "OBJECT", "STATE", "MISSING", "UNTIL", "BY"),
        rows,
        empty="Nothing waits for you." if mine else "Nothing waits for anybody.",
        fold=("MISSING",),
        shed=("BY", "UNTIL", "OBJECT"),
    )


@command(app, "show")
async def show_approval(desk: Desk, id: IdArgument) -> None:
    """Show a proposal: what would be done, who agreed, who is missing."""
    async with desk.client() as client:
        proposal = await client.approvals.get(id)
    if desk.is_json:
        desk.out.json(proposal)
        return
    _show(desk, proposal)
    if proposal.may_vote:
        desk.out.facts(
            ("Agree", f"chargepki approval approve {proposal.id} --digest {proposal.digest}"),
            ("Stop it", f"chargepki approval reject {proposal.id} --digest {proposal.digest}"),
        )


@command(app, "approve", undone="You have not voted.")
async def approve(desk: Desk, id: IdArgument, digest: DigestOption = "", note: NoteOption = "") -> None:
    """Agree to exactly these bytes. The last missing vote carries the proposal out."""
    await _vote(desk, id, digest, note, is_for=True)


@command(app, "reject", undone="You have not voted.")
async def reject(desk: Desk, id: IdArgument, digest: DigestOption = "", note: NoteOption = "") -> None:
    """Vote against: one such vote stops a proposal."""
    await _vote(desk, id, digest, note, is_for=False)


@command(app, "edit", undone="Nothing was changed.")
async def edit_approval(
    desk: Desk,
    id: IdArgument,
    order: Annotated[str, typer.Option(metavar="FILE|-", help="the new order: the `order` of the payload as JSON, changed")],
) -> None:
    """Change your own proposal. It gets another digest, and all votes are void."""
    from chargepki.cli.files import read_input

    content = _parse_order(read_input(order))
    async with desk.client() as client:
        proposal = await client.approvals.edit(id, content)
    if desk.is_json:
        desk.out.json(proposal)
        return
    desk.out.line(f"Edited   {proposal.id} (revision {proposal.revision}); it has no votes any more")
    for change in proposal.changes:
        desk.out.facts((change.path, f"{change.before or '(nothing)'} -> {change.after or '(nothing)'}"))
    desk.out.facts(("Digest", proposal.digest), ("Missing", _missing(proposal)))


@command(app, "withdraw", undone="Nothing was withdrawn.")
async def withdraw(desk: Desk, id: IdArgument) -> None:
    """Withdraw your own proposal."""
    async with desk.client() as client:
        proposal = await client.approvals.withdraw(id)
    if desk.is_json:
        desk.out.json(proposal)
        return
    desk.out.facts(("Withdrawn", f"{proposal.id} ({proposal.action} {proposal.object})"))


async def _vote(desk: Desk, id: str, digest: str, note: str, *, is_for: bool) -> None:
    async with desk.client() as client:
        if not digest:
            proposal = await client.approvals.get(id)
            _confirm(desk, proposal, is_for=is_for)
            digest = proposal.digest
        voted = await client.approvals.vote(id, digest=digest, is_for=is_for, note=note)
    if desk.is_json:
        desk.out.json(voted)
        return
    desk.out.facts(
        ("Voted", f"{'for' if is_for else 'against'} {voted.id} ({voted.digest})"),
        ("State", voted.state),
        ("Outcome", voted.outcome),
        ("Missing", _missing(voted)),
        ("Check", f"chargepki approval show {voted.id}"),
    )


def _confirm(desk: Desk, proposal: "ProposalDetail", *, is_for: bool) -> None:
    """What you see is what you sign: the payload, its digest computed here, and a question that repeats it."""
    if not sys.stdin.isatty():
        hint = f"read it (chargepki approval show {proposal.id}), then name its digest: --digest sha256:..."
        raise Refused.because("cli.approval.digest", "there is no terminal to show the proposal on", hint=hint)
    _show(desk, proposal)
    if not typer.confirm(f"Vote {'FOR' if is_for else 'AGAINST'} {proposal.digest}?", err=True):
        raise Refused.because("cli.approval.unconfirmed", "you did not confirm", hint="nothing was sent")


def _show(desk: Desk, proposal: "ProposalDetail") -> None:
    from chargepki.cli.output import minute
    from chargepki.core.proposals import LINES_MAX, flatten

    content: dict[str, Any] = proposal.content  # checked against the digest
    desk.out.facts(
        ("Proposal", f"{proposal.id}, revision {proposal.revision}"),
        ("State", proposal.state),
        ("Outcome", proposal.outcome),
        ("Would do", f"{content['action']} on {content['object']}"),
        ("Rule", proposal.rule),
        ("By", f"{proposal.proposer}, {minute(proposal.created_at)}"),
        ("Open", f"until {minute(proposal.expires_at)}"),
        ("Not before", minute(proposal.not_before)),
    )
    lines = list(flatten(content["order"], "order")) + list(flatten(content["resource"], "resource"))
    desk.out.facts(*lines[:LINES_MAX])
    if len(lines) > LINES_MAX:
        desk.out.line(f"... and {len(lines) - LINES_MAX} more lines: --json shows the payload whole")
    for seat in proposal.filled:
        desk.out.facts(("Filled", f"{seat.permission} by {seat.person}"))
    desk.out.facts(("Missing", _missing(proposal)))
    for vote in proposal.votes:
        desk.out.facts(("Vote", f"{minute(vote.at)} {vote.person}: {'for' if vote.is_for else 'against'} {vote.note}".rstrip()))
    desk.out.facts(("Digest", proposal.digest))


def _missing(proposal: "Proposal | ProposalDetail") -> str:
    return ", ".join(f"{seat.count} x {' or '.join(seat.roles) or seat.permission}" for seat in proposal.missing)


def _parse_order(octets: bytes) -> dict[str, Any]:
    try:
        order = json.loads(octets)
    except ValueError as error:
        raise Refused.because("cli.approval.order", f"the order is not JSON: {error}", hint="chargepki approval show ID --json") from error
    if not isinstance(order, dict):
        raise Refused.because("cli.approval.order", "the order is no JSON object", hint="the `order` of the payload alone")
    return order
