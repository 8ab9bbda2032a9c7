"""The Merkle tree of RFC 6962: its hashes, which subtrees a proof is made of, and the check of a proof.

A *span* is a run of leaves [start, end) whose tree hash stands in a proof. A *node* is a full, aligned subtree: (height, index).
Every span is a handful of nodes, and nodes are what tiles keep. Proofs are made from a `NodeReader`, so the maker decides where from.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

HASH_OCTETS: Final = 32
TREE_SIZE_MAX: Final = 2**63 - 1  # C2SP tlog-checkpoint sizes are signed 64-bit numbers in the implementations we meet
PROOF_HASHES_MAX: Final = 63  # the height of the largest tree; C2SP tlog-witness allows no more lines either
EMPTY_ROOT: Final = sha256(b"").digest()  # RFC 6962 2.1

NodeReader = Callable[[int, int], bytes]
"""(height, index) -> the hash of that full subtree."""


@dataclass(frozen=True, slots=True)
class Span:
    """The leaves [start, end)."""

    start: int
    end: int


def hash_leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()  # RFC 6962 2.1


def hash_node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()  # RFC 6962 2.1


def inclusion_spans(index: int, size: int) -> tuple[Span, ...]:
    """What the inclusion proof of leaf `index` in a tree of `size` is made of, from the leaf's sibling to the root's child."""
    if not 0 <= index < size <= TREE_SIZE_MAX:
        raise ValueError(f"there is no leaf {index} in a tree of size {size}")
    start, end, spans = 0, size, []
    while end - start > 1:  # RFC 6962 2.1.1
        middle = start + _split(end - start)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    return tuple(reversed(spans))


def consistency_spans(old: int, new: int) -> tuple[Span, ...]:
    """What the proof is made of that a tree of size `old` is the beginning of one of size `new`; empty for 0 and for equal sizes."""
    if not 0 <= old <= new <= TREE_SIZE_MAX:
        raise ValueError(f"a tree of size {old} does not begin one of size {new}")
    if old in (0, new):
        return ()
    start, end, spans = 0, new, []
    while old != end:  # RFC 6962 2.1.2
        middle = start + _split(end - start)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(start, middle))
            start = middle
    if start != 0:  # else that subtree is the old tree itself, whose root the verifier has
        spans.append(Span(start, end))
    return tuple(reversed(spans))


def nodes_of(span: Span) -> tuple[tuple[int, int], ...]:
    """The full subtrees (height, index) that make up a span, left to right."""
    nodes, start = [], span.start
    while start < span.end:
        height = (span.end - start).bit_length() - 1
        nodes.append((height, start >> height))
        start += 1 << height
    return tuple(nodes)


def hash_span(span: Span, read: NodeReader) -> bytes:
    """The tree hash of a span. RFC 6962 2.1: smaller subtrees stand to the right."""
    return fold_right([read(height, index) for height, index in nodes_of(span)])


def fold_right(hashes: Sequence[bytes]) -> bytes:
    """The root above full subtrees of falling size, left to right."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = hash_node(left, root)
    return root


def prove_inclusion(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    return tuple(hash_span(span, read) for span in inclusion_spans(index, size))


def prove_consistency(old: int, new: int, read: NodeReader) -> tuple[bytes, ...]:
    return tuple(hash_span(span, read) for span in consistency_spans(old, new))


def is_included(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """True when `proof` leads from the leaf at `index` to `root`. Any index, size and length may be asked about."""
    if not 0 <= index < size <= TREE_SIZE_MAX or not _are_hashes((leaf_hash, root, *proof[: PROOF_HASHES_MAX + 1])):
        return False
    spans = inclusion_spans(index, size)
    if len(proof) != len(spans):
        return False
    found = leaf_hash
    for span, sibling in zip(spans, proof, strict=True):
        found = hash_node(sibling, found) if span.end <= index else hash_node(found, sibling)
    return compare_digest(found, root)


def is_consistent(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """True when `proof` shows that the tree of size `old` is the beginning of the tree of size `new`. Any values may be asked about."""
    if not 0 <= old <= new <= TREE_SIZE_MAX or not _are_hashes((old_root, new_root, *proof[: PROOF_HASHES_MAX + 1])):
        return False
    spans = consistency_spans(old, new)
    if len(proof) != len(spans):
        return False
    if old == 0:
        return compare_digest(old_root, EMPTY_ROOT) and (new > 0 or compare_digest(new_root, EMPTY_ROOT))
    return _joins(spans, proof, old, old_root, new_root)


def _joins(spans: Sequence[Span], proof: Sequence[bytes], old: int, old_root: bytes, new_root: bytes) -> bool:
    """Climbs from the last subtree of the old tree: what stands left of it is in both trees, what stands right only in the new one."""
    before = after = old_root
    for place, (span, sibling) in enumerate(zip(spans, proof, strict=True)):
        if place == 0 and span.end == old and span.start != 0:
            before = after = sibling
        elif span.end <= old:
            before, after = hash_node(sibling, before), hash_node(sibling, after)
        else:
            after = hash_node(after, sibling)
    return compare_digest(before, old_root) and compare_digest(after, new_root)


def _split(size: int) -> int:
    """The largest power of two below `size` (RFC 6962 2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _are_hashes(hashes: Iterable[bytes]) -> bool:
    return all(len(one) == HASH_OCTETS for one in hashes)
