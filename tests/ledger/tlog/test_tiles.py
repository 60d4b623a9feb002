"""Tiles against C2SP tlog-tiles: its examples, names both ways, and proofs that come out of tiles as out of leaves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ledger.tlog import proofs, tiles
from hub.ledger.tlog.merkle import root_of
from hub.ledger.tlog.tiles import Tile
from tests.ledger.tlog import trees


def test_the_specifications_tree_of_seventy_thousand() -> None:
    found = tiles.tiles_between(0, 70_000)
    assert Counter((tile.level, tile.width) for tile in found) == {
        (0, 256): 273,
        (0, 112): 1,
        (1, 256): 1,
        (1, 17): 1,
        (2, 1): 1,
    }


def test_the_specifications_tree_of_two_hundred_and_fifty_six() -> None:
    assert tiles.tiles_between(0, 256) == [Tile(0, 0, 256), Tile(1, 0, 1)]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("tile/0/x001/x234/067", (0, 1_234_067, 256)),
        ("tile/0/000", (0, 0, 256)),
        ("tile/1/000.p/17", (1, 0, 17)),
        ("tile/entries/x001/000.p/255", (None, 1000, 255)),
        ("tile/63/999", (63, 999, 256)),
    ],
)
def test_names_are_read_and_written(name: str, parts: tuple[int | None, int, int]) -> None:
    level, n, width = parts
    assert tiles.read_path(name) == parts
    assert (tiles.entries_path(n, width) if level is None else tiles.path(level, n, width)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/00/001",
        "tile/64/001",
        "tile/-1/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/",
        "tile/0/001/",
        "tile/0/001\n",
        "tile/0/\u0660\u0660\u0661",
        "tile/data/001",
        "/tile/0/001",
        "tile/0/../001",
    ],
)
def test_what_is_no_name_of_a_tile_is_refused(name: str) -> None:
    with pytest.raises(tiles.NotATile):
        tiles.read_path(name)


@given(st.lists(st.integers(0, 1500), max_size=4))
def test_growing_by_steps_writes_every_tile_that_the_end_needs(steps: list[int]) -> None:
    size, written = 0, set()
    for step in steps:
        written |= set(tiles.tiles_between(size, size + step))
        size += step
    assert set(tiles.tiles_between(0, size)) <= written


def test_a_log_does_not_shrink() -> None:
    with pytest.raises(ValueError, match="did not grow"):
        tiles.tiles_between(2, 1)


SIZE = 66_000  # three levels
LEAVES = trees.leaves(SIZE)


@pytest.fixture(scope="module")
def stored() -> dict[tuple[int, int, int], bytes]:
    """The tiles of a log of SIZE leaves, each made of the full ones below it."""
    kept: dict[tuple[int, int, int], bytes] = {}
    for tile in tiles.tiles_between(0, SIZE):
        if tile.level == 0:
            held = LEAVES[tile.n * 256 : tile.n * 256 + tile.width]
        else:
            below = range(tile.n * 256, tile.n * 256 + tile.width)
            held = [root_of(tiles.hashes(kept[tile.level - 1, n, 256])) for n in below]
        kept[tile.level, tile.n, tile.width] = b"".join(held)
    return kept


@pytest.mark.parametrize("index", [0, 1, 255, 256, 65_535, 65_536, SIZE - 1])
def test_inclusion_out_of_tiles(index: int, stored: dict[tuple[int, int, int], bytes]) -> None:
    nodes = tiles.nodes_from_tiles(lambda *name: stored[name], SIZE)
    proof = proofs.inclusion_proof(index, SIZE, nodes)
    proofs.check_inclusion(LEAVES[index], index, SIZE, proof, root_of(LEAVES))


@pytest.mark.parametrize("old", [1, 255, 256, 257, 65_535, 65_536, 65_537, SIZE - 1])
def test_consistency_out_of_tiles(old: int, stored: dict[tuple[int, int, int], bytes]) -> None:
    proof = proofs.consistency_proof(old, SIZE, tiles.nodes_from_tiles(lambda *name: stored[name], SIZE))
    proofs.check_consistency(old, SIZE, proof, root_of(LEAVES[:old]), root_of(LEAVES))


def test_a_wider_tile_does_for_a_partial_one_and_a_narrower_does_not() -> None:
    leaves = trees.leaves(256)
    nodes = tiles.nodes_from_tiles(lambda level, n, width: b"".join(leaves), 10)
    assert list(nodes([(0, 9), (3, 0)])) == [leaves[9], trees.root(leaves[:8])]
    nodes = tiles.nodes_from_tiles(lambda level, n, width: b"".join(leaves[:9]), 10)
    with pytest.raises(tiles.NotATile, match="only 9"):
        nodes([(0, 0)])
    with pytest.raises(ValueError, match="no subtree"):
        tiles.nodes_from_tiles(lambda level, n, width: b"", 10)([(3, 1)])


@pytest.mark.parametrize("size", [0, 31, 33, 257 * 32])
def test_what_is_no_tile_is_refused(size: int) -> None:
    with pytest.raises(tiles.NotATile):
        tiles.hashes(bytes(size))


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_is_read_as_it_was_written(entries: list[bytes]) -> None:
    assert tiles.decode_bundle(tiles.encode_bundle(entries)) == entries


def test_a_bundle_is_lengths_and_entries() -> None:
    assert tiles.encode_bundle([b"", b"ab"]) == b"\x00\x00\x00\x02ab"
    assert tiles.decode_bundle(tiles.encode_bundle([bytes(65_535)])) == [bytes(65_535)]


@pytest.mark.parametrize("bundle", [b"", b"\x00", b"\x00\x01", b"\x00\x02a", b"\x00\x01ab", bytes(2 * 257)])
def test_what_is_no_bundle_is_refused(bundle: bytes) -> None:
    with pytest.raises(tiles.NotATile):
        tiles.decode_bundle(bundle)


@pytest.mark.parametrize("entries", [[], [b""] * 257, [bytes(65_536)]])
def test_what_does_not_fit_in_a_bundle_is_refused(entries: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"."):
        tiles.encode_bundle(entries)
