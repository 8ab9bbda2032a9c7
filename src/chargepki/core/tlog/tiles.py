"""Tiles: how a tree and its entries lie in files (C2SP tlog-tiles).

A tile is up to 256 hashes of one row, each the root of a subtree of height 8 * level. Full tiles never change; the last tile of a row is
partial and has its width in its name. Entries lie in bundles beside them, 256 to a bundle.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chargepki.core.tlog.merkle import HASH_OCTETS, TREE_SIZE_MAX, Span, fold_right, hash_node, nodes_of
from chargepki.errors import Refused

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
LEVELS_MAX: Final = 8  # 2**63 leaves have eight rows of tiles
ENTRIES: Final = -1  # the "level" of entry bundles, below the leaf hashes
ENTRY_OCTETS_MAX: Final = 0xFFFF  # the length prefix is a uint16
BUNDLE_OCTETS_MAX: Final = TILE_WIDTH * (2 + ENTRY_OCTETS_MAX)
PATH_CHARACTERS_MAX: Final = 64  # "tile/entries/" and seven groups of an index below 2**63, with a width
CHECKPOINT_PATH: Final = "checkpoint"

_PATH: Final = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TileId:
    """Which tile: `level` (or `ENTRIES`), `index` within the row, `width` from 1 to 256 (256: full)."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def is_full(self) -> bool:
        return self.width == TILE_WIDTH

    @property
    def full(self) -> "TileId":
        """The same tile once it is full."""
        return TileId(self.level, self.index)

    @property
    def first_entry(self) -> int:
        """The index of the first entry under the tile."""
        return self.index << TILE_HEIGHT * (max(self.level, 0) + 1)

    @property
    def path(self) -> str:
        """ "tile/0/x001/067.p/12", relative to the log's prefix."""
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        suffix = "" if self.is_full else f".p/{self.width}"
        return f"tile/{level}/{'/'.join(reversed(groups))}{suffix}"


def parse_tile_path(path: str) -> TileId:
    """The tile that a path names; `Refused` unless it is the one spelling of one tile, so no other file can be named with it."""
    match = _PATH.fullmatch(path) if len(path) <= PATH_CHARACTERS_MAX else None
    if match is not None:
        level, index, width = match.groups()
        number = int(index.replace("x", "").replace("/", ""))
        tile = TileId(ENTRIES if level == "entries" else int(level), number, TILE_WIDTH if width is None else int(width))
        if (
            tile.path == path
            and tile.level < LEVELS_MAX
            and (width is None or tile.width < TILE_WIDTH)
            and tile.first_entry <= TREE_SIZE_MAX
        ):
            return tile
    raise Refused.because(
        "log.tile.path", f"{path[:PATH_CHARACTERS_MAX]!r} names no tile", path="path", clause="C2SP tlog-tiles", hint="like tile/0/x001/067"
    )


def tiles_between(old: int, new: int) -> Iterator[TileId]:
    """The tiles that growing from `old` to `new` leaves makes, and nothing more: full ones, then the partial end of each row."""
    if not 0 <= old <= new <= TREE_SIZE_MAX:
        raise ValueError(f"a tree does not grow from {old} to {new}")
    for level in (ENTRIES, *range(LEVELS_MAX)):
        shift = TILE_HEIGHT * max(level, 0)
        before, after = old >> shift, new >> shift
        if before == after:
            continue  # then nothing changed in this row, nor in those above
        for index in range(before // TILE_WIDTH, after // TILE_WIDTH):
            yield TileId(level, index)
        if after % TILE_WIDTH:
            yield TileId(level, after // TILE_WIDTH, after % TILE_WIDTH)


def edge_tiles(size: int) -> tuple[TileId, ...]:
    """The partial tile at the end of each row of a tree, lowest row first: all that is needed to go on appending."""
    rows = ((level, size >> TILE_HEIGHT * level) for level in range(LEVELS_MAX))
    return tuple(TileId(level, row // TILE_WIDTH, row % TILE_WIDTH) for level, row in rows if row % TILE_WIDTH)


def tile_at(level: int, index: int, size: int) -> TileId:
    """The tile as a tree of `size` has it: full, or partial with its width."""
    width = min((size >> TILE_HEIGHT * max(level, 0)) - index * TILE_WIDTH, TILE_WIDTH)
    if width < 1:
        raise ValueError(f"a tree of size {size} has no tile {index} at level {level}")
    return TileId(level, index, width)


def tiles_of(spans: Sequence[Span], size: int) -> tuple[TileId, ...]:
    """The tiles of a tree of `size` that the hashes of these spans are read from."""
    places = (_place(height, index) for span in spans for height, index in nodes_of(span))
    return tuple(dict.fromkeys(tile_at(level, first // TILE_WIDTH, size) for level, first, _ in places))


@dataclass(frozen=True, slots=True)
class TileHashes:
    """Reads nodes out of tiles; call it as a `merkle.NodeReader`. `tiles` holds what `tiles_of` named, or the full tile in its place."""

    tiles: Mapping[tuple[int, int], bytes]  # (level, index) -> the hashes, end to end

    def __call__(self, height: int, index: int) -> bytes:
        level, first, count = _place(height, index)
        tile = self.tiles[level, first // TILE_WIDTH]
        start = first % TILE_WIDTH * HASH_OCTETS
        part = tile[start : start + count * HASH_OCTETS]
        if len(part) != count * HASH_OCTETS:
            raise Refused.because(
                "log.tile.truncated", f"the tile {TileId(level, first // TILE_WIDTH).path} is too short", clause="C2SP tlog-tiles"
            )
        return hash_full(split_hashes(part))


def split_hashes(data: bytes) -> list[bytes]:
    """The whole hashes in a tile; a torn last one is left out."""
    return [data[at : at + HASH_OCTETS] for at in range(0, len(data) - HASH_OCTETS + 1, HASH_OCTETS)]


def hash_full(hashes: Sequence[bytes]) -> bytes:
    """The root above 2**n hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [hash_node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def hash_row(hashes: Sequence[bytes]) -> bytes:
    """The root above any number of hashes of one row."""
    parts = nodes_of(Span(0, len(hashes)))
    return fold_right([hash_full(hashes[index << height : (index + 1) << height]) for height, index in parts])


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Each entry after its length. An entry that is too long is a mistake of the caller: `ValueError`."""
    if any(len(entry) > ENTRY_OCTETS_MAX for entry in entries):
        raise ValueError(f"an entry of a log has at most {ENTRY_OCTETS_MAX} octets")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def split_bundle(data: bytes) -> tuple[list[bytes], bool]:
    """The whole entries of a bundle, and whether it ends where the last one does. At most 256 are read."""
    entries: list[bytes] = []
    at = 0
    while len(entries) < TILE_WIDTH and at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            break
        entries.append(data[at + 2 : end])
        at = end
    return entries, at == len(data)


def parse_bundle(data: bytes, width: int) -> tuple[bytes, ...]:
    """The `width` entries of a bundle; `Refused` when it is cut short or holds something else."""
    entries, is_whole = split_bundle(data)
    if len(entries) != width or not is_whole:
        raise Refused.because(
            "log.bundle.malformed", f"the bundle holds {len(entries)} whole entries, not exactly {width}", clause="C2SP tlog-tiles"
        )
    return tuple(entries)


def _place(height: int, index: int) -> tuple[int, int, int]:
    """Where a node lies: the level, its first hash in that row, and over how many hashes it stands."""
    level, above = divmod(height, TILE_HEIGHT)
    return level, index << above, 1 << above
