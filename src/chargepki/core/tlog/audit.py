"""Checks a whole copy of a log, offline: entries against tiles, tiles against each other, all of it against the signed root.

What is wrong with the data is a finding, never an exception, and names the entry where it can: the leaf hashes of level 0 say which of
the 256 entries of a bundle was changed, and the tile above says whether it was the entry or the hash. One tile and one bundle are in
memory at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.merkle import HASH_OCTETS, hash_leaf
from chargepki.core.tlog.notes import Note, parse_note
from chargepki.core.tlog.policy import Policy, Verdict, check_note
from chargepki.core.tlog.tiles import (
    CHECKPOINT_PATH,
    ENTRIES,
    TILE_WIDTH,
    TileId,
    edge_tiles,
    hash_row,
    split_bundle,
    split_hashes,
    tile_at,
)
from chargepki.errors import Finding, Refused

FINDINGS_MAX: Final = 200  # a copy that is wrong everywhere needs no longer list
NAMED_MAX: Final = 16  # per bundle: a changed length makes every entry after it look changed
COSIGNED_PATH: Final = "checkpoint.cosigned"  # the newest checkpoint that witnesses signed; the log may have grown since
_TILES: Final = "C2SP tlog-tiles"

CopyReader = Callable[[str], bytes | None]
"""The file with this path in the copy, or None. It bounds what it reads (`tiles.BUNDLE_OCTETS_MAX`)."""


@dataclass(frozen=True, slots=True)
class CopyVerdict:
    """`size` entries were checked. `checkpoint` is the policy's word on the newest head, `cosigned` on the one witnesses signed."""

    size: int
    root: bytes
    checkpoint: Verdict | None
    cosigned: Verdict | None
    findings: tuple[Finding, ...]

    @property
    def is_accepted(self) -> bool:
        return not any(finding.is_error for finding in self.findings)


def audit_copy(
    read: CopyReader, policy: Policy, *, earlier: Sequence[Checkpoint] = (), visit: Callable[[int, bytes], None] | None = None
) -> CopyVerdict:
    """Walks the copy once, from the first entry to the last. `earlier` are heads that were seen before (of this log, believed):
    the copy must continue them. `visit` is told every entry with its index, for whoever reads the log anyway."""
    heads = _Heads.read(read, policy)
    if heads.newest is None or heads.newest.checkpoint is None:
        return CopyVerdict(0, b"", heads.newest, heads.cosigned, tuple(heads.findings))
    checkpoint = heads.newest.checkpoint
    cosigned = None if heads.cosigned is None else heads.cosigned.checkpoint
    known = [head for head in (*earlier, *(() if cosigned is None else (cosigned,))) if head.size <= checkpoint.size]
    walk = _Walk(read, checkpoint, known, heads.findings, visit or _nothing)
    walk.findings += [_shrunk(head, checkpoint) for head in earlier if head.size > checkpoint.size]
    walk.run()
    return CopyVerdict(walk.edge.size, walk.edge.root(), heads.newest, heads.cosigned, tuple(walk.findings[:FINDINGS_MAX]))


@dataclass(slots=True)
class _Heads:
    newest: Verdict | None
    cosigned: Verdict | None
    findings: list[Finding]

    @classmethod
    def read(cls, read: CopyReader, policy: Policy) -> "_Heads":
        """The newest head must carry the log's signature; the quorum may stand on the cosigned head, which is then older."""
        newest, findings = _read_head(read, CHECKPOINT_PATH, policy)
        if newest is None:
            missing = Finding("log.checkpoint.missing", "the copy has no checkpoint", path=CHECKPOINT_PATH, clause=_TILES)
            return cls(None, None, findings or [missing])
        cosigned, cosigned_findings = (None, []) if newest.is_accepted else _read_head(read, COSIGNED_PATH, policy)
        if cosigned is None:
            return cls(newest, None, [*findings, *cosigned_findings])
        kept = [finding for finding in findings if finding.code != "log.policy.quorum" or not cosigned.is_accepted]
        return cls(newest, cosigned, [*kept, *cosigned_findings])


