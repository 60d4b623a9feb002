"""A small bar of how the copies of a recalled signal stand, drawn on the server; its colours are the stylesheet's."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from signals.core.recall import Standing

_LEFT_TO_RIGHT = (Standing.TOLD, Standing.CLEARED, Standing.RECEIPT, Standing.WAITING, Standing.OVERDUE)
_LEAST = 3  # pixels of a part that is not empty: one overdue copy among five hundred must be seen


def bar(tally: Mapping[Standing, int], *, width: int = 120, height: int = 12) -> SafeString:
    """Parts in proportion, from told to overdue; said in words to those who do not see it."""
    parts = [(standing, tally[standing]) for standing in _LEFT_TO_RIGHT if tally[standing]]
    words = ", ".join(f"{count} {standing}" for standing, count in parts) or "no copies"
    drawn, x = [], 0
    for (standing, _), length in zip(parts, _lengths([count for _, count in parts], width), strict=True):
        drawn.append((standing, x, length, height))
        x += length
    rects = format_html_join("", '<rect class="bar-{}" x="{}" y="0" width="{}" height="{}"/>', drawn)
    return format_html(
        '<svg class="bar" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        "<title>{}</title>{}</svg>",
        *(words, width, height, width, height, words, rects),
    )


def _lengths(counts: list[int], width: int) -> list[int]:
    """Whole pixels that fill the width; what is rounded up is taken from the longest."""
    total = sum(counts)
    lengths = [max(_LEAST, round(width * count / total)) for count in counts]
    if lengths:
        longest = lengths.index(max(lengths))
        lengths[longest] += width - sum(lengths)
    return lengths
