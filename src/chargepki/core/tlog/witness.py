"""A witness: cosigns a log's checkpoint only when it continues the one it cosigned before (C2SP tlog-witness).

Pure: `decide_add` says what to do. Whoever asks it keeps `Seen` per origin, replaces it by compare-and-swap before the cosignature goes
out, and does both for one origin at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chargepki.core.tlog.checkpoint import Checkpoint, parse_checkpoint
from chargepki.core.tlog.lines import parse_decimal, parse_hash, spell_base64
from chargepki.core.tlog.merkle import EMPTY_ROOT, PROOF_HASHES_MAX, is_consistent
from chargepki.core.tlog.notes import NOTE_OCTETS_MAX, Note, VerifierKey, parse_note, verify_note
from chargepki.errors import Finding, Refused

REQUEST_OCTETS_MAX: Final = NOTE_OCTETS_MAX + 4096  # a checkpoint after the old size and 63 hashes of 45 characters
SIZE_TYPE: Final = "text/x.tlog.size"
_CLAUSE: Final = "C2SP tlog-witness"


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request: the checkpoint, and the proof that it continues the tree of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Seen:
    """The last tree head that was cosigned for one origin."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Cosign:
    """Store `seen` durably, then sign `text` and answer with the lines."""

    text: bytes
    seen: Seen


@dataclass(frozen=True, slots=True)
class Conflict:
    """409. `size` is what was cosigned last; `is_fork` when the same size has two roots: evidence, to be kept."""

    size: int
    is_fork: bool = False

    @property
    def body(self) -> bytes:
        return b"%d\n" % self.size


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was cosigned. `status` is HTTP's."""

    status: int
    finding: Finding


Decision = Cosign | Conflict | Refusal

NEVER_SEEN: Final = Seen(0, EMPTY_ROOT)


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """`Refused` (400) unless the body is a request; says nothing about the log or its signature."""
    if len(body) > REQUEST_OCTETS_MAX:
        raise _malformed(f"it has {len(body)} octets, the limit is {REQUEST_OCTETS_MAX}")
    head, blank, rest = body.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    old = parse_decimal(lines[0].removeprefix("old ")) if lines[0].startswith("old ") else None
    if not blank or old is None:
        raise _malformed("its first line is not the old size")
    if len(lines) - 1 > PROOF_HASHES_MAX:
        raise _malformed(f"a consistency proof has at most {PROOF_HASHES_MAX} hashes")
    hashes = tuple(one for one in map(parse_hash, lines[1:]) if one is not None)
    if len(hashes) != len(lines) - 1:
        raise _malformed("a line of its proof is not a SHA-256 hash in Base64")
    note = parse_note(rest)
    return AddCheckpoint(old, hashes, note, parse_checkpoint(note.text))


def format_add_checkpoint(old_size: int, proof: Sequence[bytes], note: Note) -> bytes:
    return "".join(f"{line}\n" for line in (f"old {old_size}", *map(spell_base64, proof), "")).encode() + note.encode()


def decide_add(request: AddCheckpoint, logs: Mapping[str, Sequence[VerifierKey]], seen: Seen | None) -> Decision:
    """What the witness does. `logs` are the keys it trusts by origin; `seen` is its memory of this origin, None for never."""
    checkpoint, last = request.checkpoint, seen or NEVER_SEEN
    keys = logs.get(checkpoint.origin, ())
    if not keys:
        return _refusal(404, "witness.log.unknown", f"the log {checkpoint.origin!r} is none of those witnessed here")
    if not verify_note(request.note, keys).signed:
        return _refusal(403, "witness.signature.missing", f"no known key of {checkpoint.origin!r} signed this checkpoint")
    if request.old_size > checkpoint.size:
        return _refusal(400, "witness.size.shrunk", f"the checkpoint has {checkpoint.size} entries, the old one {request.old_size}")
    if request.old_size != last.size:
        return Conflict(last.size)
    if checkpoint.size == last.size and checkpoint.root != last.root:
        return Conflict(last.size, is_fork=True)
    if not is_consistent(last.size, checkpoint.size, last.root, checkpoint.root, request.proof):
        return _refusal(422, "witness.proof.invalid", f"the proof does not lead from {last.size} to {checkpoint.size} entries")
    return Cosign(request.note.text, Seen(checkpoint.size, checkpoint.root))


def parse_conflict(body: bytes) -> int:
    """The size in a witness's 409; `Refused` when there is none."""
    size = parse_decimal(body[:32].decode("ascii", "replace").removesuffix("\n")) if body.endswith(b"\n") and len(body) <= 20 else None
    if size is None:
        raise _malformed("the answer to it names no size")
    return size


def _refusal(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, Finding(code, message, path="checkpoint", clause=_CLAUSE))


def _malformed(why: str) -> Refused:
    return Refused.because("witness.request.malformed", f"this is not an add-checkpoint request: {why}", path="body", clause=_CLAUSE)
