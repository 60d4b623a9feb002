"""A second reading of RFC 6962 §2.1, word for word and slow: what the quick one is compared with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hub.ledger.tlog.proofs import Nodes

Leaves = list[bytes]


def leaves(size: int, tree: int = 0) -> Leaves:
    """So many leaf hashes, others for another `tree`."""
    return [hashlib.sha256(b"\x00" + f"{tree} {n}".encode()).digest() for n in range(size)]


def split(size: int) -> int:
    """§2.1: k, the largest power of two smaller than n."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def root(d: Sequence[bytes]) -> bytes:
    """§2.1: MTH(D[n]), of leaves given by their hashes."""
    if not d:
        return hashlib.sha256(b"").digest()
    if len(d) == 1:
        return d[0]
    k = split(len(d))
    return hashlib.sha256(b"\x01" + root(d[:k]) + root(d[k:])).digest()


def path(m: int, d: Sequence[bytes]) -> Leaves:
    """§2.1.1: PATH(m, D[n])."""
    if len(d) == 1:
        return []
    k = split(len(d))
    if m < k:
        return [*path(m, d[:k]), root(d[k:])]
    return [*path(m - k, d[k:]), root(d[:k])]


def proof(m: int, d: Sequence[bytes]) -> Leaves:
    """§2.1.2: PROOF(m, D[n])."""
    return subproof(m, d, True)


def subproof(m: int, d: Sequence[bytes], b: bool) -> Leaves:
    """§2.1.2: SUBPROOF(m, D[n], b)."""
    if m == len(d):
        return [] if b else [root(d)]
    k = split(len(d))
    if m <= k:
        return [*subproof(m, d[:k], b), root(d[k:])]
    return [*subproof(m - k, d[k:], False), root(d[:k])]


def nodes(d: Sequence[bytes]) -> Nodes:
    """The roots of perfect subtrees, by definition; refuses one that is not within the tree."""

    def node(level: int, n: int) -> bytes:
        assert (n + 1) << level <= len(d), "asked for a subtree beyond the tree"
        return root(d[n << level : (n + 1) << level])

    return lambda names: [node(level, n) for level, n in names]
