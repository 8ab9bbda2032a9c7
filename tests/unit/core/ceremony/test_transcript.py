"""Transcripts: what was changed, left out or moved is named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chargepki.core.ceremony.printing import print_script, print_transcript
from chargepki.core.ceremony.script import parse_script
from chargepki.core.ceremony.steps import StepKind, plan_steps
from chargepki.core.ceremony.transcript import Entry, Signer, Transcript, What, append, check_course, encode, next_step, parse_transcript
from chargepki.errors import Refused
from tests.fuzz.fuzz_ceremony import SCRIPT

STEPS = plan_steps(parse_script(SCRIPT))
AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def whole() -> Transcript:
    transcript = append(Transcript(), STEPS, AT, What.OPENED, facts={"script": "root-2026"})
    for number, step in enumerate(STEPS):
        at, signer = AT + timedelta(minutes=number), Signer("wanda", "per_wanda", "witness", "ses_1")
        transcript = append(transcript, STEPS, at, What.CONFIRMED, step.kind, {"number": str(number)}, (signer,))
        transcript = append(transcript, STEPS, at, What.DONE, step.kind)
    return transcript


def test_a_transcript_is_read_back_as_it_was_written() -> None:
    assert parse_transcript(encode(whole())) == whole()
    check_course(whole(), STEPS)
    assert next_step(whole(), STEPS) is None


def _edit(change: Callable[[list[dict[str, Any]]], None]) -> bytes:
    document = json.loads(encode(whole()))
    change(document["entries"])
    return json.dumps(document).encode()


@pytest.mark.parametrize("number", range(1, len(STEPS) * 2 + 2))
def test_the_first_entry_that_was_changed_is_named(number: int) -> None:
    def change(entries: list[dict[str, Any]]) -> None:
        entries[number - 1]["facts"] = {"number": "another"}

    with pytest.raises(Refused, match=f"entry {number}: .* was changed"):
        parse_transcript(_edit(change))


def test_an_entry_that_was_left_out_is_named() -> None:
    with pytest.raises(Refused, match="entry 6: it does not follow"):
        parse_transcript(_edit(lambda entries: entries.pop(4) and None))


def test_entries_that_changed_places_are_named() -> None:
    def swap(entries: list[dict[str, Any]]) -> None:
        entries[2], entries[3] = entries[3], entries[2]

    with pytest.raises(Refused, match="entry 4: it does not follow"):
        parse_transcript(_edit(swap))


def test_a_chain_made_anew_over_a_skipped_step_is_refused_by_its_order() -> None:
    entries: list[Entry] = []
    for entry in whole().entries:
        if entry.step != StepKind.VERIFY:
            previous = entries[-1].sha256 if entries else "0" * 64
            entries.append(Entry(len(entries) + 1, entry.at, entry.what, entry.step, entry.facts, entry.people, previous))
    forged = parse_transcript(encode(Transcript(tuple(entries))))
    with pytest.raises(Refused, match="the step 'verify' was due"):
        check_course(forged, STEPS)


def test_no_step_is_skipped_taken_twice_or_taken_after_the_end() -> None:
    opened = append(Transcript(), STEPS, AT, What.OPENED)
    with pytest.raises(Refused, match="was due"):
        append(opened, STEPS, AT, What.DONE, StepKind.CLOSE)
    read = append(opened, STEPS, AT, What.DONE, StepKind.READ)
    with pytest.raises(Refused, match="was due"):
        append(read, STEPS, AT, What.DONE, StepKind.READ)
    with pytest.raises(Refused, match="opened once"):
        append(read, STEPS, AT, What.OPENED)
    with pytest.raises(Refused, match="over before"):
        append(append(read, STEPS, AT, What.ENDED, StepKind.PROPOSE), STEPS, AT, What.DONE, StepKind.PROPOSE)


def test_what_is_printed_has_a_line_for_every_hand() -> None:
    script = print_script(parse_script(SCRIPT), STEPS, (("lint", "clean"), ("serial", "")))
    assert script.count("[ ] custodian") == 4
    assert "serial               ____" in script
    assert whole().head[:8] in print_transcript(whole(), is_rehearsal=False)
    assert print_transcript(whole(), is_rehearsal=True).startswith("REHEARSAL")
