"""Signed notes, checkpoints, cosignatures and verifier keys: one spelling each, and no signature counts for another."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.checkpoint import Checkpoint, parse_checkpoint
from chargepki.core.tlog.cosignature import TIMESTAMP_MAX, parse_timestamped_signature
from chargepki.core.tlog.merkle import EMPTY_ROOT
from chargepki.core.tlog.notes import (
    NOTE_OCTETS_MAX,
    SIGNATURES_MAX,
    Note,
    NoteKind,
    NoteSignature,
    assemble_signature,
    parse_note,
    parse_signatures,
    parse_verifier_key,
    signature_input,
    verifier_key_of,
    verify_note,
)
from chargepki.errors import Refused
from tests.unit.core.tlog.small_log import LOG_ED25519, LOG_MLDSA44, ORIGIN, WITNESSES, Signer, sign

CHECKPOINT = Checkpoint(ORIGIN, 20852163, EMPTY_ROOT)
HOUSE = settings(deadline=None, database=None, max_examples=60)
ALL = (LOG_ED25519, LOG_MLDSA44, *WITNESSES)
KEYS = [signer.verifier for signer in ALL]


@pytest.mark.clause("C2SP signed-note", "C2SP tlog-checkpoint", "C2SP tlog-cosignature")
def test_a_checkpoint_signed_by_all_kinds_of_keys_reads_back_and_verifies() -> None:
    note = sign(CHECKPOINT, *ALL)
    again = parse_note(note.encode())
    assert again == note
    assert parse_checkpoint(again.text) == CHECKPOINT
    found = verify_note(again, KEYS)
    assert [signed.key for signed in found.signed] == KEYS
    assert [signed.timestamp for signed in found.signed] == [None, *[1_790_000_000] * 4]
    assert found.broken == ()


@pytest.mark.clause("C2SP signed-note")
def test_lines_of_unknown_keys_are_passed_over_and_wrong_lines_of_known_keys_are_named() -> None:
    other = sign(dataclasses.replace(CHECKPOINT, size=1), LOG_ED25519, WITNESSES[0])
    note = Note(CHECKPOINT.text, (*other.signatures, *sign(CHECKPOINT, WITNESSES[1]).signatures))
    found = verify_note(note, [LOG_ED25519.verifier, WITNESSES[1].verifier])
    assert [signed.key for signed in found.signed] == [WITNESSES[1].verifier]
    assert found.broken == (LOG_ED25519.verifier,)


def test_a_signature_of_one_kind_is_none_of_another_though_the_key_is_the_same() -> None:
    """Ed25519 over the text and cosignature/v1 differ in their message; the line's id says which it claims to be."""
    plain = Signer.make("w.example", NoteKind.ED25519)
    cosigner = verifier_key_of("w.example", NoteKind.COSIGNATURE_ED25519, bytes.fromhex("302a300506032b6570032100") + plain.verifier.key)
    signature = plain.private.sign(signature_input(plain.verifier, CHECKPOINT.text))
    claimed = assemble_signature(cosigner, signature, 0)
    assert verify_note(Note(CHECKPOINT.text, (claimed,)), [cosigner, plain.verifier]).signed == ()


def test_the_name_of_an_mldsa_cosigner_is_part_of_what_it_signs() -> None:
    line = LOG_MLDSA44.line(CHECKPOINT.text)
    renamed = dataclasses.replace(LOG_MLDSA44.verifier, name="other.example")
    note = Note(CHECKPOINT.text, (NoteSignature(renamed.name, renamed.id, line.blob),))
    assert verify_note(note, [renamed]).broken == (renamed,)


def test_a_moved_timestamp_voids_a_cosignature() -> None:
    for signer in (LOG_MLDSA44, WITNESSES[0]):
        line = signer.line(CHECKPOINT.text)
        later = dataclasses.replace(line, blob=(int.from_bytes(line.blob[:8], "big") + 1).to_bytes(8, "big") + line.blob[8:])
        assert verify_note(Note(CHECKPOINT.text, (later,)), [signer.verifier]).broken == (signer.verifier,)


@HOUSE
@given(st.data())
def test_no_changed_octet_of_a_signed_checkpoint_still_verifies(data: st.DataObject) -> None:
    whole = sign(CHECKPOINT, *ALL).encode()
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        note = parse_note(bytes(changed))
    except Refused:
        return
    assert len(verify_note(note, KEYS).signed) < len(ALL)


