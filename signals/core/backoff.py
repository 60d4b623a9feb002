"""How long a failing endpoint is left alone before the next attempt, and when it counts as failing for good."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """Quick at first, then a probe every `probe` for the time of `probe_for`, then one every `later`, for ever."""

    quick: tuple[timedelta, ...] = (
        timedelta(seconds=5),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=5),
    )
    probe: timedelta = timedelta(minutes=15)
    probe_for: timedelta = timedelta(days=1)
    later: timedelta = timedelta(hours=1)
    jitter: float = 0.2  # a fraction, both ways: endpoints that failed together must not come back together
    retry_after_cap: timedelta = timedelta(hours=1)  # a receiver may ask for rest, not silence itself for a year
    slow: timedelta = timedelta(minutes=1)  # the least after an answer that says "too much": 429, 502, 504

    def plain(self, failures: int) -> timedelta:
        """The wait after that many failures in a row, without jitter. ValueError below one."""
        if failures < 1:
            raise ValueError("There is a wait only after a failure.")
        if failures <= len(self.quick):
            return self.quick[failures - 1]
        spent = sum(self.quick, timedelta()) + self.probe * (failures - len(self.quick) - 1)
        return self.probe if spent < self.probe_for else self.later


SCHEDULE = Schedule()


def wait_after(
    failures: int,
    *,
    rng: random.Random,
    retry_after: timedelta | None = None,
    is_overloaded: bool = False,
    schedule: Schedule = SCHEDULE,
) -> timedelta:
    """How long to wait after `failures` failures in a row, jitter included; ValueError below one.

    `is_overloaded` says that the receiver, or what stands before it, asked for less (429, 502, 504).
    `retry_after` is what the receiver asked for (RFC 9110 §10.2.3). It only lengthens the wait, up to the schedule's
    cap, and then the jitter only adds: nobody who asked for a minute is called after 50 seconds.
    """
    plain = max(schedule.plain(failures), schedule.slow) if is_overloaded else schedule.plain(failures)
    wait = plain * rng.uniform(1 - schedule.jitter, 1 + schedule.jitter)
    if retry_after is None:
        return wait
    asked = min(max(retry_after, timedelta()), schedule.retry_after_cap)
    return max(wait, asked * rng.uniform(1, 1 + schedule.jitter))
