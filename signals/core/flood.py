"""When what a partner sends is too much at once, and when a value comes up too often: the rule, from plain counts.

docs/standing.md says what can be known of either, and which settings of a programme's gates change the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

HISTORY: Final = timedelta(days=28)
"""How far back a partner's own hours are looked at."""

TOO_FRESH: Final = timedelta(hours=48)
"""What came since then is no history yet: else every hour of a flood would make the next, larger one normal."""

ACTIVE_HOURS: Final = 24
"""So many hours in which it sent any are a history."""

PARTNERS_WITHIN: Final = timedelta(hours=1)
REPEATS_WITHIN: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much is normal. A programme sets each by its gate `flood_floor`, `flood_factor` and so on."""

    floor: int = 2_000  # signals of a type in an hour that are no burst, whatever came before
    factor: int = 10  # times a partner's own busy hour
    cap: int = 250_000  # and no hour is larger, whatever came before
    partners: int = 10  # that meet a value within an hour, so many and more: it matches too much
    repeats: int = 10  # of a value by one partner within a day, so many and more


def allowance_of(gates: Mapping[str, object]) -> Allowance:
    """A programme's own figures, from its gates, or the defaults; anything but a whole number from 1 is no figure."""
    usual = Allowance()

    def figure(name: str, otherwise: int) -> int:
        wanted = gates.get(f"flood_{name}")
        return wanted if type(wanted) is int and wanted >= 1 else otherwise

    return Allowance(
        floor=figure("floor", usual.floor),
        factor=figure("factor", usual.factor),
        cap=figure("cap", usual.cap),
        partners=figure("partners", usual.partners),
        repeats=figure("repeats", usual.repeats),
    )


def hourly_limit(busy_hour: int | None, allowance: Allowance, *, may_backfill: bool) -> int:
    """How many signals of one type a partner may send in an hour before the rest is a burst.

    `busy_hour`: what went through in one of its busier hours (the ninetieth percentile of those in which it sent
    any), None without a history. Who may back-fill is measured by the cap alone: an operator allowed just that.
    """
    if may_backfill:
        return allowance.cap
    return min(max(allowance.floor, allowance.factor * (busy_hour or 0)), allowance.cap)


def in_the_last_hour(this_hour: int, hour_before: int, *, elapsed: float) -> float:
    """What came in the sixty minutes up to now, from two hours of the clock; `elapsed` of this one is over, 0 to 1.

    The hour before counts by the share of it that lies within the sixty minutes, so that midnight frees nobody.
    """
    return this_hour + hour_before * (1 - elapsed)


def is_met_too_often(partners: int, allowance: Allowance) -> bool:
    """Whether a value must match more than it means, since so many other partners met it within the hour.

    They met it who said it themselves, or said of somebody's signal that they have it too.
    """
    return partners >= allowance.partners


def repeats_too_often(repeats: int, allowance: Allowance) -> bool:
    """Whether one partner has said a value so often within the day that saying it again tells nobody anything."""
    return repeats >= allowance.repeats