@pytest.mark.parametrize("signer", ALL, ids=lambda signer: signer.verifier.kind.name)
def test_a_verifier_key_reads_back(signer: Signer) -> None:
    assert parse_verifier_key(str(signer.verifier)) == signer.verifier


@pytest.mark.clause("C2SP signed-note")
def test_a_key_id_is_the_hash_that_the_specification_gives() -> None:
    """The key of the Go checksum database, as its clients carry it."""
    key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert str(parse_verifier_key(key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        str(LOG_ED25519.verifier).replace("+", "-", 1),
        str(LOG_ED25519.verifier)[:-4],
        str(LOG_ED25519.verifier) + "AAAA",
        "log other" + str(LOG_ED25519.verifier)[len(ORIGIN) :],
        str(LOG_ED25519.verifier).replace(LOG_ED25519.verifier.id.hex(), "00000000"),
        "sum.golang.org+033DE0AE+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
        "x" * 100_000,
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"log\.vkey\.malformed"):
        parse_verifier_key(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"origin\n1\n",
        b"origin\n01\n" + b"A" * 43 + b"=\n",
        b"origin\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"origin\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n",
        b"origin\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n",
        b"origin\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        b"origin\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n",
        b"origin\n9223372036854775808\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"o" * 256 + b"\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"\xff\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        b"x" * 100_000,
    ],
)
@pytest.mark.clause("C2SP tlog-checkpoint")
def test_what_is_no_checkpoint_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match=r"log\.checkpoint\.malformed"):
        parse_checkpoint(text)


def test_extension_lines_are_kept_and_signed() -> None:
    extended = dataclasses.replace(CHECKPOINT, extensions=("more",))
    assert parse_checkpoint(extended.text) == extended
    assert verify_note(Note(extended.text, (LOG_ED25519.line(CHECKPOINT.text),)), KEYS).broken == (LOG_ED25519.verifier,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash AAAAAAAA\n",
        "text\n\n— name !!!!\n".encode(),
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— na+me AAAAAAAA\n".encode(),
        "text\n\n— name AAAAAAAA".encode(),
        "te\rxt\n\n— name AAAAAAAA\n".encode(),
        b"text\n\n" + "— name AAAAAAAA\n".encode() * (SIGNATURES_MAX + 1),
        b"\xff\n\n",
        b"x" * (NOTE_OCTETS_MAX + 1),
    ],
)
@pytest.mark.clause("C2SP signed-note")
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(Refused, match=r"log\.note\.malformed"):
        parse_note(data)


def test_a_note_may_have_empty_lines_and_ends_at_the_last_one() -> None:
    text = "first\n\nsecond\n"
    note = parse_note(f"{text}\n— name AAAAAAAA\n".encode())
    assert note.text == text.encode()
    assert verify_note(note, KEYS).signed == ()


def test_the_lines_of_a_witness_alone_read_like_those_of_a_note() -> None:
    lines = "".join(str(witness.line(CHECKPOINT.text)) for witness in WITNESSES)
    assert len(verify_note(Note(CHECKPOINT.text, parse_signatures(lines.encode())), KEYS).signed) == 3
    for wrong in (b"", b"\n", b"\xff\n", lines.encode()[:-1]):
        with pytest.raises(Refused):
            parse_signatures(wrong)


def test_a_timestamp_ends_before_2_63() -> None:
    assert parse_timestamped_signature(TIMESTAMP_MAX.to_bytes(8, "big") + bytes(64), 64).timestamp == TIMESTAMP_MAX
    with pytest.raises(Refused):
        parse_timestamped_signature((TIMESTAMP_MAX + 1).to_bytes(8, "big") + bytes(64), 64)
    with pytest.raises(Refused):
        parse_timestamped_signature(bytes(64), 64)


def test_a_key_of_another_kind_is_no_verifier_key() -> None:
    with pytest.raises(ValueError, match="no key of kind"):
        verifier_key_of("log.example", NoteKind.COSIGNATURE_MLDSA44, bytes(44))
    with pytest.raises(ValueError, match="its name"):
        verifier_key_of("log example", NoteKind.ED25519, bytes.fromhex("302a300506032b6570032100") + bytes(32))
