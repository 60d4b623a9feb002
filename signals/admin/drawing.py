"""Small drawings for the desk (pure), made on the server; their colours are those of the stylesheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_WIDE: Final = 400  # a chart, in pixels
_TALL: Final = 132
_FOOT: Final = 112  # of its bars,
_ROOM: Final = 78  # and how tall they may be
_ROW: Final = 34  # pixels between two spokes
_LOWEST: Final = 76
_MIDDLE: Final = 60  # where spokes begin,
_ELBOW: Final = 150  # where they are straight,
_WORDS: Final = 158  # where their words begin,
_FIRST: Final = 300  # and where their dots do
_DOT: Final = 26


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a chart: its label, and its parts from the foot up."""

    label: str
    parts: Sequence[int]


def bars(
    title: str, drawn: Sequence[Bar], names: Sequence[str], *, is_stacked: bool = True, parts: Sequence[int] = ()
) -> SafeString:
    """A small chart, `names` in the order of the bars' parts: stacked, or side by side; each part says its number.

    `parts` are the colours to use, as the stylesheet numbers them; without, the first ones.
    """
    colours, beside = parts or range(len(names)), 1 if is_stacked else len(names)
    most = max((sum(bar.parts) if is_stacked else max(bar.parts) for bar in drawn), default=0)
    step = (_WIDE - 16) / max(1, len(drawn))
    totals = [f"{name} {sum(bar.parts[part] for bar in drawn):,}" for part, name in enumerate(names)]
    shapes = []
    for number, bar in enumerate(drawn):
        y, x, thick = float(_FOOT), 8 + number * step + 1, (step - 2) / beside
        for part, count in enumerate(bar.parts):
            tall = max(_ROOM * count / most, 2.0) if count else 0.0
            y = (y if is_stacked else _FOOT) - tall
            told = f"{bar.label}: {count:,} {names[part]}"
            left = x if is_stacked else x + part * thick
            if count:
                shapes.append((told, colours[part], f"{left:.1f}", f"{y:.1f}", f"{thick:.1f}", f"{tall:.1f}"))
    every = -(-len(drawn) // 7)
    labels = [
        (f"{8 + number * step + step / 2:.1f}", _TALL - 5, bar.label)
        for number, bar in enumerate(drawn)
        if (len(drawn) - 1 - number) % every == 0
    ]
    legend, x = [], 8
    for part, words in enumerate(totals):
        legend.append((colours[part], x, x + 14, words))
        x += 30 + round(5.8 * len(words))
    said = f"{title}: {'; '.join(totals)}"
    return format_html(
        '<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}"><title>{}</title>'
        '{}<text class="tie" x="{}" y="28" text-anchor="end">{}</text>{}<path class="edge" d="M8 {}.5H{}"/>{}</svg>',
        *(said, _WIDE, _TALL, _WIDE, _TALL, said),
        format_html_join(
            "",
            '<rect class="part-{}" x="{}" y="3" width="10" height="10"/><text class="tie" x="{}" y="12">{}</text>',
            legend,
        ),
        *(_WIDE - 8, f"at most {most:,}" if most else "none"),
        format_html_join(
            "",
            '<g><title>{}</title><rect class="part-{}" x="{}" y="{}" width="{}" height="{}"/></g>',
            shapes,
        ),
        *(_FOOT, _WIDE - 8),
        format_html_join("", '<text class="tie" x="{}" y="{}" text-anchor="middle">{}</text>', labels),
    )


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
