"""How good one partner's signals of one type have proved: shares with their confidence intervals, from plain counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final

LATE_AFTER: Final = timedelta(days=7)
"""How long an author may let stand what others dispute before it counts as late."""

_Z: Final = 1.959963984540054  # of the 95 % interval


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over a partner's latest published signals of one type.

    `right`: borne out by another's own observation or finding, and disputed by nobody. `wrong`: disputed or refuted.
    `echoes`: derived, or said after another partner had said the same value. `known_wrong`: of the wrong ones those
    that were disputed a week ago or longer, or that their author withdrew since; `late`: of those, the ones that it let
    stand for more than a week from the first dispute.
    """

    signals: int
    right: int = 0
    wrong: int = 0
    withdrawn: int = 0
    echoes: int = 0
    seconds_to_withdraw: float | None = None  # the median
    known_wrong: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """A proportion and its 95 % interval by Wilson's score; all None of nothing."""

    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """What the counts say. `precision` looks at judged signals only: those that proved right or wrong."""

    tally: Tally
    precision: Share
    dispute_rate: Share
    echo_share: Share
    late_share: Share


def added_up(tallies: Sequence[Tally]) -> Tally:
    """One tally of several samples; of more than one there is no median."""
    if len(tallies) == 1:
        return tallies[0]
    counts = {
        each.name: sum(getattr(tally, each.name) for tally in tallies)
        for each in fields(Tally)
        if each.name != "seconds_to_withdraw"
    }
    return Tally(**counts)


def quality(tally: Tally) -> Quality:
    """The figures of one tally."""
    return Quality(
        tally,
        precision=share(tally.right, tally.right + tally.wrong),
        dispute_rate=share(tally.wrong, tally.signals),
        echo_share=share(tally.echoes, tally.signals),
        late_share=share(tally.late, tally.known_wrong),
    )


def share(part: int, whole: int) -> Share:
    """A part of a whole with Wilson's 95 % interval, each rounded to 4 digits."""
    if not whole:
        return Share(0, None, None, None)
    rate, square = part / whole, _Z * _Z
    middle = (rate + square / (2 * whole)) / (1 + square / whole)
    half = _Z * math.sqrt(rate * (1 - rate) / whole + square / (4 * whole * whole)) / (1 + square / whole)
    return Share(whole, round(rate, 4), round(max(middle - half, 0.0), 4), round(min(middle + half, 1.0), 4))
