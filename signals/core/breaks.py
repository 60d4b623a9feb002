"""When to remind somebody to look away (pure): after so many values, or so long without a pause."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

PAUSE: Final = timedelta(minutes=5)
"""So long without anything to look at is a break."""

LATER: Final = timedelta(minutes=15)
"""So long somebody is left alone who asked for it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Work without a break: since when, until when, how many values in it, and until when not to remind."""

    began: datetime
    last: datetime
    revealed: int = 0
    quiet_until: datetime | None = None


def go_on(stretch: Stretch | None, *, at: datetime, revealed: int = 0) -> Stretch:
    """The stretch that looking at something now, and being shown so many values, makes of it."""
    if stretch is None or not timedelta() <= at - stretch.last < PAUSE:
        return Stretch(at, at, revealed)
    return replace(stretch, last=at, revealed=stretch.revealed + revealed)


def is_due(stretch: Stretch | None, *, at: datetime, reveals: int, length: timedelta) -> bool:
    """Whether to remind: `reveals` values, or `length`, since the last break; 0 of either never does."""
    if stretch is None or at - stretch.last >= PAUSE:
        return False
    if stretch.quiet_until is not None and at < stretch.quiet_until:
        return False
    is_long = bool(length) and at - stretch.began >= length
    return is_long or (reveals > 0 and stretch.revealed >= reveals)


def later(stretch: Stretch, *, at: datetime) -> Stretch:
    """Leave them alone for a while."""
    return replace(stretch, quiet_until=at + LATER)
