"""PDQ, the perceptual hash of photographs, for the pictures that the demo draws: small, plain and slow.

After the published algorithm (facebook/ThreatExchange, `hashing/hashing.pdf` and `pdq/cpp`). Members hash photographs
with a compiled library; this one takes 30 ms for a small picture and needs none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

SIDE = 64  # the picture is brought down to 64 × 64 before the transform
LOW = 16  # of whose frequencies the lowest 16 × 16 are kept, without the constant one
_PASSES = 2  # two box filters one after the other make a tent: the Jarosz filter
_QUALITY_DIVISOR = 90
_SCALE = math.sqrt(2 / SIDE)
_COSINES = [[_SCALE * math.cos(math.pi / 2 / SIDE * (i + 1) * (2 * j + 1)) for j in range(SIDE)] for i in range(LOW)]

Luma = list[list[float]]


def pdq(rows: Sequence[Sequence[tuple[int, int, int]]]) -> tuple[str, int]:
    """The hash (64 hex digits) and its quality (0–100) of a picture given as rows of (red, green, blue), 0–255 each."""
    luma = [[0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in row] for row in rows]
    small = _decimate(_blur(luma))
    return _bits(_transform(small)), _quality(small)


def _blur(luma: Luma) -> Luma:
    along_rows, along_columns = _window(len(luma[0])), _window(len(luma))
    for _ in range(_PASSES):
        luma = [_box(row, along_rows) for row in luma]
        luma = _transpose([_box(column, along_columns) for column in _transpose(luma)])
    return luma


def _window(length: int) -> int:
    return (length + 2 * SIDE - 1) // (2 * SIDE)


def _box(line: list[float], window: int) -> list[float]:
    """The moving mean over `window` values; at the ends over those there are."""
    behind = window - (window + 2) // 2  # the window of place i is line[i - behind : i - behind + window]
    sums = [0.0]
    for value in line:
        sums.append(sums[-1] + value)
    ends = ((max(i - behind, 0), min(i - behind + window, len(line))) for i in range(len(line)))
    return [(sums[end] - sums[start]) / (end - start) for start, end in ends]


def _transpose(table: Luma) -> Luma:
    return [list(column) for column in zip(*table, strict=True)]


def _decimate(luma: Luma) -> Luma:
    height, width = len(luma), len(luma[0])
    columns = [int((j + 0.5) * width / SIDE) for j in range(SIDE)]
    return [[luma[int((i + 0.5) * height / SIDE)][column] for column in columns] for i in range(SIDE)]


def _transform(small: Luma) -> Luma:
    """The 16 × 16 lowest frequencies of the two-dimensional discrete cosine transform (type II)."""
    half = [[_dot(wave, column) for column in _transpose(small)] for wave in _COSINES]
    return [[_dot(row, wave) for wave in _COSINES] for row in half]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))  # math.sumprod is younger than Python 3.11


def _bits(frequencies: Luma) -> str:
    """Bit 16 i + j says whether frequency (i, j) lies above the median; bit 0 is the last of the hex digits."""
    flat = [value for row in frequencies for value in row]
    median = sorted(flat)[len(flat) // 2 - 1]
    return f"{sum(1 << place for place, value in enumerate(flat) if value > median):064x}"


def _quality(small: Luma) -> int:
    """How much goes on in the picture: its gradients, summed; below 50 a hash matches too much to be of use."""
    steps = sum(abs(int((one - other) * 100 / 255)) for one, other in _neighbours(small))
    return min(steps // _QUALITY_DIVISOR, 100)


def _neighbours(small: Luma) -> Iterator[tuple[float, float]]:
    for table in (small, _transpose(small)):
        for row, below in pairwise(table):
            yield from zip(row, below, strict=True)
