"""Approvals: proposals that wait for others, their votes, and carrying out what was agreed.

A vote binds the SHA-256 of the proposal's exact bytes. Whatever happens to a proposal is decided anew by `decide` with everybody's
rights of that moment, and once more by the use case that carries it out.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from chargepki.core.access.decide import decide, find_rule, may_fill
from chargepki.core.access.model import (
    Actor,
    Allow,
    Ballot,
    Deny,
    NeedsApproval,
    QuorumRule,
    Resource,
    Seat,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import Act, Effect
from chargepki.core.proposal_states import (
    BEGUN,
    check_digest,
    check_note,
    check_open,
    check_takes_votes,
    closed,
    is_waiting,
    iso,
    lease_ended,
    reopen,
    spell_outcome,
    was_begun,
)
from chargepki.core.proposals import (
    REVISIONS_MAX,
    Content,
    Difference,
    JsonObject,
    assemble_payload,
    diff_payloads,
    digest_payload,
    spell_digest,
)
from chargepki.core.records import Outcome, Page, PartyId, PersonId, Proposal, ProposalId, ProposalState, VoteRecord
from chargepki.errors import Broken, Conflict, Finding, NotAuthorised, Refused
from chargepki.ports import PAGE_SIZE_MAX, AddVote, Ports, UpdateProposal
from chargepki.services.actors import Actors
from chargepki.services.audit import AuditTrail, Caller, not_authorised
from chargepki.services.ballots import Ballots, is_person, read_content
from chargepki.services.scoping import missing

DOOR: Final = "approval"
ATTEMPTS_MAX: Final = 5  # at a version that others change too: two last votes at once are rare, five in a row are a fault

Executor = Callable[[Caller, JsonObject, Ballot], Awaitable[str]]
ResourceOf = Callable[[JsonObject], Awaitable[Resource]]


@dataclass(frozen=True, slots=True)
class Report:
    """A proposal as it stands now. `filled` and `missing` are judged by today's rights; empty once it is closed."""

    proposal: Proposal
    content: Content
    votes: tuple[VoteRecord, ...]  # on these bytes
    filled: tuple[tuple[Permission, str], ...] = ()
    missing: tuple[Seat, ...] = ()
    not_before: datetime | None = None
    may_vote: bool = False
    changes: tuple[Difference, ...] = ()  # by the edit that was just made


def proposal_of(caller: Caller) -> ProposalId | None:
    """The proposal that is being carried out, for the records that name theirs."""
    return ProposalId(caller.trace) if caller.door == DOOR else None


