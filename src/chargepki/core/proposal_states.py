"""The states of a proposal: what each still allows, and which proposals are being carried out at this moment.

    open -> approved -> executed | failed
    open -> rejected | withdrawn | expired | failed
    approved -> rejected | withdrawn          during its cool-down
    approved -> open | expired                when somebody who had voted for it may no longer

An approved proposal's outcome says whether somebody is carrying it out ("begun" and when), or what it waits for.
"""

import hmac
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.records import Proposal, ProposalState
from chargepki.errors import Conflict, Finding, Refused

NOTE_CHARACTERS_MAX: Final = 500
OUTCOME_CHARACTERS_MAX: Final = 1_000
LEASE: Final = timedelta(minutes=15)  # whoever carries out for longer than that was cut off; five thousand revocations take one minute
BEGUN: Final = "begun "


def check_note(note: str) -> None:
    if len(note) > NOTE_CHARACTERS_MAX:
        message = f"the note has {len(note)} characters, the limit is {NOTE_CHARACTERS_MAX}"
        raise Refused.because("approval.note", message, path="note", hint="keep the story in a ticket")


def check_digest(proposal: Proposal, digest: bytes) -> None:
    if not hmac.compare_digest(digest, proposal.digest):
        message = f"the proposal was edited: this is revision {proposal.revision}, with another digest than the one you voted on"
        raise Conflict(Finding("approval.proposal.edited", message, hint=f"read it again: chargepki approval show {proposal.id}"))


def check_takes_votes(proposal: Proposal, *, is_for: bool) -> None:
    if not is_for and is_waiting(proposal):
        return
    check_open(proposal)


def check_open(proposal: Proposal) -> None:
    if proposal.state is not ProposalState.OPEN:
        raise closed(proposal)


def closed(proposal: Proposal) -> Conflict:
    told = f" ({proposal.outcome})" if proposal.outcome else ""
    message = f"the proposal is {proposal.state}{told}"
    return Conflict(Finding("approval.proposal.closed", message, hint=f"chargepki approval show {proposal.id}"))


def is_waiting(proposal: Proposal) -> bool:
    """Approved, and nothing has been done yet."""
    return proposal.state is ProposalState.APPROVED and not was_begun(proposal)


def was_begun(proposal: Proposal) -> bool:
    return proposal.state is ProposalState.APPROVED and proposal.outcome.startswith(BEGUN)


def lease_ended(proposal: Proposal, now: datetime) -> bool:
    return not was_begun(proposal) or now - datetime.fromisoformat(proposal.outcome.removeprefix(BEGUN)) >= LEASE


def reopen(proposal: Proposal, now: datetime) -> Proposal:
    """The quorum no longer stands: others may fill the seats while there is time."""
    state = ProposalState.OPEN if now < proposal.expires_at else ProposalState.EXPIRED
    return replace(proposal, state=state, outcome="somebody who had voted for it may no longer: their seat is empty again")


def iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()


def spell_outcome(*texts: str) -> str:
    return "; ".join(texts)[:OUTCOME_CHARACTERS_MAX]
