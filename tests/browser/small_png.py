"""A screenshot in few colours: what a page of text and plain boxes needs, at a third of the bytes."""

from __future__ import annotations

import struct
import zlib
from collections import Counter

COLOURS = 32
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def in_few_colours(png: bytes) -> bytes:
    """The same picture with a palette (PNG, W3C 2003, §4.1.2) of its most frequent colours; 8-bit RGB or RGBA in."""
    chunks = _chunks(png)
    width, height, depth, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    if depth != 8 or kind not in {2, 6}:
        raise ValueError("Only what browsers draw: eight bits, RGB or RGBA.")
    step = 3 if kind == 2 else 4
    rows = _unfiltered(zlib.decompress(chunks[b"IDAT"]), width * step, height, step)
    lines = [[(row[at], row[at + 1], row[at + 2]) for at in range(0, width * step, step)] for row in rows]
    counted = Counter(pixel for line in lines for pixel in line)
    palette = [colour for colour, _ in counted.most_common(COLOURS)]
    nearest = {colour: _nearest(colour, palette) for colour in counted}
    packed = zlib.compress(b"".join(b"\0" + bytes([nearest[pixel] for pixel in line]) for line in lines), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    written = ((b"IHDR", header), (b"PLTE", bytes(part for each in palette for part in each)), (b"IDAT", packed))
    return _SIGNATURE + b"".join(_chunk(*each) for each in (*written, (b"IEND", b"")))


def _nearest(colour: tuple[int, int, int], palette: list[tuple[int, int, int]]) -> int:
    return min(
        range(len(palette)),
        key=lambda at: sum((mine - other) ** 2 for mine, other in zip(colour, palette[at], strict=True)),
    )


def _chunks(png: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    at = len(_SIGNATURE)
    while at < len(png):
        [length] = struct.unpack(">I", png[at : at + 4])
        name = png[at + 4 : at + 8]
        found[name] = found.get(name, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _unfiltered(raw: bytes, width: int, height: int, step: int) -> list[bytearray]:
    """Rows of bytes without their filters (§9.2)."""
    rows: list[bytearray] = []
    above = bytearray(width)
    for number in range(height):
        start = number * (width + 1)
        row = bytearray(raw[start + 1 : start + 1 + width])
        for at in range(width):
            left = row[at - step] if at >= step else 0
            row[at] = (row[at] + _predicted(raw[start], left, above[at], above[at - step] if at >= step else 0)) & 255
        rows.append(row)
        above = row
    return rows


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind < 3:
        return (0, left, up)[kind]
    if kind == 3:
        return (left + up) // 2
    estimate = left + up - corner
    return min((left, up, corner), key=lambda each: abs(estimate - each))
