"""Numbers as drawings: SVG without script, with the numbers in it as text, readable on paper and by a screen reader."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TypeAlias

Numbers: TypeAlias = "Sequence[tuple[str, int]]"

_WIDTH = 720
_ROW = 22  # pixels of a line
_LABEL = 220  # pixels for the words on the left
_TALL = 160


def lines(numbers: Numbers, *, title: str) -> str:
    """One bar below another, each with its word and its number."""
    most = max((count for _, count in numbers), default=0) or 1
    room = _WIDTH - _LABEL - 90
    drawn = []
    for row, (word, count) in enumerate(numbers):
        y, length = row * _ROW, max(1, round(room * count / most))
        drawn.append(
            f'<text x="{_LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(word)}</text>'
            f'<rect x="{_LABEL}" y="{y + 3}" width="{length}" height="{_ROW - 7}"/>'
            f'<text x="{_LABEL + length + 6}" y="{y + 15}">{count:,}</text>'
        )
    return _svg(drawn, height=max(1, len(numbers)) * _ROW + 4, title=title, numbers=numbers)


def columns(numbers: Numbers, *, title: str) -> str:
    """Bars side by side, in the order given: what changed over time. First and last are labelled, and the highest."""
    most = max((count for _, count in numbers), default=0) or 1
    step = min(60.0, _WIDTH / max(1, len(numbers)))
    drawn = [f'<line x1="0" y1="{_TALL}" x2="{_WIDTH}" y2="{_TALL}"/>']
    for place, (word, count) in enumerate(numbers):
        height = round((_TALL - 24) * count / most, 1)
        drawn.append(
            f'<rect x="{place * step + step * 0.1:.2f}" y="{_TALL - height}" width="{step * 0.8:.2f}"'
            f' height="{height}"><title>{escape(word)}: {count:,}</title></rect>'
        )
    if numbers:
        highest = max(range(len(numbers)), key=lambda place: numbers[place][1])
        x = min(max((highest + 0.5) * step, 40), _WIDTH - 40)
        drawn.append(f'<text x="{x:.0f}" y="14" text-anchor="middle">{numbers[highest][1]:,}</text>')
        drawn.append(f'<text x="0" y="{_TALL + 18}">{escape(numbers[0][0])}</text>')
    if len(numbers) > 1:
        end = max(step * len(numbers), 180)
        drawn.append(f'<text x="{end:.0f}" y="{_TALL + 18}" text-anchor="end">{escape(numbers[-1][0])}</text>')
    return _svg(drawn, height=_TALL + 26, title=title, numbers=numbers)


def _svg(drawn: Sequence[str], *, height: int, title: str, numbers: Numbers) -> str:
    said = "; ".join(f"{word}: {count:,}" for word, count in numbers[:50])
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
        f"<title>{escape(title)}</title><desc>{escape(said)}</desc>{''.join(drawn)}</svg>"
    )
