"""The gate and the trail in one place: every use case runs inside `AuditTrail.act`, and nothing else decides."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from chargepki.core.access.decide import decide, find_rule, held_permissions, reaches_party, visible_parties
from chargepki.core.access.model import (
    NO_BALLOT,
    PLATFORM_RESOURCE,
    Actor,
    Allow,
    Ballot,
    Deny,
    NeedsApproval,
    Policy,
    Resource,
    Seat,
)
from chargepki.core.access.permissions import Permission
from chargepki.core.audit import NO_EFFECT, SALT_OCTETS, Act, Effect, Judgement, assemble_entry
from chargepki.core.canonical_json import JsonValue
from chargepki.core.proposals import Content, assemble_payload
from chargepki.core.rates import RateWindow
from chargepki.core.records import AuditEntry, AuditId, Outcome, Page, PartyId, Proposal, ProposalId
from chargepki.errors import Broken, Conflict, Finding, NeedsStepUp, NeedsVotes, NotAuthorised, NotFound, Refused, TooMany
from chargepki.ports import AddProposal, AppendAudit, Ports

# A minute's worth. A fleet behind one address that was shut out shows itself in far fewer; a flood would fill the disk with the same.
REFUSALS_PER_ADDRESS_MAX: Final = 60
REFUSALS_OF_STRANGERS_MAX: Final = 300
ADDRESSES_MAX: Final = 10_000
# Of one person (through all their tokens) or machine. More than people read; a backend that asks again and again would bury the rest.
PROPOSALS_PER_HOUR_MAX: Final = 200
PROPOSERS_MAX: Final = 10_000
PAYLOAD_OCTETS_MAX: Final = 256 * 1024  # of a proposal: five thousand certificates to revoke

_OUT_OF_REACH: Final = "access.scope."  # reasons of `decide` that speak of the object, not of who asks

Barrier = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Caller:
    """What a door knows of who is asking. `request_sha256` is over the bytes that were received."""

    actor: Actor
    door: str = ""
    remote: str = ""
    trace: str = ""
    request_sha256: bytes = b""

    def act(
        self,
        action: Permission,
        object: str,
        *,
        resource: Resource | None = PLATFORM_RESOURCE,
        personal: Mapping[str, str] | None = None,
        subject: str = "",
        facts: Mapping[str, str] | None = None,
        **detail: str,
    ) -> Act:
        """`facts` and `detail` are one: what the reader of the log should know besides."""
        told = {**(facts or {}), **detail}
        return Act(
            self.actor, action, object, self.door, self.remote, self.trace, self.request_sha256, told, resource, personal or {}, subject
        )


@dataclass(frozen=True, slots=True)
class Order:
    """What would be carried out once others agree: canonical JSON values, read again by the use case's `carry_out`."""

    content: Mapping[str, JsonValue]


class _Waits(Exception):
    """An act that others have to agree to."""

    def __init__(self, needs: NeedsApproval, judgement: Judgement, order: Order | None) -> None:
        self.needs, self.judgement, self.order = needs, judgement, order