class Approvals:
    """`executors` carry out an order by its action; `resources` tell what an edited order is about: without one there is no editing."""

    def __init__(
        self,
        ports: Ports,
        audit: AuditTrail,
        actors: Actors,
        executors: Mapping[Permission, Executor],
        resources: Mapping[Permission, ResourceOf] | None = None,
    ) -> None:
        self._ports, self._audit, self._ballots = ports, audit, Ballots(ports, audit, actors)
        self._executors, self._resources = executors, resources or {}

    # ---------------------------------------------------------------------------------------------------------- reading

    async def list(
        self, caller: Caller, *, state: ProposalState | None = None, is_mine: bool = False, cursor: str = "", limit: int = 50
    ) -> Page[Report]:
        """Newest first. `is_mine`: only those that the caller could vote on now; such a page may be shorter than `limit`."""
        parties = self._audit.parties_of(caller, Permission.APPROVAL_PROPOSAL_READ)
        wanted = ProposalState.OPEN if is_mine else state
        page = await self._ports.store.list_proposals(state=wanted, parties=parties, cursor=cursor, limit=limit)
        reports = [await self._report(caller, proposal) for proposal in page.items]
        return Page(tuple(report for report in reports if report.may_vote or not is_mine), page.next)

    async def get(self, caller: Caller, id: ProposalId) -> Report:
        return await self._report(caller, await self._get(caller, id))

    # ----------------------------------------------------------------------------------------------------------- voting

    async def vote(self, caller: Caller, id: ProposalId, digest: bytes, *, is_for: bool, note: str = "") -> Report:
        """Takes a seat, or stops the proposal with one vote against; then carries out what stands.

        `Conflict` when the proposal is closed, was edited (another digest), or has this person's vote already; `NotAuthorised` when
        the caller could not fill a seat that is missing.
        """
        await self._get(caller, id)
        proposal = await self._settle(id)
        content = read_content(proposal)
        act = self._vote_act(caller, proposal, content, digest, is_for=is_for, note=note)
        async with self._audit.act(act) as opened:
            check_note(note)
            check_takes_votes(proposal, is_for=is_for)
            check_digest(proposal, digest)
            await self._ballots.check_voter(caller.actor, proposal, content, is_for=is_for)
            opened.effect = Effect({"proposal": id, "digest": proposal.digest.hex(), "vote": "for" if is_for else "against"})
            if proposal.state is ProposalState.APPROVED:  # an objection during the cool-down
                stopped = replace(proposal, state=ProposalState.REJECTED, outcome=f"against: {caller.actor.person}")
                await self._ports.store.commit(UpdateProposal(stopped), opened.done())
            else:
                now, assurance = self._ports.clock.now(), int(caller.actor.assurance)
                vote = VoteRecord(id, PersonId(caller.actor.person), digest, is_for, now, assurance, note)
                await self._ports.store.commit(AddVote(vote), opened.done())
        return await self._report(caller, await self._settle(id))

    async def edit(self, caller: Caller, id: ProposalId, order: JsonObject) -> Report:
        """Another order under the same id: the next revision, with no votes, and all its time again. For its proposer alone."""
        proposal = await self._get(caller, id)
        async with self._audit.act(self._own_act(caller, proposal, "edit")) as opened:
            _check_own(caller, proposal)
            check_open(proposal)
            edited = await self._edited(caller, proposal, order)
            opened.effect = Effect({"proposal": id, "digest": edited.digest.hex(), "revision": edited.revision})
            done = opened.done(before_sha256=proposal.digest, after_sha256=edited.digest)
            await self._ports.store.commit(UpdateProposal(edited), done)
        report = await self._report(caller, await self._ports.store.get_proposal(id))
        return replace(report, changes=diff_payloads(proposal.payload, edited.payload))

    async def withdraw(self, caller: Caller, id: ProposalId) -> Report:
        """Ends a proposal that has had no effect yet. For its proposer alone."""
        proposal = await self._get(caller, id)
        async with self._audit.act(self._own_act(caller, proposal, "withdraw")) as opened:
            _check_own(caller, proposal)
            if proposal.state is not ProposalState.OPEN and not is_waiting(proposal):
                raise closed(proposal)
            withdrawn = replace(proposal, state=ProposalState.WITHDRAWN, outcome="")
            await self._ports.store.commit(UpdateProposal(withdrawn), opened.done())
        return await self._report(caller, await self._ports.store.get_proposal(id))

    # ----------------------------------------------------------------------------------------------------- carrying out

    async def carry_out_due(self) -> int:
        """Moves on whatever time or a crash has left behind: expires, carries out after a cool-down, takes up what was cut off.

        How many proposals moved. For the node's chores; safe on several nodes at once.
        """
        moved = 0
        for state in (ProposalState.APPROVED, ProposalState.OPEN):
            cursor = ""
            while True:
                page = await self._ports.store.list_proposals(state=state, cursor=cursor, limit=PAGE_SIZE_MAX)
                for proposal in page.items:
                    moved += (await self._settle(proposal.id)).version != proposal.version
                if not (cursor := page.next):
                    break
        return moved

    async def _settle(self, id: ProposalId) -> Proposal:
        """Takes the proposal as far as it goes now. Of several who try at once, one moves it: the others see what it became."""
        for _ in range(ATTEMPTS_MAX):
            proposal = await self._ports.store.get_proposal(id)
            moved = await self._next(proposal)
            if moved is None:
                return proposal
            try:
                await self._ports.store.commit(UpdateProposal(moved))
            except Conflict:
                continue
            stored = replace(moved, version=proposal.version + 1)
            if not was_begun(moved):
                return stored
            return await self._carry_out(stored, is_retry=proposal.state is ProposalState.APPROVED)
        raise Conflict(Finding("approval.proposal.busy", f"proposal {id} is being changed by others", hint="try again"))

    async def _next(self, proposal: Proposal) -> Proposal | None:
        """What becomes of it now; None when nothing does. Claims it (`begun`) when it can be carried out."""
        now = self._ports.clock.now()
        is_open = proposal.state is ProposalState.OPEN
        if not is_open and not (proposal.state is ProposalState.APPROVED and lease_ended(proposal, now)):
            return None
        if is_open and proposal.expires_at <= now:
            return replace(proposal, state=ProposalState.EXPIRED, outcome="nobody filled the missing seats in time")
        against = next((v.person for v in await self._ballots.votes_on(proposal) if not v.is_for), None)
        if against is not None:
            return replace(proposal, state=ProposalState.REJECTED, outcome=f"against: {against}")
        match await self._ballots.decide(proposal, read_content(proposal).resource, await self._ballots.ballot_of(proposal)):
            case Deny() as denied:
                return replace(proposal, state=ProposalState.FAILED, outcome=spell_outcome(*(f"{c}: {m}" for c, m in denied.reasons)))
            case NeedsApproval() as needs if needs.missing:
                return None if is_open else reopen(proposal, now)
            case NeedsApproval() as needs:
                return replace(proposal, state=ProposalState.APPROVED, outcome=f"waits until {iso(needs.not_before)}") if is_open else None
            case Allow():
                return replace(proposal, state=ProposalState.APPROVED, outcome=BEGUN + iso(now))

    async def _carry_out(self, proposal: Proposal, *, is_retry: bool) -> Proposal:
        """Runs the executor for a proposal this call has claimed. What broke stays approved and is taken up again."""
        try:
            done = await self._find_done(proposal) if is_retry else ""
            ended = replace(proposal, state=ProposalState.EXECUTED, outcome=done or await self._execute(proposal))
        except Refused as refusal:
            ended = replace(
                proposal, state=ProposalState.FAILED, outcome=spell_outcome(*(f"{f.code}: {f.message}" for f in refusal.findings))
            )
        except Broken as broken:  # on record by the use case itself; the proposal says it too, and the chores try again
            ended = replace(proposal, outcome=spell_outcome(f"broken, to be tried again: {broken}"))
        await self._ports.store.commit(UpdateProposal(ended))
        return replace(ended, version=proposal.version + 1)

    async def _execute(self, proposal: Proposal) -> str:
        executor = self._executors.get(proposal.action)
        if executor is None:
            raise Refused.because("approval.action.unknown", f"nothing here carries out {proposal.action}", hint="is this node up to date?")
        caller = Caller(await self._ballots.proposer_of(proposal), DOOR, trace=proposal.id, request_sha256=proposal.digest)
        try:
            return await executor(caller, read_content(proposal).order, await self._ballots.ballot_of(proposal))
        except (AssertionError, LookupError, TypeError, ValueError) as error:  # one order must not end the chores of all others
            hint = "was it made by another version, or for a ceremony? withdraw it and propose again"
            raise Broken(f"the order cannot be carried out ({type(error).__name__})", hint=hint) from error

    async def _find_done(self, proposal: Proposal) -> str:
        """What an attempt that was cut off had done already: its entry, committed with its effect, names the proposal."""
        cursor = ""
        while True:
            page = await self._ports.store.list_audit(
                actor=proposal.proposer, action=proposal.action, outcome=Outcome.DONE, cursor=cursor, limit=PAGE_SIZE_MAX
            )
            for entry in page.items:
                if entry.at < proposal.created_at:
                    return ""
                if f'"trace":"{proposal.id}"'.encode() in entry.body:
                    return entry.object
            if not (cursor := page.next):
                return ""

    # ---------------------------------------------------------------------------------------------------------- reporting

    async def _report(self, caller: Caller, proposal: Proposal) -> Report:
        content = read_content(proposal)
        report = Report(proposal, content, await self._ballots.votes_on(proposal))
        if proposal.state not in (ProposalState.OPEN, ProposalState.APPROVED):
            return report
        ballot = await self._ballots.ballot_of(proposal)
        decision = await self._ballots.decide(proposal, content.resource, ballot)
        if isinstance(decision, NeedsApproval):
            report = replace(report, filled=decision.filled, missing=decision.missing, not_before=decision.not_before)
        may_vote = proposal.state is ProposalState.OPEN and await self._ballots.would_fill(caller.actor, proposal, content, ballot)
        return replace(report, may_vote=may_vote)

    # ----------------------------------------------------------------------------------------------------------- acting

    def _vote_act(self, caller: Caller, proposal: Proposal, content: Content, digest: bytes, *, is_for: bool, note: str) -> Act:
        """A vote is an act under the permission of the seat: the gate judges role, scope, conflicts and assurance."""
        if not is_person(caller.actor):
            raise NotAuthorised(Finding("approval.vote.no_person", "only people vote", hint="sign in: chargepki login"))
        rule = self._rule_of(content)
        seat = self._seat_for(caller.actor, rule, content.resource)
        if find_rule(seat, content.resource, self._audit.policy) is None:
            action, resource = seat, content.resource
        else:  # the seat's own permission waits for others too (two who restore a backup): `Ballots.check_voter` says who may take it
            action, resource = Permission.APPROVAL_PROPOSAL_READ, Resource(party=proposal.party)
        return caller.act(
            action,
            f"proposal:{proposal.id}",
            resource=resource,
            personal={"note": note},
            vote="for" if is_for else "against",
            digest=spell_digest(digest),
            seat=seat,
            rule=rule.id,
        )

    def _seat_for(self, voter: Actor, rule: QuorumRule, resource: Resource) -> Permission:
        """The seat this person would take; for somebody who may take none, the one that says best why."""
        now = self._ports.clock.now()
        fitting = (seat for seat in reversed(rule.seats) if may_fill(voter, seat, resource, now, self._audit.policy))
        return next(fitting, rule.seats[-1]).permission

    def _rule_of(self, content: Content) -> QuorumRule:
        rule = find_rule(content.action, content.resource, self._audit.policy)
        if rule is None:
            message = f"{content.action} needs no votes any more"
            raise Conflict(Finding("approval.rule.gone", message, hint="withdraw the proposal and do it"))
        return rule

    def _own_act(self, caller: Caller, proposal: Proposal, what: str) -> Act:
        resource = Resource(party=proposal.party)
        return caller.act(Permission.APPROVAL_PROPOSAL_READ, f"proposal:{proposal.id}", resource=resource, change=what)

    async def _edited(self, caller: Caller, proposal: Proposal, order: JsonObject) -> Proposal:
        resource_of = self._resources.get(proposal.action)
        if resource_of is None:
            message = f"proposals of {proposal.action} cannot be edited"
            raise Refused.because("approval.edit.unsupported", message, hint="withdraw it and propose again")
        if proposal.revision >= REVISIONS_MAX:
            raise Refused.because("approval.edit.too_often", f"a proposal has at most {REVISIONS_MAX} revisions", hint="propose anew")
        content = Content(proposal.action, proposal.object, order, await resource_of(order), proposal.revision + 1)
        now = self._ports.clock.now()
        match decide(caller.actor, content.action, content.resource, now, self._audit.policy):
            case Deny() as denied:
                raise not_authorised(denied, caller.act(content.action, content.object))
            case Allow():
                raise Refused.because("approval.edit.needs_none", "the edited order needs nobody else", hint="withdraw this and do it")
        rule, payload = self._rule_of(content), assemble_payload(content)
        return replace(
            proposal,
            payload=payload,
            digest=digest_payload(payload),
            rule=rule.id,
            party=PartyId(content.resource.party),
            expires_at=now + timedelta(hours=rule.open_hours),
            revision=content.revision,
        )

    async def _get(self, caller: Caller, id: ProposalId) -> Proposal:
        self._audit.check_held(caller, Permission.APPROVAL_PROPOSAL_READ)
        proposal = await self._ports.store.get_proposal(id)
        self._audit.check_visible(
            caller, Permission.APPROVAL_PROPOSAL_READ, Resource(party=proposal.party), missing("proposal", id, "approval")
        )
        return proposal


def _check_own(caller: Caller, proposal: Proposal) -> None:
    """The same person, through whichever account; a machine's own."""
    actor = caller.actor
    is_own = actor.person == proposal.proposer_person if proposal.proposer_person else actor.id == proposal.proposer
    if not is_own:
        hint = f"to stop it: chargepki approval reject {proposal.id}"
        raise NotAuthorised(Finding("approval.proposal.not_yours", "only its proposer changes a proposal", hint=hint))
