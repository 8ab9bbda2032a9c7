"""What the log reads: entries from the store, hashes from the tiles, and whether the two agree."""

import asyncio
from collections.abc import Sequence
from typing import Final

from chargepki.core.tlog.checkpoint import Checkpoint
from chargepki.core.tlog.edge import TreeEdge
from chargepki.core.tlog.growth import Grown
from chargepki.core.tlog.merkle import Span, hash_leaf
from chargepki.core.tlog.tiles import TILE_WIDTH, TileHashes, TileId, edge_tiles, split_hashes, tiles_of
from chargepki.errors import LogInconsistent, NotFound
from chargepki.ports import LogTiles, Store

READ_TOGETHER: Final = 256  # leaves per question to the store while a long log is compared: a millisecond of hashing
RESTORE: Final = "restore the database, or restore the log directory from the same moment; nothing is signed until they agree"


class LogReading:
    """Every contradiction is a `LogInconsistent`."""

    def __init__(self, store: Store, tiles: LogTiles) -> None:
        self._store, self._tiles = store, tiles

    async def leaves(self, first: int, end: int) -> tuple[bytes, ...]:
        """The entries [first, end): exactly those."""
        leaves: tuple[bytes, ...] = ()
        while len(leaves) < end - first:
            more = await self._store.list_leaves(first=first + len(leaves), limit=end - first - len(leaves))
            if not more:
                raise LogInconsistent(f"the database has no entry {first + len(leaves)}", hint=RESTORE)
            leaves += more
        return leaves

    async def tile(self, tile: TileId) -> bytes:
        """The hashes of a tile, no more than its width."""
        try:
            data = await self._tiles.read(tile.path)
        except NotFound:
            if tile.is_full:
                raise LogInconsistent(f"the log has no {tile.path}", hint="chargepki log verify says what else is missing") from None
            data = await self.tile(tile.full)  # C2SP tlog-tiles: the partial one may be gone once the full one stands
        return b"".join(split_hashes(data)[: tile.width])

    async def hashes(self, spans: Sequence[Span], size: int) -> TileHashes:
        """What proves these spans in the tree of `size`."""
        return TileHashes({(tile.level, tile.index): await self.tile(tile) for tile in tiles_of(spans, size)})

    async def grown_from_store(self, checkpoint: Checkpoint, *, pause: float = 0) -> Grown:
        """The log under a checkpoint, made from all its entries, with a pause in seconds after each page."""
        edge = TreeEdge()
        while edge.size < checkpoint.size:
            edge.append(map(hash_leaf, await self.leaves(edge.size, min(edge.size + READ_TOGETHER, checkpoint.size))))
            await asyncio.sleep(pause)
        if edge.root() != checkpoint.root:
            raise await self._difference(checkpoint)
        return Grown(edge, await self._tail(checkpoint.size), checkpoint.root)

    async def grown_from_tiles(self, checkpoint: Checkpoint) -> Grown:
        """The same from the tiles at the end of the tree. Of the entries, only those of the last bundle are compared."""
        size = checkpoint.size
        rows = [split_hashes(await self.tile(tile)) for tile in edge_tiles(size)]
        try:
            edge = TreeEdge.from_tiles(size, rows)
        except ValueError as error:
            raise LogInconsistent(f"the tiles of the log are damaged: {error}", hint="chargepki log verify; then restore them") from error
        if edge.root() != checkpoint.root:
            raise LogInconsistent(
                "the tiles of the log do not lead to the root that was signed", hint="chargepki log verify; then restore them"
            )
        if (index := await self._find_difference((size - 1) // TILE_WIDTH, size)) is not None:
            raise _changed(index)
        return Grown(edge, await self._tail(size), checkpoint.root)

    async def _tail(self, size: int) -> tuple[bytes, ...]:
        return await self.leaves(size - size % TILE_WIDTH, size)

    async def _difference(self, checkpoint: Checkpoint) -> LogInconsistent:
        """What to say when the entries do not lead to the signed root: which one differs, when the tiles tell."""
        for bundle in range((checkpoint.size + TILE_WIDTH - 1) // TILE_WIDTH):
            if (index := await self._find_difference(bundle, checkpoint.size)) is not None:
                return _changed(index)
            await asyncio.sleep(0)
        return LogInconsistent("the entries in the database do not lead to the root that was signed", hint=RESTORE)

    async def _find_difference(self, bundle: int, size: int) -> int | None:
        """The first entry of a bundle that has not the hash its tile has for it."""
        first, end = bundle * TILE_WIDTH, min((bundle + 1) * TILE_WIDTH, size)
        logged = split_hashes(await self.tile(TileId(0, bundle, end - first)))
        stored = map(hash_leaf, await self.leaves(first, end))
        return next((first + place for place, (one, other) in enumerate(zip(logged, stored, strict=False)) if one != other), None)


def _changed(index: int) -> LogInconsistent:
    return LogInconsistent(f"entry {index} in the database is not the one that was logged", hint=RESTORE)
