"""Whose signatures make a checkpoint believable: log keys, witness keys, and how many of which (C2SP tlog-policy).

log log.example/audit+1a2b3c4d+AbCd...
witness hub  w.hub.example+5e6f7081+BEfg...  https://w.hub.example
witness oem  w.oem.example+92a3b4c5+BIjk...
witness cpo  w.cpo.example+d6e7f809+BLmn...
group   two  2 hub oem cpo
quorum  two
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from chargepki.core.tlog.checkpoint import Checkpoint, parse_checkpoint
from chargepki.core.tlog.notes import Note, NoteKind, Signed, VerifierKey, parse_verifier_key, verify_note
from chargepki.errors import Finding, Refused

LOGS_MAX: Final = 32  # what C2SP tlog-policy asks everybody to support
WITNESSES_MAX: Final = 32
GROUPS_MAX: Final = 32
POLICY_OCTETS_MAX: Final = 256 * 1024  # 64 keys of ML-DSA-44 are 115 KiB
NO_WITNESSES: Final = "none"
_CLAUSE: Final = "C2SP tlog-policy"
_FIELDS: Final = re.compile(r"[ \t]+")
_THRESHOLD: Final = re.compile(r"[1-9][0-9]?", re.ASCII)
_COSIGNERS: Final = (NoteKind.COSIGNATURE_ED25519, NoteKind.COSIGNATURE_MLDSA44)
_LOG_KINDS: Final = (NoteKind.ED25519, NoteKind.COSIGNATURE_MLDSA44)


@dataclass(frozen=True, slots=True)
class LogKey:
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Witness:
    """`name` is what the policy calls it; its key has a name of its own."""

    name: str
    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Any one of the logs, and the quorum. Groups name only what stands before them."""

    logs: tuple[LogKey, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()
    quorum: str = NO_WITNESSES

    @property
    def is_witnessed(self) -> bool:
        return self.quorum != NO_WITNESSES


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says about a checkpoint. `missing` are the witnesses of the policy that did not sign, by their names in it."""

    checkpoint: Checkpoint | None
    logs: tuple[Signed, ...]
    witnesses: tuple[tuple[str, Signed], ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_accepted(self) -> bool:
        return not any(finding.is_error for finding in self.findings)


def policy_of(logs: Sequence[VerifierKey], witnesses: Sequence[Witness] = (), threshold: int = 0) -> Policy:
    """The policy most people want: `threshold` of the witnesses, or none."""
    keys = tuple(LogKey(key) for key in logs)
    if threshold == 0:
        return Policy(keys, tuple(witnesses))
    names = tuple(witness.name for witness in witnesses)
    return parse_policy(format_policy(Policy(keys, tuple(witnesses), (Group("quorum", threshold, names),), "quorum")))


def check_note(note: Note, policy: Policy) -> Verdict:
    """Every finding about a checkpoint under a policy; nothing is raised about the note."""
    try:
        checkpoint = parse_checkpoint(note.text)
    except Refused as refusal:
        return Verdict(None, (), (), _names(policy), refusal.findings)
    log_keys = [log.key for log in policy.logs if log.key.name == checkpoint.origin]
    log_check = verify_note(note, log_keys)
    witness_check = verify_note(note, [witness.key for witness in policy.witnesses])
    by_key = {signed.key: signed for signed in witness_check.signed}
    witnessed = tuple((witness.name, by_key[witness.key]) for witness in policy.witnesses if witness.key in by_key)
    missing = tuple(name for name in _names(policy) if name not in {have for have, _ in witnessed})
    findings = [
        *_log_findings(checkpoint, log_keys, log_check.signed),
        *(_broken(key) for key in (*log_check.broken, *witness_check.broken)),
        *_quorum_findings(policy, {name for name, _ in witnessed}, missing),
    ]
    return Verdict(checkpoint, log_check.signed, witnessed, missing, tuple(findings))


def is_met(policy: Policy, witnessed: set[str]) -> bool:
    """Whether these witnesses, by their names in the policy, are a quorum."""
    met = set(witnessed)
    for group in policy.groups:
        if sum(member in met for member in group.members) >= group.threshold:
            met.add(group.name)
    return not policy.is_witnessed or policy.quorum in met


def describe_quorum(policy: Policy) -> str:
    """ "2 of hub, oem, cpo", for people."""
    groups = {group.name: group for group in policy.groups}
    group = groups.get(policy.quorum)
    return policy.quorum if group is None else f"{group.threshold} of {', '.join(group.members)}"


def format_policy(policy: Policy) -> str:
    lines = [f"log {log.key} {log.url}".rstrip() for log in policy.logs]
    lines += [f"witness {witness.name} {witness.key} {witness.url}".rstrip() for witness in policy.witnesses]
    lines += [f"group {group.name} {group.threshold} {' '.join(group.members)}" for group in policy.groups]
    return "".join(f"{line}\n" for line in (*lines, f"quorum {policy.quorum}"))


def parse_policy(text: str) -> Policy:
    """`Refused` with the line that is wrong."""
    if len(text.encode("utf-8", "replace")) > POLICY_OCTETS_MAX:
        raise _refuse(0, f"it has more than {POLICY_OCTETS_MAX} octets")
    draft = _Draft()
    for number, line in enumerate(text.split("\n"), start=1):
        fields = [part for part in _FIELDS.split(line) if part]
        if any(character < " " and character != "\t" for character in line) or "\x7f" in line:
            raise _refuse(number, "it has control characters")
        if fields and not fields[0].startswith("#"):
            draft.read(number, fields)
    return draft.finish()


@dataclass(slots=True)
class _Draft:
    """A policy while its lines are read."""

    logs: list[LogKey] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str = ""
    names: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)  # members of a group already: each counts in one way only

    def read(self, number: int, fields: list[str]) -> None:
        match fields:
            case ["log", key, *url] if len(url) <= 1:
                self._add_log(number, LogKey(_key(number, key, _LOG_KINDS), *url))
            case ["witness", name, key, *url] if len(url) <= 1:
                self._add_witness(number, Witness(name, _key(number, key, _COSIGNERS), *url))
            case ["group", name, threshold, *members] if members:
                self._add_group(number, name, threshold, members)
            case ["quorum", name] if not self.quorum and (name == NO_WITNESSES or name in self.names):
                self.quorum = name
            case ["quorum", *_]:
                raise _refuse(number, "one quorum, of a witness or a group that is named above it, or none")
            case _:
                raise _refuse(number, f"{fields[0][:20]!r} begins no line of a policy, or the line has the wrong number of words")

    def finish(self) -> Policy:
        if not self.quorum:
            raise _refuse(0, "it has no quorum line", hint="quorum none asks for no witness")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    def _add_log(self, number: int, log: LogKey) -> None:
        if len(self.logs) == LOGS_MAX or log.key.key in {known.key.key for known in self.logs}:
            raise _refuse(number, f"a log key counts once, and there are at most {LOGS_MAX}")
        self.logs.append(log)

    def _add_witness(self, number: int, witness: Witness) -> None:
        if len(self.witnesses) == WITNESSES_MAX or witness.key.key in {known.key.key for known in self.witnesses}:
            raise _refuse(number, f"a witness's key counts once, and there are at most {WITNESSES_MAX}")
        self._name(number, witness.name)
        self.witnesses.append(witness)

    def _add_group(self, number: int, name: str, threshold: str, members: list[str]) -> None:
        needed = {"any": 1, "all": len(members)}.get(threshold) or (int(threshold) if _THRESHOLD.fullmatch(threshold) else 0)
        if len(self.groups) == GROUPS_MAX or not 1 <= needed <= len(members):
            raise _refuse(number, f"a group needs any, all or 1 to {len(members)} of its members; there are at most {GROUPS_MAX} groups")
        if len(set(members)) != len(members) or not self.names.issuperset(members) or self.used.intersection(members):
            raise _refuse(number, "a member is named above, and is in one group only")
        self._name(number, name)
        self.used.update(members)
        self.groups.append(Group(name, needed, tuple(members)))

    def _name(self, number: int, name: str) -> None:
        if name == NO_WITNESSES or name in self.names:
            raise _refuse(number, f"the name {name[:40]!r} is taken")
        self.names.add(name)


def _key(number: int, text: str, kinds: tuple[NoteKind, ...]) -> VerifierKey:
    try:
        key = parse_verifier_key(text)
    except Refused as refusal:
        raise _refuse(number, refusal.findings[0].message) from refusal
    if key.kind not in kinds:
        raise _refuse(number, f"a key of kind {key.kind.name} cannot stand here")
    return key


def _names(policy: Policy) -> tuple[str, ...]:
    return tuple(witness.name for witness in policy.witnesses)


def _log_findings(checkpoint: Checkpoint, keys: Sequence[VerifierKey], signed: Sequence[Signed]) -> list[Finding]:
    if not keys:
        known = f"the checkpoint is of {checkpoint.origin!r}, which the policy does not know"
        return [Finding("log.policy.unknown_log", known, path="checkpoint.origin", clause=_CLAUSE)]
    if not signed:
        message = f"no key of {checkpoint.origin!r} that the policy knows signed the checkpoint"
        return [Finding("log.checkpoint.unsigned", message, path="checkpoint", clause="C2SP tlog-checkpoint")]
    return []


def _quorum_findings(policy: Policy, witnessed: set[str], missing: tuple[str, ...]) -> list[Finding]:
    if is_met(policy, witnessed):
        return []
    have = ", ".join(sorted(witnessed)) or "nobody"
    message = f"the quorum is {describe_quorum(policy)}; signed: {have}; missing: {', '.join(missing)}"
    return [
        Finding("log.policy.quorum", message, path="checkpoint", clause=_CLAUSE, hint="fetch the checkpoint again when more have signed")
    ]


def _broken(key: VerifierKey) -> Finding:
    message = f"the line of {key.name} ({key.kind.name}) is not its signature over this checkpoint"
    return Finding("log.signature.invalid", message, path="checkpoint", clause="C2SP signed-note")


def _refuse(number: int, why: str, *, hint: str = "") -> Refused:
    where = f"line {number}: " if number else ""
    return Refused.because("log.policy.malformed", f"this is not a policy: {where}{why}", path="policy", clause=_CLAUSE, hint=hint)
