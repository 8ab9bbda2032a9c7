"""A ceremony under way: the script's steps in their order, each confirmed in person, each durable before the next begins.

Rehearsal and ceremony are this one class; they differ in the platform and the room they are handed. Nothing is decided here: people
sign in, the exact order is proposed and voted on like any other, and the use cases behind the one gate carry it out.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from chargepki.core.access.decide import SYSTEM
from chargepki.core.access.model import Ballot
from chargepki.core.access.permissions import Permission
from chargepki.core.canonical_json import JsonValue
from chargepki.core.ceremony.printing import print_transcript
from chargepki.core.ceremony.script import Chair, Kind, Script
from chargepki.core.ceremony.steps import (
    CREED,
    PROPOSES,
    Step,
    StepKind,
    effect_of,
    plan_steps,
)
from chargepki.core.ceremony.transcript import (
    Entry,
    Signer,
    Transcript,
    What,
    append,
    check_course,
    encode,
    next_step,
    parse_transcript,
)
from chargepki.core.ceremony.words import fold_words, spell_hex
from chargepki.core.proposal_states import was_begun
from chargepki.core.records import PersonId, Proposal, ProposalId, ProposalState
from chargepki.errors import Finding, NeedsVotes, Refused, refuse_errors
from chargepki.ports import PAGE_SIZE_MAX, Ports
from chargepki.services.actors import Actors
from chargepki.services.approvals import Approvals, Executor
from chargepki.services.audit import AuditTrail, Caller, describe_seat
from chargepki.services.authorities import Authorities
from chargepki.services.ballots import read_content
from chargepki.services.ceremony_chairs import DOOR, Chairs, Met, show_refusal
from chargepki.services.ceremony_orders import CeremonyOrders
from chargepki.services.ceremony_results import Results
from chargepki.services.ceremony_shares import Shares
from chargepki.services.ceremony_tools import (
    Binder,
    Console,
    KeySafe,
    Reception,
    SecondOpinion,
    ShareCutter,
)
from chargepki.services.crls import CrlPublisher
from chargepki.services.cross_certificates import CrossCertificates
from chargepki.services.key_backups import KeyBackups
from chargepki.services.keys import Keys
from chargepki.services.offline_authorities import OfflineAuthorities
from chargepki.services.profiles import ProfileRegister

VOTES_TRIED_MAX: Final = 40  # votes, with those that are refused
TEXT_MAX: Final = 400  # of a deviation: what fits into a detail of the log
_PLATFORM: Final = Caller(SYSTEM, door=DOOR)
_OVER: Final = frozenset({ProposalState.REJECTED, ProposalState.WITHDRAWN, ProposalState.EXPIRED, ProposalState.FAILED})


class Ending(StrEnum):
    DONE = "done"
    PENDING = "pending"  # somebody is missing, or time has to pass: run it again
    STOPPED = "stopped"  # somebody was against it, or it could not be carried out: it needs another script


@dataclass(frozen=True, slots=True)
class Platform:
    """The services that a ceremony works with."""

    ports: Ports
    audit: AuditTrail
    actors: Actors
    authorities: Authorities
    profiles: ProfileRegister
    keys: Keys
    crl_lifetime: timedelta


@dataclass(frozen=True, slots=True)
class Room:
    """Where it is held."""

    console: Console
    binder: Binder
    reception: Reception
    second: SecondOpinion
    safe: KeySafe | None
    cutter: ShareCutter
    is_rehearsal: bool = False


class Ceremony:
    def __init__(self, platform: Platform, room: Room, script: Script) -> None:
        self._ports, self._room, self._script = platform.ports, room, script
        self._chairs = Chairs(platform.ports, platform.audit, room.console, room.reception, script)
        self._shares = Shares(room.console, room.cutter)
        self._steps = plan_steps(script)
        self._transcript = Transcript()
        self._wrapping_key = b""  # between the custodians' shares and what they open
        lifetime = timedelta(days=script.crl_days) if script.crl_days else platform.crl_lifetime
        crls = CrlPublisher(platform.ports, platform.audit, platform.authorities, lifetime)
        parts = (platform.ports, platform.audit, platform.profiles, platform.authorities, room.binder)
        offline, cross = OfflineAuthorities(*parts), CrossCertificates(*parts)
        self._backups = KeyBackups(platform.ports, platform.audit, platform.authorities, platform.keys, room.safe, room.cutter)
        self._orders = CeremonyOrders(platform.ports, platform.authorities, offline, cross, platform.keys, crls, self._backups, room.binder)
        self._results = Results(platform.ports, platform.profiles, platform.authorities, crls, room.binder, room.second)
        executors: Mapping[Permission, Executor] = {
            Permission.CA_AUTHORITY_CREATE: self._orders.carry_out,
            Permission.CA_KEY_DESTROY: platform.keys.carry_out,
            Permission.CA_KEY_RESTORE: self._carry_out_restore,
        }
        self._approvals = Approvals(platform.ports, platform.audit, platform.actors, executors)
        self._facts: tuple[tuple[str, str], ...] = ()

    @property
    def transcript(self) -> Transcript:
        return self._transcript

    @property
    def result(self) -> tuple[tuple[str, str], ...]:
        """What `VERIFY` found, in the run that came so far."""
        return self._facts

    async def run(self) -> Ending:
        """From wherever it stands as far as it goes. `Refused` when the script or the transcript is another than it was."""
        console = self._room.console
        console.show(CREED, "", f"{self._script.title}  ({self._script.kind}, {self._script.name})", effect_of(self._script))
        await self._open()
        while (step := next_step(self._transcript, self._steps)) is not None:
            console.show("", f"Step {self._steps.index(step) + 1} of {len(self._steps)}: {step.title}", *step.text)
            if not await self._takers()[step.kind](step):
                break
        self._wrapping_key = b""
        if self._transcript.is_ended:
            return Ending.STOPPED
        return Ending.DONE if next_step(self._transcript, self._steps) is None else Ending.PENDING

    async def _open(self) -> None:
        """Begins the transcript, or takes up the one there is."""
        octets = await self._room.binder.load()
        sha256 = self._script.sha256.hex()
        if octets is None:
            facts = {"script": self._script.name, "script_sha256": sha256, "kind": self._script.kind.value, "title": self._script.title}
            await self._note(What.OPENED, None, {**facts, "rehearsal": "yes" if self._room.is_rehearsal else "no"})
            return
        self._transcript = parse_transcript(octets)
        said = self._transcript.entries[0].facts.get("script_sha256", "")
        if not said.isascii() or not hmac.compare_digest(said, sha256):
            hint = "a changed script is another ceremony: give it another name, and review it again"
            raise Refused.because(
                "ceremony.script.changed", "this is not the script that the ceremony began with", path="script", hint=hint
            )
        check_course(self._transcript, self._steps)
        self._room.console.show(f"Going on behind entry {len(self._transcript.entries)}, hash {self._transcript.head[:16]} ...")

    def _takers(self) -> Mapping[StepKind, Callable[[Step], Awaitable[bool]]]:
        return {
            StepKind.READ: self._confirm,
            StepKind.OPEN_SHARES: self._open_shares,
            StepKind.PROPOSE: self._propose,
            StepKind.AGREE: self._agree,
            StepKind.VERIFY: self._verify,
            StepKind.SHARES: self._hand_out_shares,
            StepKind.CLOSE: self._close,
        }

    # ----------------------------------------------------------------------------------------------------- simple steps

    async def _confirm(self, step: Step) -> bool:
        """Everybody whom the step names confirms it. False: somebody is missing."""
        for chair, count in step.chairs:
            while len(there := self._confirmed(step, chair)) < count:
                named = [name for name in self._script.named(chair) if name not in there]
                if (met := await self._meet(step, {chair: named})) is None:
                    return False
                entry = await self._chairs.log(met, step, self._transcript.head)
                await self._note(What.CONFIRMED, step, {"log_entry": entry}, met.signer)
        await self._note(What.DONE, step)
        return True

    async def _close(self, step: Step) -> bool:
        head = bytes.fromhex(self._transcript.head)
        self._room.console.show(f"SHA-256  {spell_hex(head)}", *(f"Words    {line}" for line in fold_words(head)))
        return await self._confirm(step)

    # --------------------------------------------------------------------------------------------- proposing and agreeing

    async def _propose(self, step: Step) -> bool:
        """Puts the order on record, or finds that a run that was cut off had done so."""
        if (proposal := await self._find_proposal()) is not None:
            await self._note(What.DONE, step, {"proposal": proposal.id, "digest": proposal.digest.hex()})
            return True
        met = await self._meet(step, {Chair.PROPOSER: self._script.named(Chair.PROPOSER)})
        if met is None:
            return False
        try:
            made = await self._orders.propose(met.caller, self._script, self._wrapping_key)
            facts = {"made": made}
        except NeedsVotes as waits:
            proposal = await self._ports.store.get_proposal(ProposalId(waits.proposal))
            facts = {"proposal": proposal.id, "digest": proposal.digest.hex(), "rule": proposal.rule}
        await self._note(What.CONFIRMED, step, facts, met.signer)
        await self._note(What.DONE, step)
        return True

    async def _find_proposal(self) -> Proposal | None:
        """The proposal that this ceremony made before it was cut off."""
        opened, action = self._transcript.entries[0].at, PROPOSES[self._script.kind]
        objects = await self._orders.objects_of(self._script)
        page = await self._ports.store.list_proposals(limit=PAGE_SIZE_MAX)
        for proposal in page.items:
            if proposal.created_at < opened or proposal.action is not action or proposal.object not in objects or proposal.state in _OVER:
                continue
            if read_content(proposal).order.get("script_sha256", self._script.sha256.hex()) == self._script.sha256.hex():
                return proposal
        return None

    async def _agree(self, step: Step) -> bool:
        """Takes votes until the order is carried out. False: somebody is missing, or a cool-down has to pass."""
        if made := self._transcript.fact("made"):
            await self._note(What.DONE, step, {"made": made})
            return True
        if self._script.kind is Kind.RESTORE and not self._wrapping_key and not await self._type_shares():
            return False
        id, digest = ProposalId(self._transcript.fact("proposal")), bytes.fromhex(self._transcript.fact("digest"))
        self._room.console.show(f"Digest   {spell_hex(digest)}", *(f"Words    {line}" for line in fold_words(digest)))
        for _ in range(VOTES_TRIED_MAX):
            await self._approvals.carry_out_due()
            report = await self._approvals.get(_PLATFORM, id)
            proposal = report.proposal
            if proposal.state is ProposalState.EXECUTED:
                await self._note(What.DONE, step, {"made": proposal.outcome}, *await self._voters(id))
                return True
            if proposal.state in _OVER:
                await self._note(What.ENDED, step, {"state": proposal.state.value, "outcome": proposal.outcome})
                self._room.console.show(f"The order was not carried out: {proposal.state}, {proposal.outcome}")
                return False
            if proposal.state is ProposalState.APPROVED:
                self._show_waiting(proposal)
                return False
            self._room.console.show(f"Missing: {'; '.join(map(describe_seat, report.missing)) or 'nobody'}")
            if not await self._take_vote(step, proposal, digest):
                break
        return False

    async def _take_vote(self, step: Step, proposal: Proposal, digest: bytes) -> bool:
        proposer = await self._ports.store.get_person(PersonId(proposal.proposer_person))  # has a seat already, and no vote
        there = {proposer.username, *(signer.username for signer in await self._voters(proposal.id))}
        chairs = {chair: [name for name in self._script.named(chair) if name not in there] for chair, _ in step.chairs}
        met = await self._meet(step, {chair: names for chair, names in chairs.items() if names})
        if met is None:
            return False
        try:
            await self._approvals.vote(met.caller, proposal.id, digest, is_for=met.is_for)
        except Refused as refusal:
            show_refusal(self._room.console, refusal)
            return True
        await self._note(What.CONFIRMED, step, {"vote": "for" if met.is_for else "against", "digest": digest.hex()}, met.signer)
        return True

    def _show_waiting(self, proposal: Proposal) -> None:
        if was_begun(proposal):
            self._room.console.show("It was begun and cut off; it is taken up again some minutes after that. Run this again then.")
        else:
            self._room.console.show(f"Everybody agreed. {proposal.outcome}; until then anybody can still object. Run this again then.")

    async def _voters(self, id: ProposalId) -> list[Signer]:
        """Those who have voted, by the register: a run that was cut off may not have written the last of them down."""
        votes = await self._ports.store.list_votes(id)
        found = []
        for vote in votes:
            person = await self._ports.store.get_person(vote.person)
            found.append(Signer(person.username, person.id, "vote", f"{vote.digest.hex()} at {vote.at:%Y-%m-%dT%H:%M:%SZ}"))
        return found

    async def _carry_out_restore(self, caller: Caller, content: Mapping[str, JsonValue], ballot: Ballot) -> str:
        sealed = await self._room.binder.read_input(self._script.input("backup"))
        return await self._backups.carry_out(caller, content, ballot, sealed, self._wrapping_key)

    # ---------------------------------------------------------------------------------------------------------- verifying

    async def _verify(self, step: Step) -> bool:
        result = await self._results.find(self._script, self._transcript.fact("made"))
        self._facts = result.facts
        self._room.console.show(*(f"{name:<20} {value}" for name, value in result.facts))
        found = [*result.faults]
        for opinion in result.opinions:
            verdict = {True: "good", False: "BAD", None: "NOT ASKED"}[opinion.is_good]
            self._room.console.show(f"{verdict:<20} {opinion.question}  {opinion.said}")
            if opinion.is_good is False:
                found.append(Finding("ceremony.result.second_opinion", f"{opinion.question}: {opinion.said}", hint="do not use it"))
        refuse_errors(found)
        facts = dict(result.facts) | {o.question: "good" if o.is_good else f"not asked: {o.said}" for o in result.opinions}
        if any(o.is_good is None for o in result.opinions) and not self._transcript.of_step(step.kind, What.DEVIATION):
            text = "OpenSSL is not on this machine, so no second program looked at the result."
            self._room.console.show(
                "", f"DEVIATION  {text}", "Two of the people named have to accept that, or install it and run this again."
            )
            if not await self._deviate(step, text):
                return False
        await self._note(What.DONE, step, facts)
        return True

    # ------------------------------------------------------------------------------------------------------------- shares

    async def _hand_out_shares(self, step: Step) -> bool:
        """A run that was cut off here begins again with a fresh wrapping key: what was written down before opens nothing."""
        backup, console = self._script.backup, self._room.console
        assert backup is not None, "the step is planned for scripts with a backup alone"
        met = await self._meet(step, {Chair.ADMINISTRATOR: self._script.named(Chair.ADMINISTRATOR)})
        if met is None:
            return False
        ref = await self._orders.made_key(self._script)
        copy = await self._backups.make(
            met.caller, ref, threshold=backup.threshold, shares=backup.shares, script_sha256=self._script.sha256.hex()
        )
        console.show("Shares that were written down in an earlier attempt are void: destroy them.")
        waiting, receivers = list(self._script.named(Chair.CUSTODIAN)), list[Signer]()
        for share in copy.shares:
            custodian = await self._meet(step, {Chair.CUSTODIAN: waiting})
            if custodian is None or not await self._shares.hand_over(custodian.signer.username, share):
                return False
            waiting.remove(custodian.signer.username)
            receivers.append(custodian.signer)
        name = f"{self._script.subject.id}.backup.json"
        await self._room.binder.put(name, "", copy.octets)
        facts = {"backup": name, "key": ref, "threshold": str(backup.threshold), "shares": str(backup.shares)}
        await self._note(What.DONE, step, facts, met.signer, *receivers)
        return True

    async def _open_shares(self, step: Step) -> bool:
        if not await self._type_shares():
            return False
        await self._note(What.DONE, step, {"backup": self._script.input("backup"), "opened": "yes"})
        return True

    async def _type_shares(self) -> bool:
        """Custodians type shares until they open the copy. False: there are not enough of them."""
        sealed = await self._room.binder.read_input(self._script.input("backup"))
        self._wrapping_key = await self._shares.type_until(lambda key: self._orders.check_backup(self._script, sealed, key))
        return bool(self._wrapping_key)

    # --------------------------------------------------------------------------------------------------------- the transcript

    async def _meet(self, step: Step, chairs: Mapping[Chair, Sequence[str]]) -> Met | None:
        return await self._chairs.meet(chairs, lambda text: self._deviate(step, text))

    async def _deviate(self, step: Step, text: str) -> bool:
        """On record once two have signed it. False: they did not."""
        if not (signers := await self._chairs.sign_deviation()):
            return False
        entries = [await self._chairs.log(met, step, self._transcript.head, deviation=text[:TEXT_MAX]) for met in signers]
        facts = {"text": text[:TEXT_MAX], "log_entries": " ".join(entries)}
        await self._note(What.DEVIATION, step, facts, *(met.signer for met in signers))
        return True

    def _confirmed(self, step: Step, chair: Chair) -> set[str]:
        return {s.username for e in self._transcript.of_step(step.kind, What.CONFIRMED) for s in e.people if s.chair == chair}

    async def _note(self, what: What, step: Step | None, facts: Mapping[str, str] | None = None, *people: Signer) -> Entry:
        """One more entry, durable on return."""
        kind = "" if step is None else step.kind.value
        self._transcript = append(self._transcript, self._steps, self._ports.clock.now(), what, kind, facts, people)
        await self._room.binder.save(encode(self._transcript), print_transcript(self._transcript, is_rehearsal=self._room.is_rehearsal))
        return self._transcript.entries[-1]
