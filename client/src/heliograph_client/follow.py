"""Follow a programme's feed into the local copy, page by page, from wherever the last run was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import Final

from heliograph_client.feed import Filter
from heliograph_client.hub import HubClient, HubProblem
from heliograph_client.store import Applied, Store

# The hub cannot or will not go on from this cursor: begin a new walk, whose `listed` page cleans up the copy.
WALK_AGAIN: Final = frozenset({"cursor-expired", "cursor-invalid", "cursor-filter-changed"})
_IDLE_SECONDS: Final = 1.0


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
    how many seconds (≤ 60) the hub may hold back an empty answer. Raises `MembershipEnded` after erasing the copy,
    and `HubProblem` for everything that asking again will not mend.
    """
    while True:
        cursor = store.cursor(programme, filter=filter)
        asked_at = time.monotonic()
        try:
            page = hub.feed(programme, after=cursor, limit=limit, wait=0 if until_caught_up else wait, filter=filter)
        except HubProblem as problem:
            if problem.code == "membership-ended":
                raise MembershipEnded(programme, _erase(store, programme, problem, at=clock())) from problem
            if problem.code not in WALK_AGAIN or cursor is None:
                raise
            store.forget_cursor(programme)
            continue
        applied = store.apply_page(page, after=cursor, at=clock(), filter=filter)
        yield applied
        if until_caught_up and not page.more:
            return
        if not page.items and not page.more and time.monotonic() - asked_at < _IDLE_SECONDS:
            sleep(_IDLE_SECONDS)  # a hub that answers emptily at once is not to be asked in a tight loop


def _erase(store: Store, programme: str, problem: HubProblem, *, at: datetime) -> int:
    epoch, walk = problem.facts.get("epoch"), problem.facts.get("walk")
    place = (epoch, walk) if isinstance(epoch, int) and isinstance(walk, int) else (0, 0)
    return store.erase(programme, epoch=place[0], walk=place[1], at=at)
