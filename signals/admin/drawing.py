"""Small drawings for the desk (pure), made on the server; their colours are those of the stylesheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_ROW: Final = 34  # pixels between two spokes
_LOWEST: Final = 76
_MIDDLE: Final = 60  # where spokes begin,
_ELBOW: Final = 150  # where they are straight,
_WORDS: Final = 158  # where their words begin,
_FIRST: Final = 300  # and where their dots do
_DOT: Final = 26


@dataclass(frozen=True, slots=True)
class Spoke:
    """What one tie leads to: each other's state, and its words."""

    words: str
    dots: Sequence[tuple[str, str]]
    is_more: bool


def star(middle: str, state: str, spokes: Sequence[Spoke]) -> SafeString:
    """One signal, and what it is tied to; empty where it is tied to nothing."""
    if not spokes:
        return SafeString("")
    height, width = max(_LOWEST, _ROW * len(spokes) + 8), _FIRST + _DOT * max(len(spoke.dots) for spoke in spokes) + 34
    centre, top = height // 2, (height - _ROW * len(spokes)) // 2
    said = "; ".join(f"{spoke.words}: {len(spoke.dots)}{' or more' if spoke.is_more else ''}" for spoke in spokes)
    rows = [(spoke, top + _ROW * number + _ROW // 2) for number, spoke in enumerate(spokes)]
    edges = format_html_join(
        "",
        '<path class="edge" d="M{} {}C{} {} {} {} {} {}H{}"/>',
        (
            (_MIDDLE, centre, _MIDDLE + 40, centre, _ELBOW - 40, y, _ELBOW, y, _FIRST + _DOT * (len(spoke.dots) - 1))
            for spoke, y in rows
        ),
    )
    words = format_html_join(
        "", '<text class="tie" x="{}" y="{}">{}</text>', ((_WORDS, y - 5, spoke.words) for spoke, y in rows)
    )
    dots = format_html_join(
        "",
        '<g><title>{}</title><circle class="dot dot-{}" cx="{}" cy="{}" r="8"/></g>',
        (
            (told, others_state, _FIRST + _DOT * number, y)
            for spoke, y in rows
            for number, (others_state, told) in enumerate(spoke.dots)
        ),
    )
    more = format_html_join(
        "",
        '<text class="tie" x="{}" y="{}">more</text>',
        ((_FIRST + _DOT * len(spoke.dots) - 8, y + 4) for spoke, y in rows if spoke.is_more),
    )
    return format_html(
        '<svg class="star" role="img" aria-label="Linked signals: {}" viewBox="0 0 {} {}" width="{}" height="{}">'
        "<title>Linked signals</title><desc>{}</desc>{}"
        '<circle class="dot dot-{}" cx="44" cy="{}" r="12"/>'
        '<text class="tie" x="44" y="{}" text-anchor="middle">{}</text>{}{}{}</svg>',
        *(said, width, height, width, height, said, edges, state, centre, centre + 26, middle, words, dots, more),
    )
