"""When somebody is reminded to look away: so many values, so long without a break, no quiet asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from signals.core.breaks import LATER, PAUSE, Stretch, go_on, is_due, later

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def due_at(stretch: Stretch | None, at: datetime) -> bool:
    return is_due(stretch, at=at, reveals=3, length=50 * MINUTE)


def worked(minutes: int, *, revealed: int = 0) -> Stretch:
    stretch = None
    for minute in range(minutes):
        stretch = go_on(stretch, at=NOON + minute * MINUTE)
    return go_on(stretch, at=NOON + minutes * MINUTE, revealed=revealed)


@pytest.mark.parametrize(
    ("stretch", "at", "due"),
    [
        (None, NOON, False),
        (worked(1, revealed=2), NOON + 2 * MINUTE, False),
        (worked(1, revealed=3), NOON + 2 * MINUTE, True),
        (worked(49), NOON + 49 * MINUTE, False),
        (worked(50), NOON + 50 * MINUTE, True),
        (worked(50), NOON + 50 * MINUTE + PAUSE, False),  # they have looked away since
        (later(worked(50), at=NOON + 50 * MINUTE), NOON + 50 * MINUTE + MINUTE, False),
    ],
)
def test_who_is_reminded_and_when(stretch: Stretch | None, at: datetime, due: bool) -> None:
    assert due_at(stretch, at) == due


def test_a_pause_begins_anew_and_later_is_over_some_time() -> None:
    stretch = worked(50, revealed=9)
    fresh = go_on(stretch, at=NOON + 50 * MINUTE + PAUSE, revealed=1)
    assert (fresh.began, fresh.revealed) == (NOON + 50 * MINUTE + PAUSE, 1)
    quiet = later(stretch, at=stretch.last)
    for minute in range(1, int(LATER / MINUTE)):
        quiet = go_on(quiet, at=stretch.last + minute * MINUTE)
        assert not due_at(quiet, quiet.last)
    quiet = go_on(quiet, at=stretch.last + LATER)
    assert due_at(quiet, quiet.last)


def test_a_limit_of_nothing_never_reminds() -> None:
    assert not is_due(worked(200, revealed=500), at=NOON + 200 * MINUTE, reveals=0, length=timedelta())
