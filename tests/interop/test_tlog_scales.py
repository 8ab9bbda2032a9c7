"""An independent implementation of tlog-tiles (`tlog-scales`) accepts our logs, and we accept its."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.adapters.tlog.files import TileDirectory
from chargepki.core.tlog.audit import audit_copy
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.merkle import (
    consistency_spans,
    hash_leaf,
    inclusion_spans,
    is_consistent,
    is_included,
    prove_consistency,
    prove_inclusion,
)
from chargepki.core.tlog.notes import VerifierKey, parse_note, parse_verifier_key
from chargepki.core.tlog.policy import Witness, check_note, policy_of
from chargepki.core.tlog.tiles import TileHashes, TileId, parse_bundle, tiles_of
from chargepki.ports import TileFile
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, SmallLog, entries_of, root_of, sign

backend = pytest.importorskip("tlog_scales.backend")
reader = pytest.importorskip("tlog_scales.reader")
signing = pytest.importorskip("tlog_scales.signing")
tlog = pytest.importorskip("tlog_scales.tlog")
writer = pytest.importorskip("tlog_scales.writer")

SIZES = (1, 2, 255, 256, 257, 1000)
HOUSE = settings(deadline=None, database=None, max_examples=40)
OURS = SmallLog.of(1000)


async def published(directory: Path, log: SmallLog) -> Any:
    """Our log on disk, opened by the other side."""
    tiles = TileDirectory(directory)
    await tiles.publish([TileFile(path, data) for path, data in log.files.items() if path != "checkpoint"], log.files["checkpoint"])
    await tiles.close()
    return reader.TilesReader(backend.LocalBackend(directory))


@pytest.mark.clause("C2SP tlog-tiles", "C2SP tlog-checkpoint")
@pytest.mark.parametrize("size", [*SIZES, 66_000])
async def test_it_reads_our_tiles_and_entries_and_finds_the_signed_root(tmp_path: Path, size: int) -> None:
    log = SmallLog()
    log.append(entries_of(size), LOG_ED25519, LOG_MLDSA44)
    theirs = await published(tmp_path, log)
    checkpoint = theirs.get_checkpoint()
    assert (checkpoint.origin, checkpoint.size, checkpoint.root_hash) == (ORIGIN, size, log.checkpoint.root)
    assert theirs.calculate_root_hash() == log.checkpoint.root
    for signer in (LOG_ED25519, LOG_MLDSA44):
        checkpoint.verify(signing.Vkey.from_string(str(signer.verifier)))
    for index in {0, size // 2, size - 1}:
        assert theirs.get_entry(index) == log.entries[index]
        theirs.get_inclusion_proof(index, size).check(hash_leaf(log.entries[index]), checkpoint.root_hash)


@pytest.mark.clause("RFC 6962 2.1.1", "RFC 6962 2.1.2")
@HOUSE
@given(st.integers(1, 1000), st.data())
def test_it_accepts_our_proofs_and_makes_the_same(size: int, data: st.DataObject) -> None:
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    root, leaf = root_of(OURS.entries[:size]), hash_leaf(OURS.entries[index])
    inclusion = prove_inclusion(index, size, OURS.node)
    tlog.InclusionProof(index, size, list(inclusion)).check(leaf, root)
    consistency = prove_consistency(old, size, OURS.node)
    tlog.ConsistencyProof(old, size, list(consistency)).check(root_of(OURS.entries[:old]), root)


@pytest.mark.clause("C2SP tlog-cosignature", "C2SP signed-note")
def test_it_accepts_every_kind_of_our_signature_lines() -> None:
    signers = (LOG_ED25519, LOG_MLDSA44, *WITNESSES)
    note = sign(OURS.checkpoint, *signers)
    checkpoint = tlog.Checkpoint.from_text(note.encode().decode())
    assert checkpoint.serialize().encode() == note.encode()
    keys = signing.VkeySet(*(signing.Vkey.from_string(str(signer.verifier)) for signer in signers))
    assert {vkey.name for vkey, _ in keys.verify(checkpoint.signatures, checkpoint)} == {signer.verifier.name for signer in signers}
    changed = tlog.Checkpoint(ORIGIN, checkpoint.size + 1, checkpoint.root_hash, checkpoint.signatures)
    assert keys.verify(checkpoint.signatures, changed) == set()


@pytest.mark.clause("C2SP tlog-tiles", "C2SP tlog-checkpoint")
@pytest.mark.parametrize("batches", [(1,), (3, 250, 3), (256, 256), (300, 700), (1000,)])
def test_we_audit_a_log_that_it_wrote_and_prove_from_its_tiles(tmp_path: Path, batches: tuple[int, ...]) -> None:
    theirs = writer.TilesWriter.create(tmp_path / "log", ORIGIN)
    signers = [
        signing.PlainEd25519Signer(ORIGIN, LOG_ED25519.private),
        signing.MLDSA44CosignatureSigner(ORIGIN, LOG_MLDSA44.private),
        signing.MLDSA44CosignatureSigner("w.example", LOG_MLDSA44.private),
    ]
    entries: list[bytes] = []
    for count in batches:
        for entry in entries_of(count):
            theirs.add_leaf(entry)
            entries.append(entry)
        theirs.commit(signers)

    def read(path: str) -> bytes | None:
        file = tmp_path / "log" / path
        return file.read_bytes() if file.is_file() else None

    keys: list[VerifierKey] = [parse_verifier_key(signer.vkey.serialize()) for signer in signers]
    policy = policy_of(keys[:2], [Witness("w", keys[2])], 1)
    verdict = audit_copy(read, policy)
    assert (verdict.findings, verdict.size, verdict.root) == ((), len(entries), root_of(entries))
    size, index, old = len(entries), len(entries) // 2, len(entries) // 3
    tiles = {
        (tile.level, tile.index): read_hashes(read, tile)
        for tile in tiles_of((*inclusion_spans(index, size), *consistency_spans(old, size)), size)
    }
    hashes = TileHashes(tiles)
    assert is_included(hash_leaf(entries[index]), index, size, prove_inclusion(index, size, hashes), verdict.root)
    assert is_consistent(old, size, root_of(entries[:old]), verdict.root, prove_consistency(old, size, hashes))
    bundle = TileId(-1, 0, min(256, size))
    assert parse_bundle(read(bundle.path) or b"", bundle.width) == tuple(entries[:256])
    note = parse_note(read("checkpoint") or b"")
    assert parse_checkpoint(note.text).size == size
    assert {signed.key for signed in check_note(note, policy).logs} == set(keys[:2])


def read_hashes(read: Any, tile: TileId) -> bytes:
    return read(tile.path) or read(tile.full.path) or b""
