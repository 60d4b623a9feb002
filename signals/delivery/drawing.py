"""Draw an endpoint's last day as a small SVG (pure): one bar an hour, delivered and failed, with its scale in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Final

_WIDTH: Final = 480
_HEIGHT: Final = 120
_TOP: Final = 22
_BOTTOM: Final = 96  # of the bars; below it stand the hours
_STEP: Final = 19
_LEFT: Final = 12
_DELIVERED: Final = "#1a7f5a"
_FAILED: Final = "#c2410c"
_QUIET: Final = "#6b7280"


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour's attempts: how many hours ago it ended, what came of them, and how long the middle one took."""

    ago: int
    delivered: int
    failed: int
    p50_ms: int


def hours_drawn(hours: Sequence[Hour], *, at: datetime) -> str:
    """The drawing, `at` being the end of the last hour. It says the same in words, for who cannot see it."""
    most = max((hour.delivered + hour.failed for hour in hours), default=0)
    delivered, failed = sum(hour.delivered for hour in hours), sum(hour.failed for hour in hours)
    said = f"{delivered} delivered, {failed} failed in the last 24 hours; at most {most} in an hour"
    bars = "".join(_bar(number, hour, most, at) for number, hour in enumerate(hours))
    labels = "".join(
        _text(_LEFT + number * _STEP + _STEP // 2, _HEIGHT - 8, f"{at - timedelta(hours=hour.ago):%H}h", "middle")
        for number, hour in enumerate(hours)
        if hour.ago % 6 == 0
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        f' role="img" aria-label="{escape(said)}" font-family="system-ui, sans-serif" font-size="11">'
        f"<title>{escape(said)}</title>{_text(_LEFT, 14, said, 'start')}"
        f'<path d="M{_LEFT} {_BOTTOM}.5H{_WIDTH - _LEFT}" stroke="{_QUIET}" stroke-width="1"/>{bars}{labels}</svg>'
    )


def _bar(number: int, hour: Hour, most: int, at: datetime) -> str:
    if not hour.delivered + hour.failed:
        return ""
    x, room = _LEFT + number * _STEP + 2, _BOTTOM - _TOP
    good = round(room * hour.delivered / most)
    bad = max(round(room * hour.failed / most), 2 if hour.failed else 0)  # one failure among thousands is still seen
    began = at - timedelta(hours=hour.ago + 1)
    told = f"{began:%H:%M}: {hour.delivered} delivered, {hour.failed} failed, half within {hour.p50_ms} ms"
    return (
        f"<g><title>{escape(told)}</title>"
        f'<rect x="{x}" y="{_BOTTOM - good}" width="{_STEP - 4}" height="{good}" fill="{_DELIVERED}"/>'
        f'<rect x="{x}" y="{_BOTTOM - good - bad}" width="{_STEP - 4}" height="{bad}" fill="{_FAILED}"/></g>'
    )


def _text(x: int, y: int, words: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{_QUIET}" text-anchor="{anchor}">{escape(words)}</text>'
