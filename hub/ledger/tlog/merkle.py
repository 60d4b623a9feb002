"""The Merkle tree of RFC 6962 §2.1, as C2SP tlog-tiles uses it: hashes and the compact frontier. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The same for each of many, without a call for each."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + entry).digest() for entry in entries]


@dataclass(slots=True)
class Frontier:
    """All that is needed to go on appending: the roots of the perfect subtrees, the largest (leftmost) first.

    There is one for each bit set in `size`, so it never holds more than 64 hashes.
    """

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError(
                f"A tree of {self.size} leaves has {self.size.bit_count()} subtrees, not {len(self.hashes)}."
            )
        if any(len(digest) != HASH_BYTES for digest in self.hashes):
            raise ValueError(f"A hash has {HASH_BYTES} bytes.")

    def append(self, leaf: bytes) -> None:
        """Add one leaf by its hash."""
        digest, carry = leaf, self.size
        while carry & 1:
            digest = node_hash(self.hashes.pop(), digest)
            carry >>= 1
        self.hashes.append(digest)
        self.size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Add leaves by their hashes, in order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The tree's root; of no leaves, SHA-256 of nothing."""
        if not self.hashes:
            return EMPTY_ROOT
        digest = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            digest = node_hash(left, digest)
        return digest

    def packed(self) -> bytes:
        """The hashes, one after another, as the database and the mirror keep them."""
        return b"".join(self.hashes)

    @classmethod
    def unpacked(cls, size: int, packed: bytes) -> Frontier:
        """The frontier that `packed()` came from; raises ValueError when size and hashes do not fit."""
        if len(packed) % HASH_BYTES:
            raise ValueError(f"{len(packed)} bytes are no whole number of hashes.")
        return cls(size, [packed[start : start + HASH_BYTES] for start in range(0, len(packed), HASH_BYTES)])


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaves given by their hashes."""
    sha256 = hashlib.sha256  # `node_hash` by hand: a page has a thousand of them, and a call for each costs a third
    level = list(leaves)
    while len(level) > 1:  # neighbours in pairs, the last of an odd number as it is: the tree of RFC 6962 §2.1
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + odd
    return level[0] if level else EMPTY_ROOT
