"""The audit of a copy: a good one passes, and what is wrong in a bad one is named exactly."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.audit import FINDINGS_MAX, CopyVerdict, audit_copy, copy_paths
from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.policy import Policy, Witness, policy_of
from chargepki.core.tlog.tiles import encode_bundle
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, SmallLog, entries_of, root_of, sign

LOG = SmallLog.of(1000)
POLICY = policy_of([LOG_ED25519.verifier])
WITNESSED = policy_of([LOG_ED25519.verifier], [Witness(f"w{n}", signer.verifier) for n, signer in enumerate(WITNESSES)], 2)


def audited(changed: dict[str, bytes | None], policy: Policy = POLICY) -> CopyVerdict:
    """The log with some files changed, or removed (None)."""
    files = dict(LOG.files)
    for path, data in changed.items():
        assert path in files
        if data is None:
            del files[path]
        else:
            files[path] = data
    return audit_copy(files.get, policy)


def codes(verdict: CopyVerdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


@pytest.mark.clause("C2SP tlog-tiles")
@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000, 65_536, 66_000])
def test_a_true_copy_passes_and_every_entry_is_visited_in_order(size: int) -> None:
    log = SmallLog()
    log.append(entries_of(size))
    visited: list[tuple[int, bytes]] = []
    verdict = audit_copy(log.read, POLICY, visit=lambda index, entry: visited.append((index, entry)))
    assert verdict.findings == ()
    assert (verdict.size, verdict.root) == (size, log.checkpoint.root)
    assert visited == list(enumerate(log.entries))
    assert set(copy_paths(size)) | {"checkpoint"} == set(log.files)


@settings(deadline=None, database=None, max_examples=60)
@given(st.integers(0, 999), st.data())
def test_one_flipped_bit_of_one_entry_names_that_entry(index: int, data: st.DataObject) -> None:
    entry = bytearray(LOG.entries[index])
    entry[data.draw(st.integers(0, len(entry) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    entries = LOG.entries[index - index % 256 : index - index % 256 + 256]
    entries[index % 256] = bytes(entry)
    width = len(entries)
    path = f"tile/entries/{index // 256:03}" + ("" if width == 256 else f".p/{width}")
    verdict = audited({path: encode_bundle(entries)})
    (finding,) = verdict.findings
    assert finding.code == "log.entry.changed"
    assert finding.message.startswith(f"entry {index} was changed")
    assert finding.path.endswith(f"#{index}")


@pytest.mark.parametrize("index", [5, 300, 999])
def test_a_changed_hash_in_a_tile_is_told_from_a_changed_entry(index: int) -> None:
    path = "tile/0/003.p/232" if index > 767 else f"tile/0/{index // 256:03}"
    tile = bytearray(LOG.files[path])
    tile[index % 256 * 32] ^= 1
    verdict = audited({path: bytes(tile)})
    assert codes(verdict) == ["log.tile.changed"]
    assert f"the hash of entry {index} was changed" in verdict.findings[0].message


def test_an_entry_changed_together_with_its_tile_is_found_by_the_tile_above() -> None:
    forged = SmallLog()
    forged.append([*entries_of(299), b"forged", *entries_of(1000)[300:]])
    verdict = audited({path: forged.files[path] for path in ("tile/0/001", "tile/entries/001")})
    assert codes(verdict) == ["log.tile.changed", "log.root.mismatch"]
    assert "hash 1 is not the one of the entries 256 to 511" in verdict.findings[0].message


def test_a_log_rewritten_throughout_does_not_lead_to_the_signed_root() -> None:
    forged = SmallLog()
    forged.append([b"forged", *entries_of(1000)[1:]])
    files = {**forged.files, "checkpoint": LOG.files["checkpoint"]}
    assert codes(audit_copy(files.get, POLICY)) == ["log.root.mismatch"]


def test_a_truncated_tile_is_named_and_the_rest_still_checked() -> None:
    verdict = audited({"tile/0/001": LOG.files["tile/0/001"][:-5]})
    assert codes(verdict) == ["log.tile.truncated"]
    assert verdict.findings[0].path == "tile/0/001"
    assert verdict.size == 1000


def test_a_truncated_bundle_names_the_first_entry_that_is_lost() -> None:
    bundle = LOG.files["tile/entries/001"]
    verdict = audited({"tile/entries/001": bundle[: len(encode_bundle(LOG.entries[256:300])) + 3]})
    assert codes(verdict) == ["log.bundle.truncated"]
    assert "entry 300 is the first" in verdict.findings[0].message


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("tile/0/001", "log.tile.missing"),
        ("tile/0/003.p/232", "log.tile.missing"),
        ("tile/1/000.p/3", "log.tile.missing"),
        ("tile/entries/002", "log.bundle.missing"),
        ("checkpoint", "log.checkpoint.missing"),
    ],
)
def test_a_missing_file_is_named(path: str, code: str) -> None:
    assert codes(audited({path: None})) == [code]


def test_without_tile_and_entries_nothing_more_can_be_said() -> None:
    verdict = audited({"tile/0/001": None, "tile/entries/001": None})
    assert codes(verdict) == ["log.bundle.missing", "log.tile.missing"]
    assert verdict.size == 256


def test_something_after_a_bundle_or_a_tile_is_named() -> None:
    assert codes(audited({"tile/entries/001": LOG.files["tile/entries/001"] + b"\0\0"})) == ["log.bundle.too_long"]
    assert codes(audited({"tile/0/001": LOG.files["tile/0/001"] + bytes(32)})) == ["log.tile.too_long"]


def test_a_full_tile_stands_in_for_a_partial_one() -> None:
    grown = SmallLog.of(1000)
    old = grown.files["checkpoint"]
    grown.append(entries_of(100))
    files = {path: data for path, data in grown.files.items() if ".p/" not in path or path.startswith("tile/1")}
    files["checkpoint"] = old
    assert codes(audit_copy(files.get, POLICY)) == []


def test_a_checkpoint_that_does_not_verify_is_named_and_the_copy_still_read() -> None:
    other = sign(Checkpoint(ORIGIN, 999, root_of(LOG.entries[:999])), LOG_ED25519)
    forged = dataclasses.replace(other, text=LOG.checkpoint.text)
    assert codes(audited({"checkpoint": forged.encode()})) == ["log.checkpoint.unsigned", "log.signature.invalid"]
    assert codes(audited({"checkpoint": sign(LOG.checkpoint, LOG_MLDSA44).encode()})) == ["log.checkpoint.unsigned"]
    assert codes(audited({"checkpoint": b"nonsense"})) == ["log.note.malformed"]


def test_the_quorum_may_stand_on_an_older_head_that_the_copy_continues() -> None:
    older = Checkpoint(ORIGIN, 700, root_of(LOG.entries[:700]))
    witnessed = sign(older, LOG_ED25519, *WITNESSES[:2])
    verdict = audit_copy({**LOG.files, "checkpoint.cosigned": witnessed.encode()}.get, WITNESSED)
    assert codes(verdict) == []
    assert verdict.cosigned is not None
    assert verdict.cosigned.checkpoint == older
    assert codes(audited({}, WITNESSED)) == ["log.policy.quorum"]


def test_a_cosigned_head_that_the_copy_does_not_continue_is_a_rewritten_history() -> None:
    other = Checkpoint(ORIGIN, 700, root_of([b"other", *LOG.entries[1:700]]))
    witnessed = sign(other, LOG_ED25519, *WITNESSES[:2])
    assert codes(audit_copy({**LOG.files, "checkpoint.cosigned": witnessed.encode()}.get, WITNESSED)) == ["log.root.mismatch"]


@settings(deadline=None, database=None, max_examples=30)
@given(st.integers(1, 1000), st.integers(0, 999))
def test_heads_seen_earlier_are_continued_or_the_difference_is_found(size: int, changed: int) -> None:
    true = Checkpoint(ORIGIN, size, root_of(LOG.entries[:size]))
    assert codes(audit_copy(LOG.read, POLICY, earlier=[true])) == []
    entries = entries_of(1000)
    entries[changed % size] = b"other"
    other = Checkpoint(ORIGIN, size, root_of(entries[:size]))
    assert codes(audit_copy(LOG.read, POLICY, earlier=[true, other])) == ["log.root.mismatch"]


def test_a_copy_shorter_than_a_head_seen_earlier_was_rolled_back() -> None:
    longer = Checkpoint(ORIGIN, 1001, bytes(32))
    assert codes(audit_copy(LOG.read, POLICY, earlier=[longer])) == ["log.rolled_back"]


def test_a_copy_that_is_wrong_everywhere_ends_in_a_bounded_list() -> None:
    big = SmallLog.of(70_000)
    files = {path: b"" if path.startswith("tile") else data for path, data in big.files.items()}
    assert len(audit_copy(files.get, POLICY).findings) <= FINDINGS_MAX
