"""Follow a programme's feed into the local copy, page by page, from wherever the last run was stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Final

from heliograph_client.feed import Filter, Page
from heliograph_client.hub import HubClient, HubProblem
from heliograph_client.store import Applied, Store

# The hub cannot or will not go on from this cursor: begin a new walk, whose `listed` page cleans up the copy.
WALK_AGAIN: Final = frozenset({"cursor-expired", "cursor-invalid", "cursor-filter-changed"})
_IDLE_SECONDS: Final = 1.0
_ACKNOWLEDGE_SECONDS: Final = 5.0


class MembershipEnded(Exception):
    """We are no longer a member of the programme, and everything we held of it has been erased."""

    def __init__(self, programme: str, erased: int) -> None:
        super().__init__(f"the membership in {programme} has ended; {erased} entries were erased")
        self.programme = programme
        self.erased = erased


def follow(
    hub: HubClient,
    programme: str,
    store: Store,
    *,
    wait: int = 30,
    limit: int = 1_000,
    filter: Filter = Filter(),  # noqa: A002, B008  # the design's word; a frozen value
    until_caught_up: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Applied]:
    """Pull, store, yield what each page changed; for ever, or until there is no more with `until_caught_up`.

    Resumable at any moment, kill -9 included: a page and the cursor after it are stored in one transaction. `wait` is
    how many seconds (≤ 60) the hub may hold back an empty answer. What is stored is acknowledged to the hub when there
    is no more, every few seconds at most. Raises `MembershipEnded` after erasing the copy, and `HubProblem` for
    everything that asking again will not mend.
    """
    acknowledging = _Acknowledging(hub, programme)
    while True:
        cursor = store.cursor(programme, filter=filter)
        asked_at = time.monotonic()
        waits = 0 if until_caught_up else acknowledging.wait_at_most(wait)
        try:
            page = hub.feed(programme, after=cursor, limit=limit, wait=waits, filter=filter)
        except HubProblem as problem:
            if problem.code == "membership-ended":
                raise MembershipEnded(programme, _erase(store, programme, problem, at=clock())) from problem
            if problem.code not in WALK_AGAIN or cursor is None:
                raise
            store.forget_cursor(programme)
            continue
        applied = store.apply_page(page, after=cursor, at=clock(), filter=filter)
        acknowledging.stored(page, applied)
        yield applied
        if until_caught_up and not page.more:
            return
        if not page.items and not page.more and time.monotonic() - asked_at < _IDLE_SECONDS:
            sleep(_IDLE_SECONDS)  # a hub that answers emptily at once is not to be asked in a tight loop


class _Acknowledging:
    """Tells the hub how far the copy is: at the end of a catch-up, then for news, every few seconds at most.

    Failing is no harm: the next acknowledgement stands for all before it, and whatever is wrong the feed says too.
    """

    def __init__(self, hub: HubClient, programme: str) -> None:
        self._hub, self._programme = hub, programme
        self._has_news = True  # whoever ran before us may have been stopped between storing and saying so
        self._said_at: float | None = None

    def stored(self, page: Page, applied: Applied) -> None:
        """A page is in the copy, and its cursor with it."""
        if applied.is_overtaken or page.next is None:
            return
        self._has_news = self._has_news or bool(page.items) or page.listed
        if page.more or not self._has_news or self._seconds_left() > 0:
            return
        self._said_at = time.monotonic()
        try:
            self._hub.acknowledge(self._programme, page.next)
        except HubProblem:
            return
        self._has_news = False

    def wait_at_most(self, seconds: int) -> int:
        """How long the next answer may take, so that what is to be said is said in time."""
        return min(seconds, math.ceil(self._seconds_left())) if self._has_news else seconds

    def _seconds_left(self) -> float:
        return 0.0 if self._said_at is None else max(0.0, self._said_at + _ACKNOWLEDGE_SECONDS - time.monotonic())


def _erase(store: Store, programme: str, problem: HubProblem, *, at: datetime) -> int:
    epoch, walk = problem.facts.get("epoch"), problem.facts.get("walk")
    place = (epoch, walk) if isinstance(epoch, int) and isinstance(walk, int) else (0, 0)
    return store.erase(programme, epoch=place[0], walk=place[1], at=at)
