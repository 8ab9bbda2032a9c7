"""The transcript of a ceremony: one entry for everything that happened, each bound to the one before by its SHA-256.

    {"n": 3, "at": "2026-11-02T10:14:00Z", "what": "confirmed", "step": "read", "facts": {...}, "people": [...],
     "previous": "…", "sha256": "…"}

`sha256` is over the canonical JSON of the entry without it. A changed entry, one that is left out and one that was moved break the chain
at a place that can be named; the log of the platform has the hash of the last one.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from chargepki.core import canonical_json
from chargepki.core.canonical_json import JsonValue
from chargepki.core.ceremony.steps import Step
from chargepki.errors import Finding, Refused

FORMAT: Final = "chargepki-ceremony-1"
TRANSCRIPT_OCTETS_MAX: Final = 4 * 1024 * 1024  # a hundred entries with certificates in them, many times over
ENTRIES_MAX: Final = 1_000  # a ceremony has some twenty
FACTS_MAX: Final = 32
FACT_OCTETS_MAX: Final = 128 * 1024  # a certificate chain in PEM
PEOPLE_MAX: Final = 16
BEGINNING: Final = "0" * 64
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class What(StrEnum):
    OPENED = "opened"  # the ceremony began, with this script
    CONFIRMED = "confirmed"  # a person confirmed the step that is under way
    DEVIATION = "deviation"  # something the script does not say, in words, by two
    DONE = "done"  # the step is over
    ENDED = "ended"  # it was stopped: somebody voted against, or time ran out


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who proved at the ceremony who they are: `proof` names the session that their password and code opened."""

    username: str
    person: str
    chair: str
    proof: str


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    at: datetime
    what: What
    step: str  # "" for what belongs to no step
    facts: Mapping[str, str] = field(default_factory=dict)
    people: tuple[Signer, ...] = ()
    previous: str = BEGINNING

    @property
    def sha256(self) -> str:
        return hashlib.sha256(canonical_json.encode(_body(self))).hexdigest()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The entries so far. `head` is the hash that is read aloud at the end."""

    entries: tuple[Entry, ...] = ()

    @property
    def head(self) -> str:
        return self.entries[-1].sha256 if self.entries else BEGINNING

    def of_step(self, step: str, what: What) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.step == step and entry.what is what)

    def fact(self, name: str) -> str:
        """The newest that was said of it; "" for nothing."""
        return next((entry.facts[name] for entry in reversed(self.entries) if name in entry.facts), "")

    @property
    def is_ended(self) -> bool:
        return bool(self.entries) and self.entries[-1].what is What.ENDED


def next_step(transcript: Transcript, steps: Sequence[Step]) -> Step | None:
    """The one step that may be taken now; None when all are done, or the ceremony was ended."""
    done = sum(1 for entry in transcript.entries if entry.what is What.DONE)
    return None if transcript.is_ended or done >= len(steps) else steps[done]


def append(
    transcript: Transcript,
    steps: Sequence[Step],
    at: datetime,
    what: What,
    step: str = "",
    facts: Mapping[str, str] | None = None,
    people: tuple[Signer, ...] = (),
) -> Transcript:
    """With one more entry; `Refused` when it is not this one's turn."""
    entry = Entry(len(transcript.entries) + 1, at, what, step, facts or {}, people, transcript.head)
    if fault := _find_turn_fault(transcript, steps, entry):
        raise Refused(fault)
    return Transcript((*transcript.entries, entry))


def encode(transcript: Transcript) -> bytes:
    """The file: JSON for machines, one entry after the other for people."""
    entries = [{**_body(entry), "sha256": entry.sha256} for entry in transcript.entries]
    return json.dumps({"format": FORMAT, "entries": entries}, indent=1, ensure_ascii=False).encode() + b"\n"


