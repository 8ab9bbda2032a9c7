"""The self-contained proof: holds with the keys of a policy alone, and for nothing that was changed."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.merkle import prove_inclusion
from chargepki.core.tlog.policy import Witness, policy_of
from chargepki.core.tlog.proof import Proof, check_proof, format_proof, is_proof, parse_proof, proof_for
from chargepki.errors import Refused
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, WITNESSES, SmallLog, sign

LOG = SmallLog.of(300)
POLICY = policy_of([LOG_ED25519.verifier], [Witness(f"w{n}", signer.verifier) for n, signer in enumerate(WITNESSES)], 2)
NOTE = sign(LOG.checkpoint, LOG_ED25519, LOG_MLDSA44, WITNESSES[0], WITNESSES[2])


def make(index: int) -> Proof:
    return proof_for(index, LOG.entries[index], prove_inclusion(index, 300, LOG.node), NOTE)


@pytest.mark.clause("C2SP tlog-proof")
@pytest.mark.parametrize("index", [0, 1, 255, 256, 299])
def test_a_proof_reads_back_and_is_accepted(index: int) -> None:
    text = format_proof(make(index))
    assert is_proof(text)
    assert parse_proof(text) == make(index)
    assert check_proof(parse_proof(text), POLICY).is_accepted


@settings(deadline=None, database=None, max_examples=150)
@given(st.integers(0, 299), st.data())
def test_no_changed_octet_is_accepted(index: int, data: st.DataObject) -> None:
    text = format_proof(make(index))
    end = text.index(b"\n\n", text.index(b"\n\n") + 2)  # the lines of signatures after it may go; the rest may not
    changed = bytearray(text)
    changed[data.draw(st.integers(0, end))] ^= data.draw(st.integers(1, 255))
    try:
        proof = parse_proof(bytes(changed))
    except Refused:
        return
    assert not check_proof(proof, POLICY).is_accepted


def test_the_proof_of_another_entry_proves_nothing() -> None:
    swapped = dataclasses.replace(make(5), leaf=LOG.entries[6])
    assert [finding.code for finding in check_proof(swapped, POLICY).findings] == ["log.proof.invalid"]
    with pytest.raises(Refused, match=r"log\.proof\.invalid"):
        proof_for(5, LOG.entries[6], make(5).hashes, NOTE)


def test_a_proof_without_its_witnesses_is_not_accepted() -> None:
    alone = dataclasses.replace(make(5), note=sign(LOG.checkpoint, LOG_ED25519, WITNESSES[0]))
    assert [finding.code for finding in check_proof(alone, POLICY).findings] == ["log.policy.quorum"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v2\n",
        b"c2sp.org/tlog-proof@v1\nextra AA==\n\n",
        b"c2sp.org/tlog-proof@v1\nextra AA==\nindex 01\n\n",
        b"c2sp.org/tlog-proof@v1\nextra !\nindex 1\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 1\nextra AA==\n\n",
        b"c2sp.org/tlog-proof@v1\nextra AA==\nindex 1\nAA==\n\n",
        b"c2sp.org/tlog-proof@v1\nextra AA==\nindex 1\n" + b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n" * 64 + b"\n",
        b"c2sp.org/tlog-proof@v1\nextra \xff\nindex 1\n\n",
        b"x" * 500_000,
    ],
)
def test_what_is_no_proof_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match="malformed"):
        parse_proof(data)
