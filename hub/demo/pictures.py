"""The pictures that the demo hashes: drawn from a number, always the same, of nothing at all."""

from __future__ import annotations

import math
import random
import struct
import zlib
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as rows of (red, green, blue)."""

    number: int
    rows: tuple[tuple[Colour, ...], ...]

    def png(self) -> bytes:
        """A PNG file (ISO/IEC 15948): true colour, eight bits a channel, not compressed, so the bytes never vary."""
        header = struct.pack(">IIBBBBB", len(self.rows[0]), len(self.rows), 8, 2, 0, 0, 0)
        lines = b"".join(b"\0" + bytes(channel for pixel in row for channel in pixel) for row in self.rows)
        chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 0)), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def draw(number: int, *, width: int = 144, height: int = 96) -> Picture:
    """Picture `number`: coloured discs on waves of two directions."""
    dice = random.Random(number)  # noqa: S311  a picture, no secret
    waves = [(dice.uniform(0.05, 0.6), dice.uniform(0.05, 0.6), dice.uniform(20, 60)) for _ in range(3)]
    discs = [
        (
            dice.randrange(width),
            dice.randrange(height),
            dice.randrange(8, 30),
            tuple(dice.randrange(256) for _ in "rgb"),
        )
        for _ in range(9)
    ]
    return Picture(
        number,
        tuple(tuple(_colour(x, y, waves, discs) for x in range(width)) for y in range(height)),
    )


def flat(*, width: int = 144, height: int = 96) -> Picture:
    """A picture in which nothing goes on, whose PDQ hash is therefore worthless."""
    return Picture(0, tuple(tuple((90 + x // 48, 90, 120) for x in range(width)) for _ in range(height)))


def _colour(
    x: int, y: int, waves: list[tuple[float, float, float]], discs: list[tuple[int, int, int, tuple[int, ...]]]
) -> Colour:
    for middle_x, middle_y, radius, colour in discs:
        if (x - middle_x) ** 2 + (y - middle_y) ** 2 < radius**2:
            return colour[0], colour[1], colour[2]
    red, green, blue = (128 + int(height * math.sin(x * across + y * down)) for across, down, height in waves)
    return red, green, blue


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