def _read_head(read: CopyReader, path: str, policy: Policy) -> tuple[Verdict | None, list[Finding]]:
    data = read(path)
    if data is None:
        return None, []
    try:
        note: Note = parse_note(data)
    except Refused as refusal:
        return None, list(refusal.findings)
    verdict = check_note(note, policy)
    return verdict, list(verdict.findings)


@dataclass(slots=True)
class _Walk:
    """One pass over a copy."""

    read: CopyReader
    checkpoint: Checkpoint
    known: Sequence[Checkpoint]
    findings: list[Finding]
    visit: Callable[[int, bytes], None]
    edge: TreeEdge = field(default_factory=TreeEdge)
    above: tuple[int, bytes] = (-1, b"")  # the level-1 tile that vouches for the level-0 tiles now read

    def run(self) -> None:
        size = self.checkpoint.size
        for index in range((size + TILE_WIDTH - 1) // TILE_WIDTH):
            if len(self.findings) >= FINDINGS_MAX:
                return
            hashes = self._leaf_hashes(tile_at(0, index, size))
            if hashes is None:
                return  # neither the tile nor the entries: nothing above them can be checked
            self._append(hashes)
        for tile, data in self.edge.partial_tiles():
            if tile.level > 0:
                self._compare(tile, data)
        self._compare_root(self.checkpoint, self.edge.root())

    def _leaf_hashes(self, tile: TileId) -> list[bytes] | None:
        """The leaf hashes to go on with: the tile's, or the entries' where those are what the tree vouches for."""
        entries = self._entries(TileId(ENTRIES, tile.index, tile.width))
        data = self._hashes(tile)
        for place, entry in enumerate(entries):
            self.visit(tile.first_entry + place, entry)
        found = [hash_leaf(entry) for entry in entries]
        if len(data) < tile.width:
            return found if len(found) == tile.width else None
        changed = [place for place, (one, other) in enumerate(zip(found, data, strict=False)) if one != other]
        if not changed:
            return data
        is_tile_wrong = len(found) == tile.width and self._is_vouched(tile, found) and not self._is_vouched(tile, data)
        self.findings += (_changed(tile, place, is_tile_wrong=is_tile_wrong) for place in changed[:NAMED_MAX])
        return found if is_tile_wrong else data

    def _entries(self, bundle: TileId) -> list[bytes]:
        data = self._file(bundle)
        if data is None:
            self._add("log.bundle.missing", f"the entries {_range(bundle)} are missing", bundle)
            return []
        entries, is_whole = split_bundle(data)
        if len(entries) < bundle.width:
            first = bundle.first_entry + len(entries)
            self._add("log.bundle.truncated", f"the bundle breaks off: entry {first} is the first that is not whole", bundle)
        elif not is_whole and bundle.is_full:
            self._add("log.bundle.too_long", f"something follows the last entry of {_range(bundle)}", bundle)
        return entries[: bundle.width]

    def _hashes(self, tile: TileId) -> list[bytes]:
        """The hashes of a tile; fewer than its width after a finding."""
        data = self._file(tile)
        if data is None:
            self._add("log.tile.missing", f"the tile over the entries {_range(tile)} is missing", tile)
            return []
        if len(data) < tile.width * HASH_OCTETS:
            self._add("log.tile.truncated", f"the tile has {len(data)} octets instead of {tile.width * HASH_OCTETS}", tile)
        elif len(data) > TILE_WIDTH * HASH_OCTETS:
            self._add("log.tile.too_long", f"the tile has {len(data)} octets, more than 256 hashes", tile)
        return split_hashes(data)[: tile.width]

    def _file(self, tile: TileId) -> bytes | None:
        """C2SP tlog-tiles: a partial tile may be gone once the full one stands in its place."""
        data = self.read(tile.path)
        return self.read(tile.full.path) if data is None and not tile.is_full else data

    def _is_vouched(self, tile: TileId, hashes: Sequence[bytes]) -> bool:
        """Whether the tree above a level-0 tile stands over these hashes: the tile of level 1, or the root for the last tile."""
        if not tile.is_full:
            edge = self.edge.copy()
            edge.append(hashes)
            return edge.root() == self.checkpoint.root
        parent, place = divmod(tile.index, TILE_WIDTH)
        if self.above[0] != parent:
            self.above = (parent, self._file(tile_at(1, parent, self.checkpoint.size)) or b"")
        return self.above[1][place * HASH_OCTETS : (place + 1) * HASH_OCTETS] == hash_row(hashes)

    def _append(self, hashes: Sequence[bytes]) -> None:
        """Adds leaves to the tree, stopping where an earlier head was, and compares the tiles above that fill up."""
        first, end = self.edge.size, self.edge.size + len(hashes)
        stops = sorted({head.size - first for head in self.known if first < head.size <= end} | {len(hashes)})
        begin = 0
        for stop in stops:
            for tile, data in self.edge.append(hashes[begin:stop]):
                if tile.level > 0:
                    self._compare(tile, data)
            begin = stop
            for head in self.known:
                if head.size == self.edge.size:
                    self._compare_root(head, self.edge.root())

    def _compare(self, tile: TileId, expected: bytes) -> None:
        """A tile above level 0 against what the hashes below it make."""
        hashes = self._hashes(tile)
        if len(hashes) < tile.width:
            return
        for place, one in enumerate(split_hashes(expected)):
            if one != hashes[place]:
                below = TileId(tile.level - 1, tile.index * TILE_WIDTH + place)
                self._add("log.tile.changed", f"hash {place} is not the one of the entries {_range(below)}: it or they were changed", tile)

    def _compare_root(self, head: Checkpoint, root: bytes) -> None:
        if root != head.root:
            message = f"the first {head.size} entries do not lead to the root of the checkpoint over them"
            hint = "the entries were changed together with their tiles; compare with another copy"
            self.findings.append(Finding("log.root.mismatch", message, path=CHECKPOINT_PATH, clause="RFC 6962 2.1", hint=hint))

    def _add(self, code: str, message: str, tile: TileId) -> None:
        self.findings.append(Finding(code, message, path=tile.path, clause=_TILES))


def copy_paths(size: int) -> Iterator[str]:
    """Every file that a copy of a log of `size` entries consists of, besides the checkpoint."""
    for level in (ENTRIES, *range(8)):
        for index in range(size >> 8 * (max(level, 0) + 1)):
            yield TileId(level, index).path
    yield from _partial_paths(size)


def _partial_paths(size: int) -> Iterable[str]:
    tiles = edge_tiles(size)
    bundles = (TileId(ENTRIES, tile.index, tile.width) for tile in tiles if tile.level == 0)
    return (tile.path for tile in (*bundles, *tiles))


def _changed(tile: TileId, place: int, *, is_tile_wrong: bool) -> Finding:
    index = tile.first_entry + place
    bundle = TileId(ENTRIES, tile.index, tile.width)
    if is_tile_wrong:
        return Finding(
            "log.tile.changed", f"the hash of entry {index} was changed in its tile; the entry is intact", path=tile.path, clause=_TILES
        )
    message, hint = f"entry {index} was changed: it no longer has the hash that the tree has for it", "compare it with another copy"
    return Finding("log.entry.changed", message, path=f"{bundle.path}#{index}", clause="RFC 6962 2.1", hint=hint)


def _range(tile: TileId) -> str:
    last = tile.first_entry + (tile.width << 8 * max(tile.level, 0)) - 1
    return f"{tile.first_entry} to {last}"


def _shrunk(head: Checkpoint, now: Checkpoint) -> Finding:
    message = f"a checkpoint over {head.size} entries was seen before; the copy has {now.size}"
    return Finding("log.rolled_back", message, path=CHECKPOINT_PATH, clause="RFC 6962 2.1.2")


def _nothing(index: int, entry: bytes) -> None:
    pass