@dataclass(slots=True)
class OpenAct:
    """An act under way. `done()` is the change that the use case commits with its effect."""

    act: Act
    id: AuditId
    _ports: Ports
    _policy: Policy
    _barrier: Barrier
    judgement: Judgement | None = None
    effect: Effect = NO_EFFECT
    findings: tuple[Finding, ...] = ()
    _intent: AuditId | None = None

    @property
    def via(self) -> str:
        """What allowed it: the grant, and whoever stood in for a second voice."""
        return self._allowed.via

    @property
    def standing(self) -> str:
        """The standing approval that stood in for others; "" where none did."""
        return self._allowed.standing

    @property
    def _allowed(self) -> Allow:
        decision = None if self.judgement is None else self.judgement.decision
        assert isinstance(decision, Allow), "only an act that was allowed goes on"
        return decision

    def check(self, resource: Resource, *, ballot: Ballot = NO_BALLOT, order: Order | None = None) -> None:
        """Decides about `resource`. Raises `NotAuthorised`, or what becomes `NeedsVotes` when others have to agree."""
        judgement = judge(self.act, resource, self._ports, self._policy, ballot)
        self.judgement = judgement
        match judgement.decision:
            case Deny() as denied:
                raise not_authorised(denied, self.act)
            case NeedsApproval() as needs:
                raise _Waits(needs, judgement, order)

    def intent(self, **facts: JsonValue) -> AppendAudit:
        """The entry that stands in the log before anything is signed; `await ready()` after its commit."""
        self._check_decided()
        intent = AuditId(self._ports.entropy.ulid("aud"))
        entry = self._entry(intent, Outcome.INTENT, Effect(facts), of=None)
        self._intent = intent
        return AppendAudit(entry)

    async def ready(self) -> None:
        """Returns when everything committed so far, the intent with it, stands in a durable checkpoint of the log."""
        await self._barrier()

    def done(self, *, object: str = "", before_sha256: bytes = b"", after_sha256: bytes = b"") -> AppendAudit:
        """The entry of a success; commit it in the same transaction as what it speaks of."""
        self._check_decided()
        if object:
            self.act = replace(self.act, object=object)
        effect = Effect(self.effect.facts, before_sha256 or self.effect.before_sha256, after_sha256 or self.effect.after_sha256)
        return AppendAudit(self._entry(self.id, Outcome.DONE, effect, of=self._intent))

    def _check_decided(self) -> None:
        """A use case that forgot to ask the gate signs nothing and changes nothing."""
        if self.judgement is None or not isinstance(self.judgement.decision, Allow):
            raise Broken(f"{self.act.action} was about to take effect without a decision", hint="this is a defect: report it")

    def ended(self, outcome: Outcome, findings: tuple[Finding, ...]) -> AppendAudit:
        self.findings = findings
        return AppendAudit(self._entry(self.id, outcome, self.effect, of=self._intent))

    def _entry(self, id: AuditId, outcome: Outcome, effect: Effect, *, of: AuditId | None) -> AuditEntry:
        # What was decided and who is behind it is told once: an act with an intent told it there.
        judgement = self.judgement if of is None else None
        act = self.act if of is None else replace(self.act, remote="", personal={})
        salt = self._ports.entropy.octets(SALT_OCTETS) if act.remote or act.personal else b""
        return assemble_entry(
            id,
            self._ports.clock.now(),
            act,
            outcome,
            judgement=judgement,
            of=of,
            party="" if self.judgement is None else self.judgement.resource.party,
            findings=self.findings,
            effect=effect,
            salt=salt,
        )


class _Strangers:
    """Bounds what people nobody knows may write to the trail: so many refusals per address, so many altogether, the rest counted."""

    def __init__(self) -> None:
        self._by_address = RateWindow(limit=REFUSALS_PER_ADDRESS_MAX, seconds=60, keys_max=ADDRESSES_MAX)
        self._all = RateWindow(limit=REFUSALS_OF_STRANGERS_MAX, seconds=60, keys_max=1)
        self._unrecorded = 0

    def take(self, address: str, now: float) -> int | None:
        """How many refusals went unrecorded since the last recorded one; None when this one goes unrecorded too."""
        if self._by_address.retry_after(address, now) or self._all.retry_after("", now):
            self._unrecorded += 1
            return None
        self._by_address.note(address, now)
        self._all.note("", now)
        unrecorded, self._unrecorded = self._unrecorded, 0
        return unrecorded


