"""Take from a bucket, wherever the buckets are at the moment: in Valkey, or in PostgreSQL while Valkey is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import redis
from django.db import DatabaseError

from partners.core.limits import Charge, Kind, Level
from partners.limits import buckets, windows

logger = logging.getLogger(__name__)

REST_SECONDS = 2.0  # after a failure Valkey is left alone: else each request would pay its time-out
_T = TypeVar("_T")


class Way:
    """To Valkey, or round it for a while after a failure. One per process."""

    def __init__(self) -> None:
        self._rests_until = 0.0

    def either(self, ask: Callable[[], _T], otherwise: Callable[[], _T]) -> _T:
        """What Valkey says; without it, what the database says."""
        if time.monotonic() >= self._rests_until:
            try:
                return ask()
            except (redis.RedisError, OSError) as error:
                self._rests_until = time.monotonic() + REST_SECONDS
                logger.warning("limits.without_valkey", extra={"reason": type(error).__name__})
        return otherwise()

    def forget(self) -> None:
        """Begin anew, as a new process does."""
        self._rests_until = 0.0


way = Way()


def take(owner: str, charges: Sequence[Charge], *, slot: str = "") -> list[Level]:
    """Take from the owner's buckets, all or nothing. `slot` is the owner's name in the database, where names stay."""
    return way.either(lambda: buckets.take(owner, charges), lambda: windows.take(slot or owner, charges))


def count_refusal(kind: Kind) -> None:
    """Note for the monitor that one request was refused."""
    way.either(lambda: buckets.count_refusal(kind), lambda: windows.count_refusal(kind))


def refusals() -> dict[Kind, int]:
    """How many requests were refused, by kind; what cannot be asked at the moment counts as none."""
    counts = dict.fromkeys(Kind, 0)
    for ask in (buckets.refusals, windows.refusals):
        try:
            found = ask()
        except (redis.RedisError, OSError, DatabaseError):
            continue
        for kind in Kind:
            counts[kind] += found.get(kind, 0)
    return counts
