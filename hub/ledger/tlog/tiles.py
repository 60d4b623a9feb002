"""The log as static files (C2SP tlog-tiles): which tiles there are, what they are called, and proofs from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from hub.ledger.tlog.merkle import HASH_BYTES, root_of
from hub.ledger.tlog.proofs import Nodes

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
LARGEST_ENTRY = 65_535  # bytes: a 16-bit length goes before each entry of a bundle
_HIGHEST = 63  # level
_KEPT = 64  # tiles that a reader of nodes remembers: one proof over 2^63 leaves needs fewer

ReadTile: TypeAlias = Callable[[int, int, int], bytes]
"""(level, n, width) → the tile's hashes one after another: at least `width` of them, at most 256."""

_NUMBER = r"(?:x[0-9]{3}/)*[0-9]{3}"
_PATH = re.compile(rf"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<n>{_NUMBER})(?:\.p/(?P<width>[1-9][0-9]{{0,2}}))?")


class NotATile(ValueError):
    """A path names no tile, or bytes are none; the message says why."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One hash tile. Hash i of it is the root over 256^level leaves from leaf (n·256 + i)·256^level on."""

    level: int
    n: int
    width: int = TILE_WIDTH

    @property
    def is_full(self) -> bool:
        """Whether it will never grow."""
        return self.width == TILE_WIDTH

    @property
    def end(self) -> int:
        """The size of the smallest log that has it: the index after its last leaf."""
        return (TILE_WIDTH * self.n + self.width) << (TILE_HEIGHT * self.level)

    def path(self) -> str:
        """Its name, such as tile/0/x001/067.p/112."""
        return path(self.level, self.n, self.width)

    def nodes(self) -> list[tuple[int, int]]:
        """The subtrees whose roots it holds, in order, as proofs.Nodes names them."""
        return [(TILE_HEIGHT * self.level, TILE_WIDTH * self.n + i) for i in range(self.width)]


def path(level: int, n: int, width: int = TILE_WIDTH) -> str:
    """`tile/<level>/<n>[.p/<width>]`."""
    return f"tile/{level}/{_name(n, width)}"


def entries_path(n: int, width: int = TILE_WIDTH) -> str:
    """`tile/entries/<n>[.p/<width>]`."""
    return f"tile/entries/{_name(n, width)}"


def read_path(name: str) -> tuple[int | None, int, int]:
    """(level, n, width) of a path; the level of an entry bundle is None. Raises NotATile for all but the one form."""
    match = _PATH.fullmatch(name)
    if match is None:
        raise NotATile("This path names no tile.")
    level = None if match["level"] == "entries" else int(match["level"])
    n = int(match["n"].replace("x", "").replace("/", ""))
    width = TILE_WIDTH if match["width"] is None else int(match["width"])
    is_one_form = name == (entries_path(n, width) if level is None else path(level, n, width))
    if not is_one_form or (level or 0) > _HIGHEST or width > TILE_WIDTH:
        raise NotATile("This path names no tile.")
    return level, n, width


def tiles_between(old_size: int, new_size: int) -> list[Tile]:
    """The hash tiles that a log of `new_size` leaves has and one of `old_size` had not, the lowest level first.

    An entry bundle goes with each tile of level 0, under the same n and width.
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"A log of {old_size} leaves did not grow into one of {new_size}.")
    found, level = [], 0
    while (count := new_size >> (TILE_HEIGHT * level)) > 0:
        before = old_size >> (TILE_HEIGHT * level)
        full, width = divmod(count, TILE_WIDTH)
        found += [Tile(level, n) for n in range(before // TILE_WIDTH, full)]
        if width and count != before:
            found.append(Tile(level, full, width))
        level += 1
    return found


def hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile; raises NotATile unless it is 1 to 256 of them."""
    if len(tile) % HASH_BYTES or not HASH_BYTES <= len(tile) <= HASH_BYTES * TILE_WIDTH:
        raise NotATile(f"{len(tile)} bytes are no tile.")
    return [tile[start : start + HASH_BYTES] for start in range(0, len(tile), HASH_BYTES)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length (16 bits, big-endian); raises ValueError for one too long."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise ValueError(f"A bundle has 1 to {TILE_WIDTH} entries, not {len(entries)}.")
    if any(len(entry) > LARGEST_ENTRY for entry in entries):
        raise ValueError(f"An entry has at most {LARGEST_ENTRY:,} bytes.")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; raises NotATile."""
    entries, at = [], 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if at > len(bundle) or start > len(bundle):
            raise NotATile("The entry bundle ends within an entry.")
        entries.append(bundle[start:at])
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise NotATile(f"A bundle has 1 to {TILE_WIDTH} entries, not {len(entries)}.")
    return entries


def nodes_from_tiles(read_tile: ReadTile, size: int) -> Nodes:
    """Nodes of the log of `size` leaves, from its tiles; reads each of the last 64 once.

    What comes back is as good as the tiles: a proof made of it is worth what its check says. Raises NotATile for a
    tile that is too short, ValueError for a node beyond the log, and whatever `read_tile` raises.
    """

    @lru_cache(maxsize=_KEPT)
    def tile(level: int, n: int) -> list[bytes]:
        width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - TILE_WIDTH * n)
        found = hashes(read_tile(level, n, width))
        if len(found) < width:
            raise NotATile(f"{path(level, n, width)} has only {len(found)} hashes.")
        return found[:width]

    def node(level: int, n: int) -> bytes:
        if n < 0 or level < 0 or (n + 1) << level > size:
            raise ValueError(f"A log of {size} leaves has no subtree {n} at level {level}.")
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, start = divmod(n << height, TILE_WIDTH)
        return root_of(tile(tile_level, number)[start : start + (1 << height)])

    return lambda names: [node(level, n) for level, n in names]


def _name(n: int, width: int) -> str:
    digits = str(n)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return "/".join([f"x{group}" for group in groups[:-1]] + [groups[-1]]) + partial
