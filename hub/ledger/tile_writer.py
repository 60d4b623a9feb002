"""Write the tiles that a tree needs, from its leaves: before its checkpoint is signed, and where they were lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg

from hub.ledger.tile_store import TileLacking, TileStore
from hub.ledger.tlog import tiles
from hub.ledger.tlog.merkle import root_of
from hub.ledger.tlog.tiles import TILE_WIDTH, Tile, tiles_between

_AT_ONCE = 32  # bundles: 8,192 leaves in memory


class LeavesGone(RuntimeError):
    """Tiles are missing of leaves that the database no longer has; the message says what to do."""


class TileWriter:
    """Knows up to which size the store has every tile; a restart looks only at the right edge of the tree."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], store: TileStore) -> None:
        self.connection = connection
        self.store = store
        self.written: int | None = None

    def write(self, size: int, *, published: int) -> None:
        """Make sure of every tile of the tree of `size` leaves; `published` is the size of the last checkpoint.

        What ends beyond that was never signed: a signer that died may have left tiles of leaves that a restored
        database lost, and others have their indexes now. Such tiles are replaced.

        Raises StoreAway, Contradiction, LeavesGone. May be killed anywhere and run again.
        """
        if self.written is None:
            self.store.forget()
            self.written = published if self._has_edge_of(published) else 0
        roots: dict[tuple[int, int], bytes] = {}
        wanted = tiles_between(self.written, size)
        lowest = [tile for tile in wanted if tile.level == 0]
        for some in _groups(lowest):
            self.store.put_many(self._bottom(some, roots, published))
        for level in range(1, 8):
            self.store.put_many(
                [
                    (tile.path(), self._inner(tile, roots), tile.end > published)
                    for tile in wanted
                    if tile.level == level
                ]
            )
        self.written = size

    def doubt(self) -> None:
        """A file was missing that should be there: go through all of them next time."""
        self.written = 0

    def drop_partials(self, old: int, new: int) -> None:
        """Remove the partial files of the edge of the tree of `old` leaves that have filled up in that of `new`."""
        level = 0
        while (count := old >> (tiles.TILE_HEIGHT * level)) > 0:
            n, width = divmod(count, TILE_WIDTH)
            if width and new >> (tiles.TILE_HEIGHT * level) >= (n + 1) * TILE_WIDTH:
                self.store.drop_partial(level, n)
                if level == 0:
                    self.store.drop_partial(None, n)
            level += 1

    def _has_edge_of(self, size: int) -> bool:
        """Whether the last tile of each level is there, and the last bundle."""
        try:
            level = 0
            while (count := size >> (tiles.TILE_HEIGHT * level)) > 0:
                n, width = divmod(count - 1, TILE_WIDTH)
                self.store.tile(level, n, width + 1)
                if level == 0:
                    self.store.bundle(n, width + 1)
                level += 1
        except TileLacking:
            return False
        return True

    def _bottom(
        self, some: Sequence[Tile], roots: dict[tuple[int, int], bytes], published: int
    ) -> list[tuple[str, bytes, bool]]:
        """The files of some neighbouring tiles of level 0: hashes and entries; keeps the roots of the full ones."""
        start, end = some[0].n * TILE_WIDTH, some[-1].n * TILE_WIDTH + some[-1].width
        rows = self.connection.execute(
            "SELECT index, leaf_hash, entry FROM ledger_leaf WHERE index >= %s AND index < %s ORDER BY index",
            [start, end],
        ).fetchall()
        if len(rows) != end - start:
            raise LeavesGone(
                f"The ledger's tile store lacks tiles of leaves {start} to {end - 1}, and the database no longer has"
                " all of these: put the store's files back from its backup."
            )
        files = []
        for tile in some:
            own = rows[tile.n * TILE_WIDTH - start :][: tile.width]
            hashes, entries = [_bytes(row[1]) for row in own], [_bytes(row[2]) for row in own]
            if tile.is_full:
                roots[0, tile.n] = root_of(hashes)
            is_unsigned = tile.end > published
            files.append((tile.path(), b"".join(hashes), is_unsigned))
            files.append((tiles.entries_path(tile.n, tile.width), tiles.encode_bundle(entries), is_unsigned))
        return files

    def _inner(self, tile: Tile, roots: dict[tuple[int, int], bytes]) -> bytes:
        """A tile above level 0: the roots of full tiles below it, those just written or those in the store."""
        hashes = []
        for n in range(tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width):
            below = roots.get((tile.level - 1, n))
            hashes.append(root_of(tiles.hashes(self.store.tile(tile.level - 1, n))) if below is None else below)
        if tile.is_full:
            roots[tile.level, tile.n] = root_of(hashes)
        return b"".join(hashes)


def _groups(lowest: Sequence[Tile]) -> Iterator[Sequence[Tile]]:
    for start in range(0, len(lowest), _AT_ONCE):
        yield lowest[start : start + _AT_ONCE]


def _bytes(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
