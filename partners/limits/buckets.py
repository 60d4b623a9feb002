"""The buckets in Valkey: one script, one round trip, Valkey's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from hub import embedded
from partners.core.limits import Charge, Kind, Level

TIMEOUT_SECONDS = 0.1  # a request waits no longer to learn how often its partner has asked
_SCRIPT = Path(__file__).with_name("take.lua").read_text(encoding="utf-8")
_PREFIX = f"heliograph:{settings.HUB_ID}:limit:"
_REFUSED = f"{_PREFIX}refused"
_MICROSECONDS = 1_000_000


def take(owner: str, charges: Sequence[Charge]) -> list[Level]:
    """Take from the owner's buckets, all or nothing; raises redis.RedisError or OSError without an answer in time."""
    keys = [f"{_PREFIX}{{{owner}}}:{charge.kind}" for charge in charges]  # in braces: one slot of a cluster
    asked: list[float] = []
    for charge in charges:
        asked += [_MICROSECONDS / charge.rate.per_second, charge.rate.burst, charge.cost]
    told: list[int] = _take()(keys=keys, args=asked)
    return [
        Level(charge.kind, charge.rate, max(0, left), full_in / _MICROSECONDS, wait / _MICROSECONDS)
        for charge, left, full_in, wait in zip(charges, told[::3], told[1::3], told[2::3], strict=True)
    ]


def count_refusal(kind: Kind) -> None:
    """Note for the monitor that one request was refused; raises as `take` does."""
    _valkey().hincrby(_REFUSED, kind, 1)


def refusals() -> dict[str, int]:
    """How many requests were refused since this Valkey was started, by kind; raises as `take` does."""
    found: Any = _valkey().hgetall(_REFUSED)
    return {name.decode("ascii"): int(count) for name, count in found.items()}


@cache
def _valkey() -> redis.Redis:
    return redis.Redis.from_url(
        embedded.redis_url(settings.BROKER_URL),
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        # Once more, at once: of a Valkey that was restarted every kept connection fails exactly once.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


@cache
def _take() -> Any:  # noqa: ANN401  a Script of redis-py: EVALSHA, and the text only to a Valkey that does not know it
    return _valkey().register_script(_SCRIPT)