class AuditTrail:
    """`barrier` returns when the log has durably taken in what was committed before."""

    def __init__(self, ports: Ports, policy: Policy, barrier: Barrier) -> None:
        self._ports, self.policy, self._barrier = ports, policy, barrier
        self._alone = replace(policy, rules=())  # what somebody could do if nobody else had to agree
        self._strangers = _Strangers()
        self._proposed = RateWindow(limit=PROPOSALS_PER_HOUR_MAX, seconds=3600, keys_max=PROPOSERS_MAX)

    @asynccontextmanager
    async def act(self, act: Act, *, order: Order | None = None, ballot: Ballot = NO_BALLOT, stranger: str = "") -> AsyncIterator[OpenAct]:
        """Authorises `act`, then runs the body. A refusal or a breakdown inside is recorded and goes on to the caller.

        Where others have to agree, `order` is put on record as a proposal for them and `NeedsVotes` is raised; `ballot` is what they
        said when it is carried out.

        `stranger` is the address of a caller who has proved nothing yet. Of those, only so many refusals a minute are recorded; the
        next entry tells how many were not (`detail.unrecorded`).
        """
        opened = OpenAct(act, AuditId(self._ports.entropy.ulid("aud")), self._ports, self.policy, self._barrier)
        try:
            if act.resource is None:
                self._check_held(act, opened)
            else:
                opened.check(act.resource, ballot=ballot, order=order)
            yield opened
        except _Waits as waits:
            raise await self._propose(opened, waits) from None
        except Refused as refusal:
            if not stranger or self._may_record(act, stranger):
                await self._ports.store.commit(opened.ended(Outcome.REFUSED, (*opened.findings, *refusal.findings)))
            raise
        except Broken as broken:
            # The store may be what broke: the caller hears of that first. `Conflict`: the effect was committed after all, with its entry.
            with suppress(Broken, Conflict):
                await self._ports.store.commit(opened.ended(Outcome.BROKEN, (Finding("platform.broken", str(broken), hint=broken.hint),)))
            raise

    def check(self, caller: Caller, permission: Permission, resource: Resource = PLATFORM_RESOURCE) -> None:
        """For reading: leaves no entry. Raises `NotAuthorised`."""
        act = caller.act(permission, "")
        match judge(act, resource, self._ports, self.policy, NO_BALLOT).decision:
            case Deny() as denied:
                raise not_authorised(denied, act)
            case NeedsApproval() as needs:
                raise NotAuthorised(_needs_others(needs))

    def parties_of(self, caller: Caller, permission: Permission) -> frozenset[PartyId] | None:
        """Whose objects this caller may see: what every list is filtered by. None: everybody's. Raises `NotAuthorised` for nobody's."""
        parties = visible_parties(caller.actor, permission, self._ports.clock.now(), self.policy)
        if parties is not None and not parties:
            self.check(caller, permission)  # says why
        return None if parties is None else frozenset(PartyId(party) for party in parties)

    def check_visible(self, caller: Caller, permission: Permission, resource: Resource, not_found: NotFound) -> None:
        """An object that no grant of the caller reaches does not exist for them. Whether others have to agree is asked later."""
        act = caller.act(permission, "")
        match judge(act, replace(resource, spaces=None), self._ports, self._alone, NO_BALLOT).decision:
            case Deny() as denied if any(code.startswith(_OUT_OF_REACH) for code, _ in denied.reasons):
                raise not_found
            case Deny() as denied:
                raise not_authorised(denied, act)

    def reaches_party(self, caller: Caller, permission: Permission, party: PartyId) -> bool:
        """Whether anything of this party is within the caller's reach: to others it is as if it did not exist."""
        return reaches_party(caller.actor, permission, party, self._ports.clock.now())

    def check_held(self, caller: Caller, permission: Permission) -> None:
        """Before an object is looked up: who holds the permission nowhere is told so, whether there is such an object or not."""
        if permission not in held_permissions(caller.actor, self._ports.clock.now(), self.policy):
            self.check(caller, permission)
            raise NotAuthorised(Finding("access.permission.missing", f"{caller.actor.id} does not hold {permission}"))

    async def list(
        self, caller: Caller, *, actor: str = "", action: str = "", object: str = "", outcome: str = "", cursor: str = "", limit: int = 50
    ) -> Page[AuditEntry]:
        """Reading leaves no entry: the trail records changes and refusals."""
        parties = self.parties_of(caller, Permission.AUDIT_ENTRY_READ)
        return await self._ports.store.list_audit(
            actor=actor, action=action, object=object, outcome=outcome, parties=parties, cursor=cursor, limit=limit
        )

    async def get(self, caller: Caller, id: AuditId) -> AuditEntry:
        self.check_held(caller, Permission.AUDIT_ENTRY_READ)
        entry = await self._ports.store.get_audit(id)
        missing = NotFound(Finding("audit.entry.unknown", f"there is no audit entry {id}", hint="list them: chargepki log list"))
        self.check_visible(caller, Permission.AUDIT_ENTRY_READ, Resource(party=entry.party), missing)
        return entry

    def _check_held(self, act: Act, opened: OpenAct) -> None:
        """Before the resource is known: somebody who holds the permission nowhere is told at once, and learns nothing else."""
        if act.action not in held_permissions(act.actor, self._ports.clock.now(), self.policy):
            opened.check(PLATFORM_RESOURCE)
            raise NotAuthorised(Finding("access.permission.missing", f"{act.actor.id} does not hold {act.action}"))

    async def _propose(self, opened: OpenAct, waits: _Waits) -> Refused:
        """Puts the proposal on record; the error tells who is missing."""
        finding = _needs_others(waits.needs)
        if waits.order is None or waits.judgement.ballot.digest:  # carrying out a proposal never makes another one
            await self._ports.store.commit(opened.ended(Outcome.REFUSED, (*opened.findings, finding)))
            return NotAuthorised(finding)
        try:
            self._check_may_propose(opened.act.actor)
            proposal = self._proposal(opened.act, waits, waits.order)
        except Refused as refusal:
            await self._ports.store.commit(opened.ended(Outcome.REFUSED, (*opened.findings, *refusal.findings)))
            return refusal
        opened.effect = Effect({"proposal": proposal.id, "digest": proposal.digest.hex(), "rule": proposal.rule})
        await self._ports.store.commit(AddProposal(proposal), opened.ended(Outcome.PENDING, (*opened.findings, finding)))
        finding = replace(finding, hint=f"others: chargepki approval approve {proposal.id} --digest sha256:{proposal.digest.hex()}")
        return NeedsVotes(finding, proposal=proposal.id, missing=tuple(map(describe_seat, waits.needs.missing)))

    def _check_may_propose(self, actor: Actor) -> None:
        proposer, now = actor.person or actor.id, asyncio.get_running_loop().time()
        if seconds := self._proposed.retry_after(proposer, now):
            message = f"others have to agree, and {PROPOSALS_PER_HOUR_MAX} proposals of yours within an hour are more than they can read"
            hint = "a standing approval lets a machine work: chargepki standing create"
            raise TooMany(Finding("approval.proposals.too_many", message, hint=hint), retry_after=seconds)
        self._proposed.note(proposer, now)

    def _proposal(self, act: Act, waits: _Waits, order: Order) -> Proposal:
        now = self._ports.clock.now()
        payload = assemble_payload(Content(act.action, act.object, order.content, waits.judgement.resource))
        rule = find_rule(act.action, waits.judgement.resource, self.policy)
        assert rule is not None, "only a rule asks for others"
        return Proposal(
            ProposalId(self._ports.entropy.ulid("prp")),
            act.action,
            act.object,
            rule.id,
            payload,
            hashlib.sha256(payload).digest(),
            PartyId(waits.judgement.resource.party),
            act.actor.id,
            act.actor.person,
            now,
            now + timedelta(hours=rule.open_hours),
        )

    def _may_record(self, act: Act, stranger: str) -> bool:
        unrecorded = self._strangers.take(stranger, asyncio.get_running_loop().time())
        if unrecorded:
            act.detail["unrecorded"] = str(unrecorded)
        return unrecorded is not None


