"""The tree: its hashes against RFC 6962, its proofs against every change, its edge against every way to append."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.merkle import (
    EMPTY_ROOT,
    PROOF_HASHES_MAX,
    TREE_SIZE_MAX,
    Span,
    consistency_spans,
    hash_leaf,
    inclusion_spans,
    is_consistent,
    is_included,
    prove_consistency,
    prove_inclusion,
)
from chargepki.core.tlog.tiles import TILE_WIDTH, TileHashes, TileId, edge_tiles, split_hashes, tiles_of
from tests.unit.core.tlog.small_log import SmallLog, entries_of, root_of

BIG = SmallLog.of(70_000)  # tiles on three levels, as in the example of C2SP tlog-tiles
HOUSE = settings(deadline=None, database=None, max_examples=60)


@st.composite
def index_and_size(draw: st.DrawFn, size_max: int = 600) -> tuple[int, int]:
    size = draw(st.integers(1, size_max))
    return draw(st.integers(0, size - 1)), size


@st.composite
def two_sizes(draw: st.DrawFn, size_max: int = 600) -> tuple[int, int]:
    new = draw(st.integers(0, size_max))
    return draw(st.integers(0, new)), new


def flipped(octets: bytes, bit: int) -> bytes:
    bit %= len(octets) * 8
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.clause("RFC 6962 2.1")
def test_the_known_roots_of_certificate_transparency() -> None:
    """The eight leaves that the first implementations were tested with, and their roots at sizes 0, 1, 2, 3 and 8."""
    leaves = [
        bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
    ]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, root in roots.items():
        edge = TreeEdge()
        edge.append(map(hash_leaf, leaves[:size]))
        assert edge.root().hex() == root


@HOUSE
@given(st.lists(st.integers(0, 400), max_size=6))
def test_any_batching_of_appends_gives_the_same_root_and_tiles(batches: list[int]) -> None:
    leaves = entries_of(sum(batches))
    at_once, in_parts = TreeEdge(), TreeEdge()
    all_at_once = at_once.append(map(hash_leaf, leaves))
    made, at = [], 0
    for count in batches:
        made += in_parts.append(map(hash_leaf, leaves[at : at + count]))
        at += count
    assert made == all_at_once
    assert in_parts.partial_tiles() == at_once.partial_tiles()
    assert in_parts.root() == at_once.root() == root_of(leaves)


@HOUSE
@given(st.integers(0, 70_000), st.integers(0, 600))
def test_an_edge_read_from_its_tiles_goes_on_as_if_it_had_never_stopped(size: int, more: int) -> None:
    size = min(size, 70_000 - more)
    first = TreeEdge()
    first.append(map(hash_leaf, BIG.entries[:size]))
    tiles = dict(first.partial_tiles())
    again = TreeEdge.from_tiles(size, [split_hashes(tiles[tile]) for tile in edge_tiles(size)])
    assert again.root() == first.root()
    rest = [hash_leaf(leaf) for leaf in BIG.entries[size : size + more]]
    assert again.append(rest) == first.append(rest)
    assert again.root() == first.root()


def test_a_copy_of_an_edge_leaves_the_original_alone() -> None:
    edge = TreeEdge()
    edge.append(map(hash_leaf, entries_of(300)))
    before = edge.root()
    edge.copy().append(map(hash_leaf, entries_of(300)))
    assert (edge.root(), edge.size) == (before, 300)


@pytest.mark.clause("RFC 6962 2.1.1")
@HOUSE
@given(index_and_size(), st.integers(0, 10_000))
def test_an_inclusion_proof_verifies_and_no_changed_bit_does(place: tuple[int, int], bit: int) -> None:
    index, size = place
    log = SmallLog.of(size)
    leaf, root = hash_leaf(log.entries[index]), log.checkpoint.root
    proof = prove_inclusion(index, size, log.node)
    assert is_included(leaf, index, size, proof, root)
    assert not is_included(flipped(leaf, bit), index, size, proof, root)
    assert not is_included(leaf, index, size, proof, flipped(root, bit))
    assert not is_included(leaf, index, size, (*proof, root), root)
    if proof:
        at = bit % len(proof)
        assert not is_included(leaf, index, size, (*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]), root)
        assert not is_included(leaf, index, size, proof[:-1], root)
        assert not is_included(leaf, (index + 1) % size, size, proof, root)


@pytest.mark.clause("RFC 6962 2.1.2")
@HOUSE
@given(two_sizes(), st.integers(0, 10_000))
def test_a_consistency_proof_verifies_and_no_changed_bit_does(sizes: tuple[int, int], bit: int) -> None:
    old, new = sizes
    log = SmallLog.of(new)
    old_root, new_root = root_of(log.entries[:old]), log.checkpoint.root
    proof = prove_consistency(old, new, log.node)
    assert is_consistent(old, new, old_root, new_root, proof)
    assert not is_consistent(old, new, flipped(old_root, bit), new_root, proof)
    assert not is_consistent(old, new, old_root, new_root, (*proof, new_root))
    if old:
        assert not is_consistent(old, new, old_root, flipped(new_root, bit), proof)
    if proof:
        at = bit % len(proof)
        assert not is_consistent(old, new, old_root, new_root, (*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]))
        assert not is_consistent(old, new, old_root, new_root, proof[:-1])


@pytest.mark.clause("C2SP tlog-tiles")
@HOUSE
@given(index_and_size(70_000))
def test_the_tiles_named_for_an_inclusion_proof_are_all_it_needs(place: tuple[int, int]) -> None:
    index, size = place
    edge = edge_of(size)
    proof = prove_inclusion(index, size, TileHashes(tiles_for(inclusion_spans(index, size), edge)))
    assert is_included(hash_leaf(BIG.entries[index]), index, size, proof, edge.root())


@HOUSE
@given(two_sizes(70_000))
def test_the_tiles_named_for_a_consistency_proof_are_all_it_needs(sizes: tuple[int, int]) -> None:
    old, new = sizes
    edge = edge_of(new)
    proof = prove_consistency(old, new, TileHashes(tiles_for(consistency_spans(old, new), edge)))
    assert is_consistent(old, new, edge_of(old).root(), edge.root(), proof)


def edge_of(size: int) -> TreeEdge:
    edge = TreeEdge()
    edge.append(map(hash_leaf, BIG.entries[:size]))
    return edge


def tiles_for(spans: Sequence[Span], edge: TreeEdge) -> dict[tuple[int, int], bytes]:
    partial = dict(edge.partial_tiles())
    return {(tile.level, tile.index): BIG.files[tile.path] if tile.is_full else partial[tile] for tile in tiles_of(spans, edge.size)}


def test_the_longest_proof_has_63_hashes_and_longer_ones_are_refused_unread() -> None:
    assert len(inclusion_spans(0, TREE_SIZE_MAX)) == PROOF_HASHES_MAX
    assert len(consistency_spans(TREE_SIZE_MAX // 3, TREE_SIZE_MAX)) <= PROOF_HASHES_MAX
    many = [EMPTY_ROOT] * 100_000
    assert not is_included(EMPTY_ROOT, 0, TREE_SIZE_MAX, many, EMPTY_ROOT)
    assert not is_consistent(1, TREE_SIZE_MAX, EMPTY_ROOT, EMPTY_ROOT, many)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 5), (5, 5), (0, TREE_SIZE_MAX + 1)])
def test_what_cannot_be_in_a_tree_is_not_in_it(index: int, size: int) -> None:
    assert not is_included(EMPTY_ROOT, index, size, (), EMPTY_ROOT)
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_spans(index, size)


def test_nothing_follows_the_empty_tree_but_everything_begins_with_it() -> None:
    root = root_of([b"a"])
    assert is_consistent(0, 0, EMPTY_ROOT, EMPTY_ROOT, ())
    assert is_consistent(0, 1, EMPTY_ROOT, root, ())
    assert not is_consistent(0, 0, EMPTY_ROOT, root, ())
    assert not is_consistent(0, 1, root, root, ())
    assert not is_consistent(1, 0, root, EMPTY_ROOT, ())


@pytest.mark.clause("C2SP tlog-tiles")
def test_a_tree_of_70000_lies_in_the_tiles_of_the_specification() -> None:
    tiles = [tile for tile in BIG.tiles() if tile.level >= 0]
    assert sum(tile.level == 0 and tile.is_full for tile in tiles) == 273
    assert [tile for tile in tiles if not tile.is_full] == [TileId(0, 273, 112), TileId(1, 1, 17), TileId(2, 0, 1)]
    assert [tile for tile in tiles if tile.level == 1 and tile.width == TILE_WIDTH] == [TileId(1, 0)]
