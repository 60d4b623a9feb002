"""The tree as its tiles tell it: the hashes of its nodes, and the proofs that are made of them."""

from __future__ import annotations

from hub.ledger.tile_store import TileStore, tile_store
from hub.ledger.tlog import tiles
from hub.ledger.tlog.merkle import Frontier
from hub.ledger.tlog.proofs import Nodes, consistency_proof, inclusion_proof


def nodes(size: int, store: TileStore | None = None) -> Nodes:
    """Where the proofs of a tree of `size` leaves take their hashes: `size` is that of a checkpoint.

    What is asked of it raises StoreAway where the tiles cannot be read, and ValueError for a node beyond the tree.
    """
    return tiles.nodes_from_tiles((store or tile_store()).tile, size)


def inclusion(index: int, size: int) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves (RFC 6962 §2.1.1), the leaf's sibling first.

    Raises ValueError where there is no such leaf, StoreAway.
    """
    return inclusion_proof(index, size, nodes(size))


def consistency(old: int, new: int, store: TileStore | None = None) -> list[bytes]:
    """The proof that the tree of `new` leaves continues that of `old` (RFC 6962 §2.1.2). Raises the same."""
    return consistency_proof(old, new, nodes(new, store))


def frontier(size: int, *, within: int, store: TileStore | None = None) -> Frontier:
    """The compact frontier of the first `size` leaves: their root, and all that going on from them needs.

    `within` is the size of a checkpoint that covers them: of other sizes there may be no tiles.
    """
    names, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            names.append((level, start >> level))
            start += 1 << level
    return Frontier(size, list(nodes(within, store)(names)))
