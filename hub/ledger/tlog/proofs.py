"""Inclusion and consistency proofs (RFC 6962 §2.1.1, §2.1.2): made from the roots of perfect subtrees, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hub.ledger.tlog.merkle import EMPTY_ROOT, node_hash

Nodes: TypeAlias = Callable[[Sequence[tuple[int, int]]], Sequence[bytes]]
"""Hashes for names, in the same order: (level, n) is the root over the leaves [n·2^level, (n+1)·2^level)."""

LONGEST = 63  # hashes in a proof over at most 2^63 leaves


class NotProven(ValueError):
    """A proof does not show what it is said to show; the message says which."""


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """PATH(index, D[size]): the leaf's sibling first. `nodes` is asked once, for perfect subtrees within `size`.

    Raises ValueError when there is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} leaves has no leaf {index}.")
    start, end, beside = 0, size, []
    while end - start > 1:
        split = start + _split(end - start)
        if index < split:
            beside.append((split, end))
            end = split
        else:
            beside.append((start, split))
            start = split
    return _roots(beside[::-1], nodes)


def consistency_proof(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """PROOF(old, D[new]); empty when the sizes are equal, or when the old tree has no leaves.

    Raises ValueError when the old tree is the larger.
    """
    if not 0 <= old <= new:
        raise ValueError(f"A tree of {old} leaves did not grow into one of {new}.")
    if old in (0, new):
        return []
    start, end, beside = 0, new, []
    while end != old:
        split = start + _split(end - start)
        if old <= split:
            beside.append((split, end))
            end = split
        else:
            beside.append((start, split))
            start = split
    if start:  # else the old tree is one whole subtree, whose root the reader has already
        beside.append((start, end))
    return _roots(beside[::-1], nodes)


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise NotProven unless `proof` leads from the leaf's hash at `index` to the root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise NotProven(f"A tree of {size} leaves has no leaf {index}.")
    at, last, digest = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            raise NotProven("The inclusion proof is too long.")
        if at % 2 or at == last:
            digest = node_hash(beside, digest)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            digest = node_hash(digest, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProven("The inclusion proof is too short.")
    if digest != root:
        raise NotProven(f"The inclusion proof does not lead from leaf {index} to the root.")


def check_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise NotProven unless the tree of `old` leaves is the beginning of the one of `new` (RFC 9162 §2.1.4.2)."""
    if not 0 <= old <= new:
        raise NotProven(f"A tree of {old} leaves did not grow into one of {new}.")
    if old in (0, new):
        if proof:
            raise NotProven("The consistency proof is too long.")
        if old_root != (new_root if old == new else EMPTY_ROOT):
            raise NotProven(f"The roots of {old} leaves differ.")
        return
    before, after = _grown(old, new, proof, old_root)
    if before != old_root:
        raise NotProven(f"The consistency proof does not lead to the root of the first {old} leaves.")
    if after != new_root:
        raise NotProven(f"The consistency proof does not lead to the root of {new} leaves.")


def _grown(old: int, new: int, proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    """The two roots that the proof leads to, the old one first."""
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not proof:
        raise NotProven("The consistency proof is too short.")
    at, last = old - 1, new - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    before = after = path[0]
    for beside in path[1:]:
        if last == 0:
            raise NotProven("The consistency proof is too long.")
        if at % 2 or at == last:
            before, after = node_hash(beside, before), node_hash(beside, after)
            while at % 2 == 0 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise NotProven("The consistency proof is too short.")
    return before, after


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _roots(ranges: Sequence[tuple[int, int]], nodes: Nodes) -> list[bytes]:
    """The root over each range of leaves, where each starts at a multiple of its largest perfect subtree."""
    parts = [_perfect(start, end) for start, end in ranges]
    hashes = iter(nodes([node for part in parts for node in part]))
    roots = []
    for part in parts:
        own = [next(hashes) for _ in part]
        root = own.pop()
        while own:
            root = node_hash(own.pop(), root)
        roots.append(root)
    return roots


def _perfect(start: int, end: int) -> list[tuple[int, int]]:
    """The perfect subtrees that make up a range, the largest (leftmost) first."""
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found
