"""Parts of a copy of a log with what proves them: single entries, and runs of entries under one list of hashes."""

from collections.abc import Iterator, Sequence
from typing import Final

from chargepki.core.tlog.audit import COSIGNED_PATH, CopyReader
from chargepki.core.tlog.checkpoint import Checkpoint, parse_checkpoint
from chargepki.core.tlog.merkle import HASH_OCTETS, Span, hash_leaf, hash_node, hash_span, inclusion_spans, prove_inclusion
from chargepki.core.tlog.notes import Note, parse_note
from chargepki.core.tlog.proof import Proof, proof_for
from chargepki.core.tlog.tiles import CHECKPOINT_PATH, ENTRIES, TILE_WIDTH, TileHashes, TileId, parse_bundle, tile_at, tiles_of
from chargepki.errors import Refused

_TILES: Final = "C2SP tlog-tiles"


def read_head(read: CopyReader, *, covering: int = 0) -> tuple[Note, Checkpoint]:
    """The head to prove under: the one witnesses signed when it has `covering` entries, else the newest."""
    for path in (COSIGNED_PATH, CHECKPOINT_PATH):
        data = read(path)
        if data is None:
            continue
        note = parse_note(data)
        checkpoint = parse_checkpoint(note.text)
        if checkpoint.size >= covering or path == CHECKPOINT_PATH:
            return note, checkpoint
    raise Refused.because("log.checkpoint.missing", "the copy has no checkpoint", path=CHECKPOINT_PATH, clause=_TILES)


def entries_between(read: CopyReader, first: int, end: int, size: int) -> Iterator[bytes]:
    """The entries [first, end) of a log of `size`. `Refused` where one is missing."""
    newest = _newest(read, size)
    for index in range(first // TILE_WIDTH, (end + TILE_WIDTH - 1) // TILE_WIDTH):
        bundle = tile_at(ENTRIES, index, size)
        entries = parse_bundle(_file(read, bundle, newest), bundle.width)
        yield from entries[max(first - bundle.first_entry, 0) : end - bundle.first_entry]


def prove_entry(read: CopyReader, index: int, note: Note) -> Proof:
    """That entry `index` stands under this head. `Refused` when the copy does not prove it."""
    size = parse_checkpoint(note.text).size
    if not 0 <= index < size:
        raise Refused.because("log.entry.unknown", f"the log has the entries 0 to {size - 1}", path="index")
    (leaf,) = entries_between(read, index, index + 1, size)
    return proof_for(index, leaf, prove_inclusion(index, size, _hashes(read, inclusion_spans(index, size), size)), note)


def range_spans(first: int, end: int, size: int) -> tuple[Span, ...]:
    """What stands beside the leaves [first, end) in a tree of `size`, left to right."""
    if not 0 <= first < end <= size:
        raise ValueError(f"[{first}, {end}) are no leaves of a tree of size {size}")
    return tuple(_outside(0, size, first, end))


def prove_range(read: CopyReader, first: int, end: int, size: int) -> tuple[bytes, ...]:
    """The hashes that lead from the entries [first, end) to the root."""
    spans = range_spans(first, end, size)
    hashes = _hashes(read, spans, size)
    return tuple(hash_span(span, hashes) for span in spans)


def root_over(entries: Sequence[bytes], first: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root that `entries`, from index `first` on, and the hashes beside them lead to; None when the hashes are too few or many."""
    if not entries or len(hashes) != len(range_spans(first, first + len(entries), size)):
        return None
    rest = iter(hashes)

    def root(low: int, high: int) -> bytes:
        if high <= first or low >= first + len(entries):
            return next(rest)
        if high - low == 1:
            return hash_leaf(entries[low - first])
        middle = low + _split(high - low)
        return hash_node(root(low, middle), root(middle, high))

    return root(0, size)


def _outside(low: int, high: int, first: int, end: int) -> Iterator[Span]:
    if high <= first or low >= end:
        yield Span(low, high)
    elif not first <= low < high <= end:
        middle = low + _split(high - low)  # RFC 6962 2.1
        yield from _outside(low, middle, first, end)
        yield from _outside(middle, high, first, end)


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def _hashes(read: CopyReader, spans: Sequence[Span], size: int) -> TileHashes:
    newest = _newest(read, size)
    return TileHashes({(tile.level, tile.index): _file(read, tile, newest) for tile in tiles_of(spans, size)})


def _newest(read: CopyReader, size: int) -> int:
    """The size that the copy has tiles for: one that was made at once has no partial tiles of earlier sizes."""
    data = read(CHECKPOINT_PATH)
    return size if data is None else max(size, parse_checkpoint(parse_note(data).text).size)


def _file(read: CopyReader, tile: TileId, newest: int) -> bytes:
    """The tile, or the beginning of what has grown out of it."""
    for one in dict.fromkeys((tile, tile_at(tile.level, tile.index, newest), tile.full)):
        if (data := read(one.path)) is not None:
            return data if one == tile else _cut(data, tile)
    raise Refused.because("log.tile.missing", f"the copy has no {tile.path}", path=tile.path, clause=_TILES)


def _cut(data: bytes, tile: TileId) -> bytes:
    if tile.level != ENTRIES:
        return data[: tile.width * HASH_OCTETS]
    at = 0
    for _ in range(tile.width):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return data[:at]
