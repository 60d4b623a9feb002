"""Which keys fall with a compromised one: everything it endorsed since, and everything those endorsed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Sponsored:
    """A key, who endorsed it (a key's id, None: an operator), and when it became active."""

    id: int
    endorsed_by: int | None
    activated_at: datetime | None


def fallen(key_id: int, *, compromised_at: datetime | None, keys: Iterable[Sponsored]) -> dict[int, datetime | None]:
    """Each fallen key's id with the moment since when nothing under it counts (None: since ever).

    An endorsed key that falls was never its partner's for sure, so for it that moment is the beginning of time. A key
    that an operator let in stands on its own.
    """
    endorsed: dict[int, list[Sponsored]] = {}
    for key in keys:
        if key.endorsed_by is not None:
            endorsed.setdefault(key.endorsed_by, []).append(key)
    falls: dict[int, datetime | None] = {key_id: compromised_at}
    waiting = [key_id]
    while waiting:
        sponsor = waiting.pop()
        since = falls[sponsor]
        for key in endorsed.get(sponsor, ()):
            is_after = since is None or key.activated_at is None or key.activated_at >= since
            if is_after and key.id not in falls:
                falls[key.id] = None
                waiting.append(key.id)
    return falls
