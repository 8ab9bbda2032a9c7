"""What a monitor knows after reading a log: every entry is held against the rules that all of them have to follow.

Pure: entries in, findings out. `Oversight` remembers what later entries are judged by (open intents, votes, standing approvals) and needs
nothing but the leaves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from chargepki.core.access.model import Allow, NeedsApproval
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import POLICIES
from chargepki.core.access.quorum import find_rule
from chargepki.core.access.replay import Recorded, decode_judgement, find_deviation
from chargepki.core.identifiers.name_spaces import is_covered
from chargepki.core.leaves import SPEC, Leaf, is_of_version_1, parse_leaf
from chargepki.core.records import Outcome
from chargepki.errors import Finding, Refused, Severity

INTENT_OPEN_MAX: Final = timedelta(minutes=5)  # two signatures and a commit take seconds, also on a slow token
CLOCK_SLACK: Final = timedelta(minutes=5)  # between the clocks of several nodes
DECISION_AGE_MAX: Final = timedelta(hours=1)  # between a decision and its entry: a key of a slow token is made in between
VOTES_KEPT: Final = timedelta(days=40)  # the longest vote is open for thirty (core/access/policy.py)
# What a log that was made up could fill the memory with; each is far above what a platform has at a time.
INTENTS_MAX: Final = 10_000
DIGESTS_MAX: Final = 20_000
STANDING_MAX: Final = 20_000
_AUTHORITY_PROFILES: Final = ("root/", "sub/", "cross/")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class OpenIntent:
    index: int
    at: datetime
    actor: str
    action: str
    object: str
    intent: str  # int_..., "" where the effect names none
    digest: str  # of the ballot that allowed it, "" without one
    tbs_sha256: str = ""  # of what was to be signed, where something was


@dataclass(slots=True)
class Votes:
    """What was said about one payload."""

    at: datetime
    voters: dict[str, bool] = field(default_factory=dict)  # person -> for?


@dataclass(slots=True)
class Oversight:
    """The rules over a log read so far. `expected` names the one policy every decision has to be under; "" for any known."""

    expected: str = ""
    latest: datetime | None = None
    is_production: bool = False
    intents: dict[str, OpenIntent] = field(default_factory=dict)
    votes: dict[str, Votes] = field(default_factory=dict)
    standing: dict[str, None] = field(default_factory=dict)
    used: dict[str, None] = field(default_factory=dict)  # digests that an authority was made by

    def read(self, index: int, octets: bytes) -> list[Finding]:
        """What is wrong with the next entry. What an upgrade took in from before the log stands at its beginning, and is not judged."""
        if self.latest is None and is_of_version_1(octets):
            return []
        try:
            leaf = parse_leaf(octets)
            recorded = None if leaf.judgement is None else decode_judgement(leaf.action, leaf.judgement)
        except Refused as refusal:
            return [_at(index, "", _malformed(refusal))]
        found = [*self._find_time_faults(leaf, recorded)]
        if recorded is not None:
            found += self._judge(leaf, recorded)
        found += self._follow(index, leaf, recorded)
        self.latest = max(self.latest or leaf.at, leaf.at)
        return [_at(index, leaf.id, finding) for finding in found]

    def find_overdue(self, now: datetime | None = None) -> list[Finding]:
        """Announced signatures that nothing followed. `now` None: as of the last entry, for a copy that stands still."""
        moment = now or self.latest
        late = [] if moment is None else [(id, i) for id, i in self.intents.items() if moment - i.at > INTENT_OPEN_MAX]
        return [_at(intent.index, id, _overdue(intent)) for id, intent in late]

    # ---------------------------------------------------------------------------------------------------------- the rules

    def _find_time_faults(self, leaf: Leaf, recorded: Recorded | None) -> Iterable[Finding]:
        if self.latest is not None and leaf.at < self.latest - CLOCK_SLACK:
            message = f"it says {leaf.at:%Y-%m-%d %H:%M:%SZ}; an earlier entry says {self.latest:%Y-%m-%d %H:%M:%SZ}"
            yield Finding("monitor.time.backwards", message, Severity.WARNING, hint="a clock was set back, or the entry was dated back")
        if recorded is not None and not -CLOCK_SLACK <= leaf.at - recorded.at <= DECISION_AGE_MAX:
            message = f"it was decided as of {recorded.at:%Y-%m-%d %H:%M:%SZ}, recorded at {leaf.at:%Y-%m-%d %H:%M:%SZ}"
            yield Finding("monitor.time.dated", message, hint="a decision is used at once; another day's grants may have allowed this one")

    def _judge(self, leaf: Leaf, recorded: Recorded) -> Iterable[Finding]:
        """The decision itself: made again, under the right policy, and enough for the outcome."""
        if (deviation := find_deviation(recorded)) is not None:
            yield deviation
        if recorded.actor.id != leaf.actor:
            yield Finding("monitor.actor.other", f"the entry is about {leaf.actor}, its decision about {recorded.actor.id}")
        yield from self._find_policy_faults(recorded)
        if leaf.outcome in (Outcome.DONE, Outcome.INTENT) and not isinstance(recorded.decision, Allow):
            yield Finding("monitor.decision.not_allowed", f"the outcome is {leaf.outcome}, but the decision allowed nothing")
        elif leaf.outcome == Outcome.PENDING and not isinstance(recorded.decision, NeedsApproval):
            yield Finding("monitor.decision.not_pending", "it waits for others, but the decision did not ask for any", Severity.WARNING)
        if isinstance(recorded.decision, Allow):
            yield from self._find_ballot_faults(leaf, recorded)
            yield from _find_name_faults(recorded)
            yield from _find_certificate_faults(leaf, recorded)

    def _find_policy_faults(self, recorded: Recorded) -> Iterable[Finding]:
        policy = POLICIES.get(recorded.policy)
        if self.expected and recorded.policy != self.expected:
            yield Finding("monitor.policy.other", f"it was decided under {recorded.policy!r}, not under {self.expected!r}")
        elif policy is not None and policy.is_development and self.is_production:
            message = f"it was decided under {recorded.policy}, after decisions of a production policy"
            yield Finding("monitor.policy.weakened", message, hint="a platform in production never goes back; who started it so?")
        self.is_production = self.is_production or (policy is not None and not policy.is_development)

    def _find_ballot_faults(self, leaf: Leaf, recorded: Recorded) -> Iterable[Finding]:
        """Every voice that counted was recorded when it was raised, and no voice was left out."""
        ballot = recorded.ballot
        known = self.votes.get(ballot.digest.hex(), Votes(leaf.at)).voters
        counted = [vote.voter.person for vote in ballot.votes if vote.is_for and vote.digest == ballot.digest]
        strange = sorted(person for person in counted if not known.get(person, False))
        if strange:
            message = f"no earlier entry has the vote of {', '.join(strange)}"
            yield Finding("monitor.vote.unrecorded", message, hint="ask them whether they agreed to it")
        against = sorted(person for person, is_for in known.items() if not is_for) if ballot.digest else []
        if against:
            yield Finding("monitor.vote.against", f"it was allowed although {', '.join(against)} had voted against it")
        if isinstance(recorded.decision, Allow) and recorded.decision.standing and recorded.decision.standing not in self.standing:
            message = f"no earlier entry made the standing approval {recorded.decision.standing}"
            yield Finding("monitor.standing.unrecorded", message)

    # ------------------------------------------------------------------------------------------------------ what follows what

    def _follow(self, index: int, leaf: Leaf, recorded: Recorded | None) -> Iterable[Finding]:
        if leaf.outcome == Outcome.INTENT:
            yield from self._open(index, leaf, recorded)
        elif leaf.of:
            yield from self._close(leaf)
        elif leaf.outcome == Outcome.DONE and recorded is None:
            yield Finding("monitor.decision.missing", "it took effect, and neither it nor an intent tells who allowed it")
        elif leaf.outcome == Outcome.DONE and leaf.action == Permission.CERTIFICATE_ISSUE and leaf.object.startswith("certificate:"):
            yield Finding("monitor.intent.missing", "a certificate was issued that no entry announced")
        if leaf.action == Permission.SYSTEM_INTENT_REVIEW:
            self._drop_reviewed(leaf.object.removeprefix("intent:"))
        self._remember(leaf)

    def _open(self, index: int, leaf: Leaf, recorded: Recorded | None) -> Iterable[Finding]:
        if recorded is None:
            yield Finding("monitor.decision.missing", "a signature was announced without a decision")
        tbs, serial = leaf.effect.get("tbs_sha256"), leaf.effect.get("serial")
        is_certificate = leaf.action == Permission.CERTIFICATE_ISSUE or "profile" in leaf.effect
        if is_certificate and not (isinstance(tbs, str) and isinstance(serial, str)):
            yield Finding("monitor.intent.vague", "the intent does not name the serial number and the hash of what is to be signed")
        digest = "" if recorded is None or not recorded.ballot.votes else recorded.ballot.digest.hex()
        intent = str(leaf.effect.get("intent") or "")
        _put(
            self.intents,
            leaf.id,
            OpenIntent(index, leaf.at, leaf.actor, leaf.action, leaf.object, intent, digest, str(tbs or "")),
            INTENTS_MAX,
        )

    def _close(self, leaf: Leaf) -> Iterable[Finding]:
        intent = self.intents.pop(leaf.of, None)
        if intent is None:
            yield Finding("monitor.intent.unknown", f"it follows {leaf.of}, which announced nothing or was closed before")
            return
        if (intent.actor, intent.action) != (leaf.actor, leaf.action):
            yield Finding("monitor.intent.other", f"it follows {leaf.of}, which announced {intent.action} by {intent.actor}")
        if leaf.outcome == Outcome.DONE and intent.tbs_sha256 and not leaf.after_sha256:
            yield Finding("monitor.certificate.unnamed", "it was signed, but the entry has no hash of the result")
        if leaf.outcome == Outcome.DONE and leaf.action == Permission.CA_AUTHORITY_CREATE and intent.digest:
            if intent.digest in self.used:
                yield Finding("monitor.proposal.reused", "a second authority was made by the votes on one proposal")
            _put(self.used, intent.digest, None, DIGESTS_MAX)

    def _drop_reviewed(self, intent: str) -> None:
        """A crash cut it off, and the next start put that on record."""
        for id in [id for id, opened in self.intents.items() if opened.intent and opened.intent == intent]:
            del self.intents[id]

    def _remember(self, leaf: Leaf) -> None:
        digest, vote = leaf.detail.get("digest"), leaf.detail.get("vote")
        if leaf.outcome == Outcome.DONE and isinstance(digest, str) and vote in ("for", "against"):
            person = leaf.actor.removeprefix("person:")
            if isinstance(leaf.judgement, Mapping) and isinstance(actor := leaf.judgement.get("actor"), Mapping):
                person = str(actor.get("person") or person)
            votes = self.votes.get(digest.removeprefix("sha256:")) or Votes(leaf.at)
            votes.at, votes.voters[person] = leaf.at, vote == "for"
            self.votes = {key: one for key, one in self.votes.items() if leaf.at - one.at <= VOTES_KEPT}
            _put(self.votes, digest.removeprefix("sha256:"), votes, DIGESTS_MAX)
        if leaf.outcome == Outcome.DONE and leaf.object.startswith(("standing:", "batch:")):
            _put(self.standing, leaf.object.partition(":")[2], None, STANDING_MAX)


def _find_name_faults(recorded: Recorded) -> Iterable[Finding]:
    resource = recorded.resource
    outside = [] if resource.spaces is None else [str(name) for name in resource.names if not is_covered(name, resource.spaces)]
    if outside:
        yield Finding("monitor.name.outside", f"{', '.join(outside[:4])} lies in no name space of {resource.party or 'the platform'}")


def _find_certificate_faults(leaf: Leaf, recorded: Recorded) -> Iterable[Finding]:
    """What was announced is what was decided about, and nobody makes an authority alone."""
    profile = leaf.effect.get("profile") if leaf.outcome == Outcome.INTENT else None
    if isinstance(profile, str) and profile != recorded.resource.profile:
        message = f"the decision was about {recorded.resource.profile or 'no profile'}, the certificate is {profile}"
        yield Finding("monitor.certificate.other", message)
    if not isinstance(profile, str) or not profile.startswith(_AUTHORITY_PROFILES):
        return
    issuer, parent = leaf.effect.get("issuer"), recorded.resource.authority
    if parent and issuer != parent:
        yield Finding("monitor.certificate.other", f"the decision was about a certificate of {parent}, the issuer is {issuer}")
    policy = POLICIES.get(recorded.policy)
    is_alone = policy is not None and not policy.is_development and not recorded.ballot.votes
    if is_alone or (policy is not None and not policy.is_development and find_rule(recorded.permission, recorded.resource, policy) is None):
        yield Finding("monitor.authority.alone", f"{leaf.object} was made outside an approved proposal or ceremony")


def _overdue(intent: OpenIntent) -> Finding:
    message = f"{intent.action} on {intent.object} was about to be signed, and nothing followed"
    hint = "the platform stopped there: its next start closes it. A certificate of it that turns up was never handed out by the platform"
    return Finding("monitor.intent.open", message, hint=hint)


def _malformed(refusal: Refused) -> Finding:
    return Finding("monitor.entry.malformed", f"it cannot be read: {refusal.findings[0].message}", clause=SPEC)


def _at(index: int, id: str, finding: Finding) -> Finding:
    named = f"entry {index} ({id})" if id else f"entry {index}"
    return replace(finding, message=f"{named}: {finding.message}", path=f"entries#{index}")


def _put(kept: dict[str, _T], key: str, value: _T, limit: int) -> None:
    """The oldest goes when there are too many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > limit:
        del kept[next(iter(kept))]
