"""The hashes that tie chosen leaves to a checkpoint, as tiles of C2SP tlog-tiles, each held once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hub.ledger.tlog.proofs import Nodes
from hub.ledger.tlog.tiles import TILE_WIDTH, Tile


def needed(indices: Iterable[int], size: int) -> list[Tile]:
    """The tiles to write for leaves with these indices, in the order in which they are checked.

    First those on the right edge, the highest level first: they give the checkpoint's root. Then the full ones, the
    highest level first: each one's root stands in the tile above it, and the leaves' hashes in the tiles of level 0.
    """
    wanted = sorted({index // TILE_WIDTH for index in indices})
    edge: list[Tile] = []
    levels: list[list[Tile]] = []
    level, count = 0, size
    while count > 0:
        full, width = divmod(count, TILE_WIDTH)
        if width:
            edge.append(Tile(level, full, width))
        levels.append([Tile(level, n) for n in wanted if n < full])
        wanted = sorted({tile.n // TILE_WIDTH for tile in levels[-1]})
        level, count = level + 1, full
    return edge[::-1] + [tile for above in reversed(levels) for tile in above]


def stream(wanted: Iterable[Tile], nodes: Nodes) -> Iterator[bytes]:
    """Each tile as a line with its path in tlog-tiles, then its hashes: width × 32 bytes."""
    for tile in wanted:
        yield tile.path().encode() + b"\n" + b"".join(nodes(tile.nodes()))
