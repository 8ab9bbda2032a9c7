"""A script and a transcript as pages for a binder: plain text, eighty columns where the content allows it."""

import textwrap
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from chargepki.core.ceremony.script import Script
from chargepki.core.ceremony.steps import CREED, Step, StepKind, effect_of
from chargepki.core.ceremony.transcript import Entry, Transcript, What
from chargepki.core.ceremony.words import fold_words, spell_hex

WIDTH: Final = 78
LINE: Final = "_" * 24  # to be filled in by hand
_DRAFT: Final = "REHEARSAL. Nothing in it is real: other keys, other people, other numbers."


def print_script(script: Script, steps: Iterable[Step], expected: tuple[tuple[str, str], ...] = ()) -> str:
    """What lies on the table: every step with its boxes, and every value that is known beforehand."""
    lines = [CREED, "", script.title, f"Ceremony  {script.name} ({script.kind})", f"Effect    {effect_of(script)}", ""]
    lines += [f"{chair:<17} {', '.join(names)}" for chair, names in script.people]
    for number, step in enumerate(steps, 1):
        lines += ["", f"Step {number}  {step.title}", *_wrap(step.text)]
        if step.kind is StepKind.VERIFY:
            lines += [f"    expected  {name:<20} {value or LINE}" for name, value in expected]
        for chair, count in step.chairs:
            lines += [f"    [ ] {chair:<17} {LINE}   time {'_' * 8}" for _ in range(count)]
    return "\n".join(lines) + "\n"


def print_transcript(transcript: Transcript, *, is_rehearsal: bool) -> str:
    """What goes into the binder, entry by entry, with room for signatures at the end."""
    lines = [_DRAFT, ""] if is_rehearsal else []
    lines += [line for entry in transcript.entries for line in _entry(entry)]
    head = bytes.fromhex(transcript.head)
    lines += ["", f"Hash of this transcript  {spell_hex(head)}", *(f"                         {words}" for words in fold_words(head))]
    closers = [signer for entry in transcript.of_step(StepKind.CLOSE, What.CONFIRMED) for signer in entry.people]
    lines += ["", *(f"{signer.username:<24} {signer.chair:<18} signed {LINE}" for signer in closers)]
    return "\n".join(lines) + "\n"


def _entry(entry: Entry) -> Iterable[str]:
    yield f"{entry.number:>3}  {_time(entry.at)}  {entry.what}{f'  {entry.step}' if entry.step else ''}"
    for signer in entry.people:
        yield f"     by {signer.username} ({signer.chair}), proved by {signer.proof}"
    for name, value in entry.facts.items():
        if "\n" in value:
            yield f"     {name}:"
            yield from (f"       {line}" for line in value.splitlines())
        else:
            yield from textwrap.wrap(f"{name}: {value}", WIDTH, initial_indent="     ", subsequent_indent="       ", break_long_words=False)
    yield f"     sha256 {entry.sha256}"


def _wrap(text: Iterable[str]) -> Iterable[str]:
    return (f"    {line}" for line in text)


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%SZ")
