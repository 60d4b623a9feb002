"""When a partner's figures are bad enough to ask a person, and what is proposed then: the rule, figure by figure.

It looks at the near end of each interval, never at the share itself: what two signals out of three say is no alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from signals.core.quality import Quality, Share


class Figure(StrEnum):
    """What an alarm is about; the first word of its case's cause."""

    PRECISION = "precision"
    DISPUTES = "dispute-rate"
    ECHOES = "echo-share"
    LATE = "late-share"
    FLOOD = "flood"


class Measure(StrEnum):
    """What may be done about it: the reasons for acting in `signals.core.cases`, mildest first."""

    WARNED = "partner-warned"
    PROBATION = "probation"
    THROTTLED = "throttled"
    SUSPENSION = "suspension-proposed"


@dataclass(frozen=True, slots=True)
class Line:
    """From where on a share is bad, and from where on it is so bad that the partner should be stopped."""

    bad: float
    worst: float | None
    is_low_bad: bool  # a precision should be high, all else low
    proposed: Measure

    def is_passed(self, near: float, limit: float) -> bool:
        """Whether the near end of an interval lies beyond a limit of this line."""
        return near < limit if self.is_low_bad else near > limit


LINES: Final[Mapping[Figure, Line]] = {
    Figure.PRECISION: Line(0.7, 0.3, is_low_bad=True, proposed=Measure.PROBATION),
    Figure.DISPUTES: Line(0.1, 0.4, is_low_bad=False, proposed=Measure.PROBATION),
    Figure.ECHOES: Line(0.9, None, is_low_bad=False, proposed=Measure.WARNED),
    Figure.LATE: Line(0.5, None, is_low_bad=False, proposed=Measure.WARNED),
}

AT_LEAST: Final = 10
"""Of fewer nothing is said, for a few tell more of whom they are about than of who said them."""

QUIET: Final = timedelta(days=30)
"""So long after a decision nobody is asked the same again: the figures move slowly."""

FLOOD_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One figure that is bad for certain, and what is proposed."""

    figure: Figure
    proposed: Measure


def share_of(quality: Quality, figure: Figure) -> Share:
    """The share that a figure looks at. A flood has none: KeyError."""
    return {
        Figure.PRECISION: quality.precision,
        Figure.DISPUTES: quality.dispute_rate,
        Figure.ECHOES: quality.echo_share,
        Figure.LATE: quality.late_share,
    }[figure]


def alarms(quality: Quality) -> list[Alarm]:
    """The figures of one partner's signals of one type that are bad for certain."""
    found = []
    for figure, line in LINES.items():
        measure = _measure(share_of(quality, figure), line)
        if measure is not None:
            found.append(Alarm(figure, measure))
    return found


def cause_of(figure: Figure, indicator_type: str = "") -> str:
    """The cause of the alarm's case: "precision:url", "flood"."""
    return f"{figure}:{indicator_type}" if indicator_type else figure.value


def read_cause(cause: str) -> tuple[Figure | None, str]:
    """The figure and the type that a cause names; None where it names none of these."""
    word, _, indicator_type = cause.partition(":")
    return (Figure(word) if word in set(Figure) else None), indicator_type


def _measure(share: Share, line: Line) -> Measure | None:
    near = share.high if line.is_low_bad else share.low
    if near is None or share.of < AT_LEAST or not line.is_passed(near, line.bad):
        return None
    is_worst = line.worst is not None and line.is_passed(near, line.worst)
    return Measure.SUSPENSION if is_worst else line.proposed
