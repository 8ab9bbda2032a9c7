"""Policies: who has to sign, and what the check says about who did not."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.merkle import EMPTY_ROOT
from chargepki.core.tlog.notes import Note
from chargepki.core.tlog.policy import (
    Group,
    Policy,
    Witness,
    check_note,
    describe_quorum,
    format_policy,
    is_met,
    parse_policy,
    policy_of,
)
from chargepki.errors import Refused
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, sign

CHECKPOINT = Checkpoint(ORIGIN, 7, EMPTY_ROOT)
LOGS = (LOG_ED25519.verifier, LOG_MLDSA44.verifier)
NAMES = ("hub", "oem", "cpo")
TWO_OF_THREE = policy_of(LOGS, [Witness(name, signer.verifier) for name, signer in zip(NAMES, WITNESSES, strict=True)], 2)


def codes(policy: Policy, note: Note) -> list[str]:
    return [finding.code for finding in check_note(note, policy).findings]


@pytest.mark.clause("C2SP tlog-policy")
def test_two_of_three_witnesses_are_a_quorum_and_the_third_is_named() -> None:
    verdict = check_note(sign(CHECKPOINT, LOG_ED25519, WITNESSES[0], WITNESSES[2]), TWO_OF_THREE)
    assert verdict.is_accepted
    assert verdict.checkpoint == CHECKPOINT
    assert [signed.key for signed in verdict.logs] == [LOG_ED25519.verifier]
    assert [name for name, _ in verdict.witnesses] == ["hub", "cpo"]
    assert verdict.missing == ("oem",)


def test_one_of_three_is_not_enough_and_the_finding_says_who_is_missing() -> None:
    verdict = check_note(sign(CHECKPOINT, LOG_ED25519, WITNESSES[1]), TWO_OF_THREE)
    assert not verdict.is_accepted
    (finding,) = verdict.findings
    assert finding.code == "log.policy.quorum"
    assert finding.message == "the quorum is 2 of hub, oem, cpo; signed: oem; missing: hub, cpo"


def test_one_witness_that_signs_twice_counts_once() -> None:
    twice = sign(CHECKPOINT, LOG_ED25519, WITNESSES[0], WITNESSES[0])
    assert codes(TWO_OF_THREE, twice) == ["log.policy.quorum"]


def test_witnesses_without_the_log_are_not_enough() -> None:
    assert codes(TWO_OF_THREE, sign(CHECKPOINT, *WITNESSES)) == ["log.checkpoint.unsigned"]


def test_the_key_of_another_log_does_not_sign_for_this_one() -> None:
    other = dataclasses.replace(CHECKPOINT, origin="other.example")
    assert codes(TWO_OF_THREE, sign(other, LOG_ED25519, *WITNESSES)) == ["log.policy.unknown_log"]


def test_a_known_line_that_does_not_verify_is_an_error_though_the_quorum_stands() -> None:
    good = sign(CHECKPOINT, LOG_ED25519, WITNESSES[0], WITNESSES[1])
    forged = sign(dataclasses.replace(CHECKPOINT, size=8), WITNESSES[2])
    assert codes(TWO_OF_THREE, Note(good.text, good.signatures + forged.signatures)) == ["log.signature.invalid"]


def test_what_is_no_checkpoint_is_a_finding() -> None:
    verdict = check_note(Note(b"hello\n", ()), TWO_OF_THREE)
    assert [finding.code for finding in verdict.findings] == ["log.checkpoint.malformed"]
    assert verdict.missing == NAMES


def test_a_policy_reads_back_with_its_groups() -> None:
    nested = Policy(
        TWO_OF_THREE.logs,
        TWO_OF_THREE.witnesses,
        (Group("partners", 1, ("oem", "cpo")), Group("everybody", 2, ("hub", "partners"))),
        "everybody",
    )
    assert parse_policy(format_policy(nested)) == nested
    assert is_met(nested, {"hub", "cpo"})
    assert not is_met(nested, {"oem", "cpo"})
    assert describe_quorum(nested) == "2 of hub, partners"


def test_comments_tabs_urls_and_the_words_any_and_all_are_read() -> None:
    lines = format_policy(TWO_OF_THREE).splitlines()
    text = "\n".join(
        ["# ours", "", f"\t{lines[0]}\thttps://log.example/", *lines[2:5], "group g  all hub oem", "group h any g cpo", "quorum h", ""]
    )
    policy = parse_policy(text)
    assert policy.logs[0].url == "https://log.example/"
    assert policy.groups == (Group("g", 2, ("hub", "oem")), Group("h", 1, ("g", "cpo")))


def test_without_witnesses_the_log_key_is_enough() -> None:
    assert check_note(sign(CHECKPOINT, LOG_MLDSA44), policy_of(LOGS)).is_accepted
    assert not policy_of(LOGS).is_witnessed


@settings(deadline=None, database=None, max_examples=80)
@given(st.sets(st.sampled_from(NAMES)), st.integers(1, 3))
def test_a_quorum_is_met_exactly_from_its_threshold_on_and_never_by_fewer(signed: set[str], threshold: int) -> None:
    policy = policy_of(LOGS, TWO_OF_THREE.witnesses, threshold)
    note = sign(CHECKPOINT, LOG_ED25519, *(WITNESSES[NAMES.index(name)] for name in sorted(signed)))
    assert check_note(note, policy).is_accepted == (len(signed) >= threshold)


@pytest.mark.parametrize(
    "line",
    [
        "log",
        "log nonsense",
        f"log {LOG_ED25519.verifier}",  # stands there already
        f"log {WITNESSES[0].verifier}",  # a cosigner's kind of key
        f"witness hub {LOG_ED25519.verifier}",
        f"witness again {WITNESSES[0].verifier}",
        f"witness none {LOG_MLDSA44.verifier}",
        "group",
        "group g 2 hub",
        "group g 0 hub",
        "group g 01 hub",
        "group g 1 hub hub",
        "group g 1 nobody",
        "group hub 1 oem",
        "group g 1 quorum hub",  # hub is in the group quorum already
        "quorum quorum",  # the second one
        "quorum nobody",
        "word",
        "log \x00",
    ],
)
def test_a_wrong_line_is_refused_with_its_number(line: str) -> None:
    text = format_policy(TWO_OF_THREE)
    with pytest.raises(Refused, match="line 8"):
        parse_policy(f"{text}{line}\n")


def test_a_policy_needs_a_quorum_line_and_an_end() -> None:
    with pytest.raises(Refused, match="no quorum"):
        parse_policy(f"log {LOG_ED25519.verifier}\n")
    with pytest.raises(Refused, match="octets"):
        parse_policy("#" * 300_000)