def parse_transcript(octets: bytes) -> Transcript:
    """What `encode` wrote. `Refused` names the first entry that is not what its hash says, or does not follow the one before."""
    if len(octets) > TRANSCRIPT_OCTETS_MAX:
        raise Refused.because("ceremony.transcript.too_long", f"a transcript has at most {TRANSCRIPT_OCTETS_MAX} octets")
    try:
        document = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise Refused.because("ceremony.transcript.syntax", f"the transcript is no JSON: {error}") from error
    rows = document.get("entries") if isinstance(document, dict) and document.get("format") == FORMAT else None
    if not isinstance(rows, list) or not 0 < len(rows) <= ENTRIES_MAX:
        raise Refused.because("ceremony.transcript.format", f"this is no transcript of the format {FORMAT} with 1 to {ENTRIES_MAX} entries")
    entries: list[Entry] = []
    for number, row in enumerate(rows, 1):
        entry = _entry(row, number, entries[-1].what if entries else None, entries[-1].step if entries else "")
        _check_link(entry, row, entries[-1].sha256 if entries else BEGINNING)
        entries.append(entry)
    return Transcript(tuple(entries))


def check_course(transcript: Transcript, steps: Sequence[Step]) -> None:
    """`Refused` at the first entry that was not due: a chain that was made anew over skipped or exchanged steps."""
    so_far = Transcript()
    for entry in transcript.entries:
        if fault := _find_turn_fault(so_far, steps, entry):
            raise Refused(fault)
        so_far = Transcript((*so_far.entries, entry))


def _find_turn_fault(before: Transcript, steps: Sequence[Step], entry: Entry) -> Finding | None:
    number = entry.number
    if (number == 1) != (entry.what is What.OPENED):
        return _fault("order", number, "a transcript is opened once, by its first entry")
    if entry.what is What.OPENED:
        return None
    due = next_step(before, steps)
    if due is None:
        return _fault("order", number, "the ceremony was over before")
    if entry.step != due.kind:
        return _fault("order", number, f"it speaks of the step {entry.step!r}, and the step {due.kind.value!r} was due: none is left out")
    return None


def _entry(row: Any, number: int, after: What | None, step: str) -> Entry:
    """`after` and `step` say where we are, for whoever has to find the place."""
    try:
        facts, people = row["facts"], row["people"]
        if len(facts) > FACTS_MAX or any(not isinstance(v, str) or len(v) > FACT_OCTETS_MAX for v in facts.values()):
            raise ValueError("facts")
        if not isinstance(people, list) or len(people) > PEOPLE_MAX or set(row) != _FIELDS:
            raise ValueError("people")
        signers = tuple(Signer(*(_text(one[name]) for name in ("username", "person", "chair", "proof"))) for one in people)
        at = datetime.strptime(_text(row["at"]), _TIME).replace(tzinfo=UTC)
        entry = Entry(row["n"], at, What(row["what"]), _text(row["step"]), dict(facts), signers, _text(row["previous"]))
        entry.sha256.encode()
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        place = f" (behind {after} of the step {step or 'before the first'})" if after else ""
        raise Refused(_fault("entry", number, f"it is no entry of a transcript{place}")) from error
    return entry


def _check_link(entry: Entry, row: Mapping[str, Any], head: str) -> None:
    number = entry.number
    if isinstance(number, bool) or not isinstance(number, int):
        raise Refused(_fault("entry", 0, "its number is none"))
    said = row["sha256"] if isinstance(row["sha256"], str) and row["sha256"].isascii() else ""
    if not hmac.compare_digest(said, entry.sha256):
        raise Refused(_fault("changed", number, f"the {entry.what} of the step {entry.step or 'none'} was changed: its hash is another"))
    if not entry.previous.isascii() or not hmac.compare_digest(entry.previous, head):
        raise Refused(_fault("chain", number, "it does not follow the entry before it: something was left out, moved or changed"))


def _body(entry: Entry) -> dict[str, JsonValue]:
    return {
        "n": entry.number,
        "at": entry.at.strftime(_TIME),
        "what": entry.what.value,
        "step": entry.step,
        "facts": dict(entry.facts),
        "people": [{"username": p.username, "person": p.person, "chair": p.chair, "proof": p.proof} for p in entry.people],
        "previous": entry.previous,
    }


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 1024:  # user names, ids, step names
        raise ValueError("no text")
    return value


def _fault(slug: str, number: int, message: str) -> Finding:
    return Finding(
        f"ceremony.transcript.{slug}", f"entry {number}: {message}", path=f"entries.{number}", hint="compare with the printed transcript"
    )


_FIELDS: Final = frozenset({"n", "at", "what", "step", "facts", "people", "previous", "sha256"})
