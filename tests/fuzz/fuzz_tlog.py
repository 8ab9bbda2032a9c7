"""The formats of a log that come from outside: notes, checkpoints, keys, proofs, policies, requests to a witness, tile paths, bundles."""

from contextlib import suppress

from chargepki.core.tlog.audit import audit_copy
from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.merkle import prove_consistency, prove_inclusion
from chargepki.core.tlog.notes import parse_note, parse_signatures, parse_verifier_key
from chargepki.core.tlog.policy import Witness, check_note, format_policy, parse_policy, policy_of
from chargepki.core.tlog.proof import check_proof, format_proof, parse_proof, proof_for
from chargepki.core.tlog.tiles import encode_bundle, parse_tile_path, split_bundle
from chargepki.core.tlog.witness import decide_add, format_add_checkpoint, parse_add_checkpoint, parse_conflict
from chargepki.errors import Refused
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, SmallLog, sign

LOG = SmallLog.of(20)
NOTE = sign(LOG.checkpoint, LOG_ED25519, LOG_MLDSA44, WITNESSES[0])
POLICY = policy_of([LOG_ED25519.verifier, LOG_MLDSA44.verifier], [Witness("w", WITNESSES[0].verifier)], 1)
TRUSTED = {ORIGIN: [LOG_ED25519.verifier]}
SEEDS = (
    NOTE.encode(),
    LOG.checkpoint.text,
    str(LOG_ED25519.verifier).encode(),
    str(LOG_MLDSA44.verifier).encode(),
    format_policy(POLICY).encode(),
    format_proof(proof_for(7, LOG.entries[7], prove_inclusion(7, 20, LOG.node), NOTE)),
    format_add_checkpoint(13, prove_consistency(13, 20, LOG.node), NOTE),
    b"tile/0/x001/x234/067.p/200",
    b"17\n",
    LOG.files["tile/entries/000.p/20"],
    LOG.files["tile/0/000.p/20"],
)


def one_input(data: bytes) -> None:
    """What is read is written back the same; everything else is a refusal; an audit of it never ends but in findings."""
    text = data.decode("utf-8", "replace")
    with suppress(Refused):
        note = parse_note(data)
        assert parse_note(note.encode()) == note
        check_note(note, POLICY)
    with suppress(Refused):
        assert parse_checkpoint(data).text == data
    with suppress(Refused):
        assert "".join(map(str, parse_signatures(data))).encode() == data
    with suppress(Refused):
        assert str(parse_verifier_key(text)) == text
    with suppress(Refused):
        assert parse_policy(format_policy(parse_policy(text))) == parse_policy(text)
    with suppress(Refused):
        proof = parse_proof(data)
        assert parse_proof(format_proof(proof)) == proof
        assert not check_proof(proof, POLICY).is_accepted or proof.leaf in LOG.entries
    with suppress(Refused):
        request = parse_add_checkpoint(data)
        assert parse_add_checkpoint(format_add_checkpoint(request.old_size, request.proof, request.note)) == request
        decide_add(request, TRUSTED, None)
    with suppress(Refused):
        assert parse_tile_path(text).path == text
    with suppress(Refused):
        parse_conflict(data)
    entries, is_whole = split_bundle(data)
    assert not is_whole or encode_bundle(entries) == data
    for path in LOG.files:
        audit_copy({**LOG.files, path: data}.get, POLICY)


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
