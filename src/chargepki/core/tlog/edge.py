"""The growing end of a tree: appends leaf hashes, hands out the tiles that fill up, knows the root at any moment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from chargepki.core.tlog.merkle import EMPTY_ROOT, hash_node
from chargepki.core.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, TileId, edge_tiles


@dataclass(slots=True)
class _Row:
    """The unfinished tile of one row: its hashes, and the roots of the full subtrees among them (one per set bit of their number)."""

    hashes: list[bytes] = field(default_factory=list)
    peaks: list[bytes] = field(default_factory=lambda: [b""] * TILE_HEIGHT)
    index: int = 0  # which tile of the row


class TreeEdge:
    """At most 255 hashes per row, whatever the size of the tree. One hash per leaf plus one per leaf for the nodes above."""

    __slots__ = ("_rows", "_size")

    def __init__(self) -> None:
        self._rows: list[_Row] = [_Row()]
        self._size = 0

    @classmethod
    def from_tiles(cls, size: int, rows: Sequence[Sequence[bytes]]) -> Self:
        """Goes on from `edge_tiles(size)`: their hashes, in that order. `ValueError` unless each has its width."""
        tiles = edge_tiles(size)
        if [len(row) for row in rows] != [tile.width for tile in tiles]:
            raise ValueError("the tiles at the end of the tree do not have the widths its size asks for")
        edge = cls()
        edge._size = size
        edge._rows = [_Row(index=size >> TILE_HEIGHT * (level + 1)) for level in range(max((t.level for t in tiles), default=0) + 1)]
        for tile, row in zip(tiles, rows, strict=True):
            for one in row:
                edge._push(tile.level, one, [])
        return edge

    @property
    def size(self) -> int:
        return self._size

    def copy(self) -> "TreeEdge":
        """An edge of its own: what is appended to it can be thrown away."""
        other = TreeEdge()
        other._size = self._size
        other._rows = [_Row(row.hashes.copy(), row.peaks.copy(), row.index) for row in self._rows]
        return other

    def append(self, leaf_hashes: Iterable[bytes]) -> list[tuple[TileId, bytes]]:
        """Adds leaves; returns the tiles that became full on the way, in the order in which they did."""
        made: list[tuple[TileId, bytes]] = []
        for one in leaf_hashes:
            self._push(0, one, made)
            self._size += 1
        return made

    def partial_tiles(self) -> list[tuple[TileId, bytes]]:
        """The unfinished tile of each row that has one."""
        return [(TileId(level, row.index, len(row.hashes)), b"".join(row.hashes)) for level, row in enumerate(self._rows) if row.hashes]

    def root(self) -> bytes:
        """RFC 6962 2.1: the smallest subtrees stand to the right."""
        root: bytes | None = None
        for row in self._rows:
            for height in range(TILE_HEIGHT):
                if len(row.hashes) >> height & 1:
                    root = row.peaks[height] if root is None else hash_node(row.peaks[height], root)
        return EMPTY_ROOT if root is None else root

    def _push(self, level: int, node: bytes, made: list[tuple[TileId, bytes]]) -> None:
        if level == len(self._rows):
            self._rows.append(_Row())
        row = self._rows[level]
        count, height = len(row.hashes), 0
        row.hashes.append(node)
        while count & 1:
            node = sha256(b"\x01" + row.peaks[height] + node).digest()  # hash_node, without the call: this is the inner loop
            count >>= 1
            height += 1
        if height < TILE_HEIGHT:
            row.peaks[height] = node
            return
        made.append((TileId(level, row.index), b"".join(row.hashes)))
        assert len(row.hashes) == TILE_WIDTH
        row.hashes, row.index = [], row.index + 1
        self._push(level + 1, node, made)
