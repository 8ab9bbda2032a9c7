"""Ballots: what was voted on, by whom, and what `decide` makes of it with everybody's rights of this moment."""

import hmac
from dataclasses import replace
from datetime import datetime, timedelta

from chargepki.core.access.decide import decide, find_rule
from chargepki.core.access.model import (
    Actor,
    ActorKind,
    Allow,
    Assurance,
    Ballot,
    Decision,
    Deny,
    NeedsApproval,
    Resource,
    Vote,
)
from chargepki.core.proposals import (
    Content,
    digest_payload,
    parse_payload,
)
from chargepki.core.records import Proposal, VoteRecord
from chargepki.errors import Broken, Conflict, Finding, NotAuthenticated, NotAuthorised, NotFound
from chargepki.ports import Ports
from chargepki.services.actors import Actors
from chargepki.services.audit import AuditTrail


def read_content(proposal: Proposal) -> Content:
    """What the votes are about. `Broken` when the register was changed under them: the payload is not what the digest is of."""
    if not hmac.compare_digest(digest_payload(proposal.payload), proposal.digest):
        hint = "somebody changed the database: chargepki log verify; nothing was done"
        raise Broken(f"the payload of {proposal.id} is not what its digest is of", hint=hint)
    return parse_payload(proposal.payload)


class Ballots:
    """Changes nothing: it reads votes and judges them."""

    def __init__(self, ports: Ports, audit: AuditTrail, actors: Actors) -> None:
        self._ports, self._audit, self._actors = ports, audit, actors

    async def decide(self, proposal: Proposal, resource: Resource, ballot: Ballot) -> Decision:
        return decide(await self.proposer_of(proposal), proposal.action, resource, self._ports.clock.now(), self._audit.policy, ballot)

    async def ballot_of(self, proposal: Proposal) -> Ballot:
        """Every vote on these bytes, each by its voter as they are today."""
        votes = [
            Vote(await self._today(f"person:{v.person}", v.person, Assurance(v.assurance)), v.digest, v.is_for)
            for v in await self.votes_on(proposal)
        ]
        return Ballot(proposal.digest, tuple(votes), self._opened_at(proposal))

    def _opened_at(self, proposal: Proposal) -> datetime:
        """When these bytes were put up: an edit starts the time and the cool-down anew."""
        rule = find_rule(proposal.action, read_content(proposal).resource, self._audit.policy)
        open_for = timedelta(hours=rule.open_hours if rule is not None else 0)
        return max(proposal.created_at, proposal.expires_at - open_for)

    async def votes_on(self, proposal: Proposal) -> tuple[VoteRecord, ...]:
        votes = await self._ports.store.list_votes(proposal.id)
        return tuple(vote for vote in votes if hmac.compare_digest(vote.digest, proposal.digest))

    async def proposer_of(self, proposal: Proposal) -> Actor:
        """With the assurance that the gate asked for when the proposal was made."""
        least = self._audit.policy.assurance.get(proposal.action, Assurance.TOKEN)
        actor = await self._today(proposal.proposer, proposal.proposer_person, least)
        return replace(actor, assurance=max(actor.assurance, least))

    async def _today(self, id: str, person: str, assurance: Assurance) -> Actor:
        """Whoever has left holds nothing."""
        try:
            return await self._actors.reload(id, assurance=assurance)
        except (NotAuthenticated, NotFound):
            return Actor(id, ActorKind.PERSON if person else ActorKind.MACHINE, (), person)

    async def would_fill(self, voter: Actor, proposal: Proposal, content: Content, ballot: Ballot) -> bool:
        """Whether this person's vote leaves fewer seats empty. Seats may be reshuffled, so the decision itself is asked."""
        if not is_person(voter) or any(vote.voter.person == voter.person for vote in ballot.votes):
            return False
        before = await self.decide(proposal, content.resource, ballot)
        vote = Vote(voter, proposal.digest, is_for=True)
        after = await self.decide(proposal, content.resource, replace(ballot, votes=(*ballot.votes, vote)))
        return _empty_seats(after) < _empty_seats(before)

    async def check_voter(self, voter: Actor, proposal: Proposal, content: Content, *, is_for: bool) -> None:
        ballot = await self.ballot_of(proposal)
        if any(vote.voter.person == voter.person for vote in ballot.votes):
            raise Conflict(Finding("approval.vote.twice", "you have voted on this revision already", hint="one person, one vote"))
        if voter.person == proposal.proposer_person:
            hint = f"wait for others, or chargepki approval withdraw {proposal.id}"
            raise NotAuthorised(Finding("approval.vote.own", "the proposer has a seat already, and no vote", hint=hint))
        if is_for and not await self.would_fill(voter, proposal, content, ballot):
            hint = f"who is missing: chargepki approval show {proposal.id}"
            raise NotAuthorised(Finding("approval.vote.no_seat", "none of the missing seats is yours to fill", hint=hint))


def is_person(actor: Actor) -> bool:
    return actor.kind is ActorKind.PERSON and bool(actor.person)


def _empty_seats(decision: Decision) -> float:
    match decision:
        case Allow():
            return 0
        case NeedsApproval() as needs:
            return sum(seat.count for seat in needs.missing)
        case Deny():
            return float("inf")
