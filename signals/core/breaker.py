"""The circuit breaker of an endpoint: when the hub stops sending batches to a dead receiver, and how it asks again.

Closed: batches go out, and a few quick retries. Open: nothing goes out until the schedule's next probe is due.
Half-open: that probe is on its way, a small batch; its answer closes the breaker or opens it again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from signals.core.backoff import Schedule

PROBE_SIZE: Final = 10  # signals in a probe: enough to be real work, too few to hurt a receiver that just came back


class Breaker(StrEnum):
    """Stored with the endpoint, so that every process and every restart agrees."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


def after_failure(failures: int, *, schedule: Schedule) -> Breaker:
    """Where the breaker stands after that many failures in a row: open once the quick retries are used up."""
    return Breaker.OPEN if failures > len(schedule.quick) else Breaker.CLOSED
