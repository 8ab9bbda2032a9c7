"""What a witness cosigns, and what it refuses with which status."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.merkle import EMPTY_ROOT, prove_consistency
from chargepki.core.tlog.notes import verify_note
from chargepki.core.tlog.witness import (
    NEVER_SEEN,
    AddCheckpoint,
    Conflict,
    Cosign,
    Refusal,
    Seen,
    decide_add,
    format_add_checkpoint,
    parse_add_checkpoint,
    parse_conflict,
)
from chargepki.errors import Refused
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, SmallLog, entries_of, root_of, sign

LOG = SmallLog.of(300)
TRUSTED = {ORIGIN: [LOG_ED25519.verifier]}


def request(old: int, new: int = 300) -> AddCheckpoint:
    entries = LOG.entries[:new]
    head = Checkpoint(ORIGIN, new, root_of(entries))
    proof = prove_consistency(old, new, LOG.node)
    return parse_add_checkpoint(format_add_checkpoint(old, proof, sign(head, LOG_ED25519)))


def seen(size: int) -> Seen:
    return Seen(size, root_of(LOG.entries[:size]))


@pytest.mark.clause("C2SP tlog-witness")
@settings(deadline=None, database=None, max_examples=40)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=5).map(sorted))
def test_a_log_that_only_grows_is_cosigned_every_time(sizes: list[int]) -> None:
    last: Seen | None = None
    for size in sizes:
        decision = decide_add(request(0 if last is None else last.size, size), TRUSTED, last)
        assert isinstance(decision, Cosign)
        assert decision.seen == seen(size)
        cosigned = sign(Checkpoint(ORIGIN, size, decision.seen.root), WITNESSES[0])
        assert decision.text == cosigned.text
        assert verify_note(cosigned, [WITNESSES[0].verifier]).signed
        last = decision.seen


@pytest.mark.clause("C2SP tlog-witness")
def test_another_old_size_is_answered_with_the_size_that_was_cosigned_last() -> None:
    decision = decide_add(request(0), TRUSTED, seen(256))
    assert decision == Conflict(256)
    assert decision.body == b"256\n"
    assert parse_conflict(decision.body) == 256


def test_the_same_size_with_another_root_is_a_fork_and_kept_as_evidence() -> None:
    assert decide_add(request(300), TRUSTED, Seen(300, EMPTY_ROOT)) == Conflict(300, is_fork=True)


def test_a_log_that_rewrote_its_past_is_not_cosigned() -> None:
    forged = SmallLog()
    forged.append([b"changed", *entries_of(299)])
    proof = prove_consistency(256, 300, forged.node)
    asked = parse_add_checkpoint(format_add_checkpoint(256, proof, sign(forged.checkpoint, LOG_ED25519)))
    decision = decide_add(asked, TRUSTED, seen(256))
    assert isinstance(decision, Refusal)
    assert (decision.status, decision.finding.code) == (422, "witness.proof.invalid")


def test_a_log_that_lost_entries_is_not_cosigned() -> None:
    shrunk = dataclasses.replace(request(0, 200), old_size=300)
    decision = decide_add(shrunk, TRUSTED, seen(300))
    assert isinstance(decision, Refusal)
    assert decision.status == 400
    assert decide_add(request(100, 200), TRUSTED, seen(300)) == Conflict(300)


def test_an_unknown_log_is_404_and_an_unknown_key_403() -> None:
    for trusted, status in (({}, 404), ({ORIGIN: [LOG_MLDSA44.verifier]}, 403)):
        decision = decide_add(request(0), trusted, None)
        assert isinstance(decision, Refusal)
        assert decision.status == status


def test_an_empty_log_has_the_empty_root() -> None:
    forged = sign(Checkpoint(ORIGIN, 0, bytes(32)), LOG_ED25519)
    assert decide_add(parse_add_checkpoint(format_add_checkpoint(0, (), forged)), TRUSTED, None) == Conflict(0, is_fork=True)
    assert isinstance(decide_add(request(0, 0), TRUSTED, NEVER_SEEN), Cosign)


def test_a_first_request_carries_no_proof() -> None:
    with_proof = dataclasses.replace(request(0), proof=(EMPTY_ROOT,))
    decision = decide_add(with_proof, TRUSTED, None)
    assert isinstance(decision, Refusal)
    assert decision.status == 422


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old\n\n",
        b"old 01\n\n",
        b"old -1\n\n",
        b"new 1\n\n",
        b"old 1\nAA==\n\n",
        b"old 1\n" + b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" * 64 + b"\n",
        b"old 1\n\nno note",
        b"old 1\n\n" + "hello\n\n— name AAAAAAAA\n".encode(),
        b"x" * 1_000_000,
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused, match="malformed"):
        parse_add_checkpoint(body)


@pytest.mark.parametrize("body", [b"", b"12", b"x\n", b"01\n", b"1" * 60 + b"\n", b"-1\n"])
def test_a_409_without_a_size_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        parse_conflict(body)
