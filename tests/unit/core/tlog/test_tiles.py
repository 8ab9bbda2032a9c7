"""Tiles and bundles: their names, their bytes, and which of them a growing log makes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepki.core.tlog.tiles import (
    ENTRIES,
    ENTRY_OCTETS_MAX,
    LEVELS_MAX,
    TILE_WIDTH,
    TileId,
    encode_bundle,
    parse_bundle,
    parse_tile_path,
    split_bundle,
    tiles_between,
)
from chargepki.errors import Refused

HOUSE = settings(deadline=None, database=None, max_examples=100)


@pytest.mark.clause("C2SP tlog-tiles")
@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (TileId(0, 1234067), "tile/0/x001/x234/067"),
        (TileId(0, 0), "tile/0/000"),
        (TileId(ENTRIES, 999, 7), "tile/entries/999.p/7"),
        (TileId(2, 1000, 255), "tile/2/x001/000.p/255"),
    ],
)
def test_a_tile_has_one_path(tile: TileId, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@HOUSE
@given(st.integers(ENTRIES, LEVELS_MAX - 1), st.integers(0, 2**55 - 1), st.integers(1, TILE_WIDTH))
def test_every_tile_of_a_possible_tree_reads_back_from_its_path(level: int, index: int, width: int) -> None:
    tile = TileId(level, index >> 8 * max(level, 0), width)
    assert parse_tile_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "checkpoint", "tile/0/0", "tile/0/1000", "tile/00/000", "tile/8/000", "tile/64/000", "tile/-1/000", "tile/0/x000/000",
        "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/999", "tile/0/../000", "tile/0/000/", "/tile/0/000",
        "tile/0/000\n", "tile/entries/../../etc/passwd", "tile/0/x001/x002", "tile/data/000", "tile/0/\u0660\u0660\u0660",
        "tile/0/000.p/1/../2",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ],
)  # fmt: skip
def test_no_other_text_names_a_tile(path: str) -> None:
    with pytest.raises(Refused, match=r"log\.tile\.path"):
        parse_tile_path(path)


@HOUSE
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=8))
def test_growing_in_steps_makes_the_full_tiles_of_growing_at_once_each_exactly_once(steps: list[int]) -> None:
    made: list[TileId] = []
    size = 0
    for step in steps:
        made += tiles_between(size, size + step)
        size += step
    assert len(made) == len(set(made))
    assert {tile for tile in made if tile.is_full} == {tile for tile in tiles_between(0, size) if tile.is_full}
    assert set(tiles_between(0, size)) <= set(made)


def test_an_append_makes_no_tile_that_stands_already() -> None:
    assert list(tiles_between(256, 257)) == [TileId(ENTRIES, 1, 1), TileId(0, 1, 1)]
    assert list(tiles_between(255, 256)) == [TileId(ENTRIES, 0), TileId(0, 0), TileId(1, 0, 1)]
    assert list(tiles_between(70_000, 70_000)) == []


@HOUSE
@given(st.lists(st.binary(max_size=300), max_size=TILE_WIDTH))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert parse_bundle(data, len(entries)) == tuple(entries)
    assert split_bundle(data) == (entries, True)


def test_a_bundle_that_breaks_off_still_gives_the_entries_before() -> None:
    data = encode_bundle([b"one", b"two", b"three"])
    assert split_bundle(data[:-1]) == ([b"one", b"two"], False)
    for wrong, width in ((data[:-1], 3), (data, 2), (data, 4), (data + b"\0", 3)):
        with pytest.raises(Refused, match=r"log\.bundle\.malformed"):
            parse_bundle(wrong, width)


def test_an_entry_is_as_long_as_its_length_prefix_allows() -> None:
    assert parse_bundle(encode_bundle([bytes(ENTRY_OCTETS_MAX)]), 1) == (bytes(ENTRY_OCTETS_MAX),)
    with pytest.raises(ValueError, match="65535"):
        encode_bundle([bytes(ENTRY_OCTETS_MAX + 1)])
