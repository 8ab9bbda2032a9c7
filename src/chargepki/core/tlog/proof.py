"""The proof that an entry is in a log, whole in one text (C2SP tlog-proof).

    c2sp.org/tlog-proof@v1
    extra eyJhY3Rpb24iOi...            <- the entry itself; the tree vouches for it
    index 73894
    gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
    B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=

    log.example/audit
    109482
    ...

C2SP calls the extra data untrusted. Ours is trusted only as far as its leaf hash leads to the signed root.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from chargepki.core.tlog.checkpoint import parse_checkpoint
from chargepki.core.tlog.lines import parse_base64, parse_decimal, parse_hash, spell_base64
from chargepki.core.tlog.merkle import PROOF_HASHES_MAX, hash_leaf, is_included
from chargepki.core.tlog.notes import NOTE_OCTETS_MAX, Note, parse_note
from chargepki.core.tlog.policy import Policy, Verdict, check_note
from chargepki.core.tlog.tiles import ENTRY_OCTETS_MAX
from chargepki.errors import Finding, Refused

HEADER: Final = "c2sp.org/tlog-proof@v1"
PROOF_OCTETS_MAX: Final = NOTE_OCTETS_MAX + 2 * ENTRY_OCTETS_MAX  # an entry in Base64, 63 hashes, a checkpoint
_CLAUSE: Final = "C2SP tlog-proof"


@dataclass(frozen=True, slots=True)
class Proof:
    """`hashes` lead from the leaf's sibling up to the root's child. `leaf` is the entry's bytes."""

    index: int
    leaf: bytes
    hashes: tuple[bytes, ...]
    note: Note


@dataclass(frozen=True, slots=True)
class ProofVerdict:
    """`findings` without an error: the entry was in the log when the signers in `checkpoint` saw it."""

    checkpoint: Verdict
    findings: tuple[Finding, ...]

    @property
    def is_accepted(self) -> bool:
        return not any(finding.is_error for finding in self.findings)


def format_proof(proof: Proof) -> bytes:
    lines = [HEADER, f"extra {spell_base64(proof.leaf)}", f"index {proof.index}", *map(spell_base64, proof.hashes), ""]
    return "".join(f"{line}\n" for line in lines).encode() + proof.note.encode()


def parse_proof(data: bytes) -> Proof:
    """`Refused` unless it is one; says nothing about whether it proves anything."""
    if len(data) > PROOF_OCTETS_MAX:
        raise _malformed(f"it has {len(data)} octets, the limit is {PROOF_OCTETS_MAX}")
    head, blank, rest = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _malformed("its head is not ASCII") from error
    if not blank or lines[0] != HEADER:
        raise _malformed(f"it does not begin with {HEADER}")
    if len(lines) < 3 or len(lines) > 3 + PROOF_HASHES_MAX:
        raise _malformed(f"it needs the entry, the index and at most {PROOF_HASHES_MAX} hashes")
    leaf, index = parse_base64(_value(lines[1], "extra")), parse_decimal(_value(lines[2], "index"))
    if leaf is None or len(leaf) > ENTRY_OCTETS_MAX:
        raise _malformed("its second line is not the entry: extra, a space, Base64")
    if index is None:
        raise _malformed("its third line is not an index")
    return Proof(index, leaf, _parse_hashes(lines[3:]), parse_note(rest))


def check_proof(proof: Proof, policy: Policy) -> ProofVerdict:
    """Whether the entry is in a tree whose root the policy's keys signed. Needs nothing but the two values."""
    verdict = check_note(proof.note, policy)
    if verdict.checkpoint is None:
        return ProofVerdict(verdict, verdict.findings)
    root, size = verdict.checkpoint.root, verdict.checkpoint.size
    if is_included(hash_leaf(proof.leaf), proof.index, size, proof.hashes, root):
        return ProofVerdict(verdict, verdict.findings)
    message = f"the entry is not number {proof.index} of the {size} entries under this checkpoint"
    finding = Finding(
        "log.proof.invalid", message, path="proof", clause="RFC 6962 2.1.1", hint="the entry, the proof or its index was changed"
    )
    return ProofVerdict(verdict, (finding, *verdict.findings))


def is_proof(data: bytes) -> bool:
    """Whether a file claims to be one, for a command that takes several kinds of files."""
    return data.startswith(HEADER.encode() + b"\n")


def proof_for(index: int, leaf: bytes, hashes: Sequence[bytes], note: Note) -> Proof:
    """A proof that holds, or `Refused`: what is handed out was checked."""
    checkpoint = parse_checkpoint(note.text)
    if not is_included(hash_leaf(leaf), index, checkpoint.size, hashes, checkpoint.root):
        raise Refused.because(
            "log.proof.invalid", f"the tiles do not prove entry {index}", clause="RFC 6962 2.1.1", hint="chargepki log verify"
        )
    return Proof(index, leaf, tuple(hashes), note)


def _parse_hashes(lines: Sequence[str]) -> tuple[bytes, ...]:
    hashes = tuple(one for one in map(parse_hash, lines) if one is not None)
    if len(hashes) != len(lines):
        raise _malformed("a line is not a SHA-256 hash in Base64")
    return hashes


def _value(line: str, word: str) -> str:
    """What stands after the word; something that no parser accepts when the line begins otherwise."""
    return line.removeprefix(f"{word} ") if line.startswith(f"{word} ") else "?"


def _malformed(why: str) -> Refused:
    return Refused.because("log.proof.malformed", f"this is not a proof: {why}", path="proof", clause=_CLAUSE)
