"""How fast a partner may ask: the kinds of limit, a rate with its burst, and the header fields that tell of both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is counted; also the policies' names in the header fields, and a closed set of labels for the monitor."""

    SUBMIT = "submit"  # requests that hand in statements
    STATEMENTS = "statements"  # what they hand in
    BYTES = "bytes"  # and how long it is, inflated
    READ = "read"  # other requests that change nothing
    MANAGE = "manage"  # and those that change something
    UNAUTHORIZED = "unauthorized"  # requests without a usable key, by client address
    PENDING = "pending"  # submissions that wait to be verified: no rate, but refused and counted like one


_UNITS = {Kind.STATEMENTS: ';qu="statements"', Kind.BYTES: ';qu="content-bytes"'}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second in the long run, and up to `burst` at once."""

    per_second: float
    burst: int

    @property
    def window(self) -> int:
        """Whole seconds in which an empty bucket is full again."""
        return max(1, math.ceil(self.burst / self.per_second))

    def scaled_to(self, per_second: float | None) -> Rate:
        """The same shape at another speed; None leaves it as it is."""
        if per_second is None:
            return self
        burst = self.burst * per_second / self.per_second
        return Rate(per_second, max(1, math.ceil(per_second), round(burst)))


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """The limits that an operator gave one partner; None: those of the settings."""

    requests_per_second: int | None = None
    statements_per_second: int | None = None
    max_pending_submissions: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What one request takes of one bucket. One that takes more than fits waits for a full bucket and empties it."""

    kind: Kind
    rate: Rate
    cost: int


@dataclass(frozen=True, slots=True)
class Level:
    """How a bucket stands after a request: `left` units, full again in `full_in` seconds.

    `retry_after` is how many seconds are missing for what was asked; 0 when it was admitted.
    """

    kind: Kind
    rate: Rate
    left: int
    full_in: float
    retry_after: float = 0.0


def seconds_to_wait(levels: Iterable[Level]) -> int:
    """Whole seconds, rounded up, until all of it would be admitted; 0 when it was."""
    return math.ceil(max((level.retry_after for level in levels), default=0.0))


def header_fields(levels: Iterable[Level]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11): lists of one item a policy.

    `q` units fit a window of `w` seconds; `r` are left, and `t` seconds from now nothing is missing any more.
    """
    known = list(levels)
    if not known:
        return {}
    policies = (f'"{each.kind}";q={each.rate.burst};w={each.rate.window}{_UNITS.get(each.kind, "")}' for each in known)
    standing = (f'"{each.kind}";r={each.left};t={math.ceil(each.full_in)}' for each in known)
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(standing)}
