"""What a log becomes when entries are added: the files to write and the edge to go on from. The same entries give the same files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.merkle import EMPTY_ROOT, hash_leaf
from chargepki.core.tlog.tiles import ENTRIES, TILE_WIDTH, TileId, encode_bundle, tiles_between


@dataclass(frozen=True, slots=True)
class Grown:
    """A log of `size` entries, ready to grow: the edge of its tree and the entries of its unfinished bundle."""

    edge: TreeEdge
    tail: tuple[bytes, ...]
    root: bytes

    @classmethod
    def empty(cls) -> Self:
        return cls(TreeEdge(), (), EMPTY_ROOT)

    @property
    def size(self) -> int:
        return self.edge.size


def grow(log: Grown, entries: Sequence[bytes]) -> tuple[Grown, list[tuple[str, bytes]]]:
    """The log with these entries behind its last one, and its new files (path, content). `log` stays as it was."""
    edge = log.edge.copy()
    tiles = dict(edge.append(map(hash_leaf, entries)))
    tiles.update(edge.partial_tiles())
    tail = (*log.tail, *entries)
    begins = log.size - len(log.tail)  # the index of the first entry of the tail
    files = [
        (tile.path, _bundle(tile, tail, begins) if tile.level == ENTRIES else tiles[tile]) for tile in tiles_between(log.size, edge.size)
    ]
    return Grown(edge, tail[len(tail) - edge.size % TILE_WIDTH :], edge.root()), files


def _bundle(tile: TileId, tail: Sequence[bytes], begins: int) -> bytes:
    first = tile.first_entry - begins
    return encode_bundle(tail[first : first + tile.width])