def judge(act: Act, resource: Resource, ports: Ports, policy: Policy, ballot: Ballot) -> Judgement:
    now = ports.clock.now()
    return Judgement(decide(act.actor, act.action, resource, now, policy, ballot), resource, policy.id, now, ballot)


def not_authorised(denied: Deny, act: Act) -> Refused:
    hint = f"needed: {act.action}; chargepki whoami shows what you hold"
    findings = [Finding(code, message, hint=hint) for code, message in denied.reasons]
    if denied.is_step_up:
        return NeedsStepUp(*(replace(f, hint="prove your second factor: chargepki step-up") for f in findings))
    return NotAuthorised(*findings)


def describe_seat(seat: Seat) -> str:
    """For people: "2 who hold ca:certificate:approve"."""
    offices = f" as {' or '.join(sorted(seat.roles))}" if seat.roles else ""
    return f"{seat.count} who hold{'s' if seat.count == 1 else ''} {seat.permission}{offices}"


def _needs_others(needs: NeedsApproval) -> Finding:
    missing = "; ".join(map(describe_seat, needs.missing)) or f"waiting until {needs.not_before}"
    return Finding(
        "access.approval.needed",
        f"others have to agree ({needs.rule}): {missing}",
        hint="chargepki approval list shows what waits; nothing was done",
    )
