"""Small drawings of shares with their intervals, made on the server; their colours are the stylesheet's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from signals.core.alarms import AT_LEAST, Line
from signals.core.quality import Share

_WIDE, _HIGH = 160, 14
_WEEK, _TALL = 14, 44  # one week's width, and how high a hundred per cent is
_EDGE = 3  # so that a dot at either end is whole


def interval(share: Share, line: Line) -> SafeString:
    """A share as a dot on its interval, on a scale from 0 to 100 %, with the line from which on it is bad."""
    if share.value is None or share.low is None or share.high is None:
        return SafeString("")
    left, right, dot, bad = (_along(part) for part in (share.low, share.high, share.value, line.bad))
    return format_html(
        '<svg class="share" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}"><title>{}</title>'
        '<rect class="share-scale" x="0" y="6" width="{}" height="2"/>'
        '<rect class="share-interval{}" x="{}" y="3" width="{}" height="8" rx="2"/>'
        '<circle class="share-dot" cx="{}" cy="7" r="3"/>'
        '<line class="share-limit" x1="{}" y1="0" x2="{}" y2="14"/></svg>',
        *(words(share), _WIDE, _HIGH, _WIDE, _HIGH, words(share), _WIDE),
        *(" share-bad" if is_bad(share, line) else "", left, max(2, right - left), dot, bad, bad),
    )


def weeks(name: str, shares: Sequence[tuple[date, Share]], line: Line, *, upto: date, count: int) -> SafeString:
    """The same week by week, upright, the week of `upto` last; a week of which nothing is known is empty."""
    first = _monday(upto) - timedelta(weeks=count - 1)
    known = [(week, share) for week, share in shares if share.value is not None and week >= first]
    drawn = [
        (
            *(" share-bad" if is_bad(share, line) else "", x, _down(share.high or 0.0)),
            *(max(2, _down(share.low or 0.0) - _down(share.high or 0.0)), f"{week:%d %b}: {words(share)}"),
            *(x + 4, _down(share.value or 0.0)),
        )
        for week, share in known
        for x in ((week - first).days // 7 * _WEEK + 3,)
    ]
    said = "; ".join(f"{week:%d %b} {share.value:.0%}" for week, share in known) or "nothing is known"
    width, bad = count * _WEEK, _down(line.bad)
    return format_html(
        '<svg class="share" role="img" aria-label="{} by week: {}" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<rect class="share-frame" width="{}" height="{}"/>'
        '<line class="share-limit" x1="0" y1="{}" x2="{}" y2="{}"/>{}</svg>',
        *(name, said, width, _TALL, width, _TALL, width, _TALL, bad, width, bad),
        format_html_join(
            "",
            '<g><rect class="share-interval{}" x="{}" y="{}" width="8" height="{}" rx="2"><title>{}</title></rect>'
            '<circle class="share-dot" cx="{}" cy="{}" r="2"/></g>',
            drawn,
        ),
    )


def words(share: Share) -> str:
    """A share for people: "80 % of 20 (95 %: 58 % to 92 %)"."""
    if share.value is None:
        return "nothing is known"
    return f"{share.value:.0%} of {share.of:,} (95 %: {share.low:.0%} to {share.high:.0%})"


def is_bad(share: Share, line: Line) -> bool:
    """Whether it is bad for certain."""
    near = share.high if line.is_low_bad else share.low
    return near is not None and share.of >= AT_LEAST and line.is_passed(near, line.bad)


def _along(part: float) -> int:
    return round(_EDGE + part * (_WIDE - 2 * _EDGE))


def _down(part: float) -> int:
    return round(_EDGE + (1 - part) * (_TALL - 2 * _EDGE))


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())
