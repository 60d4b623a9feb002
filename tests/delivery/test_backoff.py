"""The waits between attempts, as a table."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from signals.core.backoff import SCHEDULE, Schedule, wait_after

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("failures", "wait"),
    [
        (1, 5 * SECOND),
        (2, 30 * SECOND),
        (3, 2 * MINUTE),
        (4, 5 * MINUTE),
        (5, 15 * MINUTE),
        (100, 15 * MINUTE),
        (101, HOUR),
        (10_000_000, HOUR),
    ],
)
def test_each_failure_has_its_wait(failures: int, wait: timedelta) -> None:
    assert SCHEDULE.plain(failures) == wait
    rng = random.Random(failures)
    waits = [wait_after(failures, rng=rng) for _ in range(500)]
    assert all(0.8 * wait <= drawn <= 1.2 * wait for drawn in waits)
    assert min(waits) < 0.85 * wait
    assert max(waits) > 1.15 * wait


def test_the_quarter_hourly_probes_fill_the_first_day_and_no_more() -> None:
    quarter_hours = [n for n in range(1, 300) if SCHEDULE.plain(n) == 15 * MINUTE]
    began, ended = (
        sum((SCHEDULE.plain(n) for n in range(1, edge)), timedelta()) for edge in (5, quarter_hours[-1] + 1)
    )
    assert began < 10 * MINUTE
    assert timedelta(hours=24) <= ended < timedelta(hours=24, minutes=15)


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (timedelta(0), 4 * SECOND, 6 * SECOND),
        (timedelta(seconds=-5), 4 * SECOND, 6 * SECOND),
        (MINUTE, MINUTE, 1.2 * MINUTE),
        (timedelta(days=365), HOUR, 1.2 * HOUR),
    ],
)
def test_retry_after_lengthens_the_wait_up_to_the_cap(asked: timedelta, least: timedelta, most: timedelta) -> None:
    rng = random.Random(7)
    assert all(least <= wait_after(1, rng=rng, retry_after=asked) <= most for _ in range(200))


def test_retry_after_never_shortens_a_wait() -> None:
    rng = random.Random(7)
    assert all(wait_after(101, rng=rng, retry_after=SECOND) >= 48 * MINUTE for _ in range(200))


def test_the_schedule_can_be_set() -> None:
    quick = Schedule(quick=(SECOND,), probe=MINUTE, probe_for=3 * MINUTE, later=10 * MINUTE, jitter=0)
    waits = [wait_after(n, rng=random.Random(1), schedule=quick) for n in range(1, 7)]
    assert waits == [SECOND, MINUTE, MINUTE, MINUTE, 10 * MINUTE, 10 * MINUTE]


def test_there_is_no_wait_without_a_failure() -> None:
    with pytest.raises(ValueError, match="only after a failure"):
        wait_after(0, rng=random.Random(1))
