"""What the hub tells us alone: a page or webhook batch of notices, read strictly, and how to follow them.

A recall names signals that are removed, at once and ahead of their programme's feed; the store applies it to every
copy it holds (`heliograph_client.recalls`). Kinds that this version does not know are handed on as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from heliograph_client.feed import Item, PageProblem, split_lines
from heliograph_client.transport import HubProblem
from heliograph_client.wire import Json

if TYPE_CHECKING:
    from heliograph_client.hub import HubClient
    from heliograph_client.store import Applied, Store

RECALL: Final = "recall"
WALK_AGAIN: Final = frozenset({"cursor-expired", "cursor-invalid"})
_IDLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing told. `id` is the same whenever it is told again."""

    id: str
    kind: str
    at: str
    facts: Mapping[str, Json]

    @property
    def recalled(self) -> tuple[Item, ...]:
        """The entries of a recall, each with `id`, `revision` and `state`; of anything else none."""
        return tuple(self.facts["signals"]) if self.kind == RECALL else ()


@dataclass(frozen=True, slots=True)
class NoticePage:
    """Notices in the order in which they were posted, and the place they came from."""

    channel: str
    epoch: int
    walk: int
    more: bool
    items: tuple[Notice, ...]
    next: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Which walk this belongs to; a later walk has the greater pair."""
        return self.epoch, self.walk


def read_notices(document: Mapping[str, Json]) -> NoticePage:
    """A JSON page or a webhook's batch. `PageProblem` when a member is missing or of the wrong kind."""
    items = document.get("items")
    if not isinstance(items, list):
        raise PageProblem("a page has a list of items")
    return _page(document, items)


def read_notice_lines(body: bytes) -> NoticePage:
    """An NDJSON page. `PageProblem` when its last line is missing: cut short."""
    return _page(*split_lines(body))


def _page(head: Mapping[str, Json], items: list[Json]) -> NoticePage:
    kinds: dict[str, type] = {"channel": str, "epoch": int, "walk": int}
    for name, kind in kinds.items():
        if type(head.get(name)) is not kind:
            raise PageProblem(f"a page's `{name}` is of type {kind.__name__}")
    if not isinstance(head.get("next"), (str, type(None))):
        raise PageProblem("a page's `next` is text")
    values = {name: head[name] for name in kinds}
    return NoticePage(**values, more=head.get("more") is True, items=tuple(map(_notice, items)), next=head.get("next"))


def _notice(item: Json) -> Notice:
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in ("id", "kind", "at")):
        raise PageProblem("a notice has an id, a kind and a time")
    facts = item.get("facts")
    if not isinstance(facts, dict):
        raise PageProblem("a notice has facts")
    if item["kind"] == RECALL:
        _check_recall(facts)
    return Notice(item["id"], item["kind"], item["at"], facts)


def _check_recall(facts: Mapping[str, Json]) -> None:
    signals = facts.get("signals")
    is_placed = isinstance(facts.get("programme"), str) and type(facts.get("epoch")) is int
    if not is_placed or not isinstance(signals, list):
        raise PageProblem("a recall names its programme, its epoch and its signals")
    for entry in signals:
        is_named = isinstance(entry, dict) and isinstance(entry.get("id"), str) and isinstance(entry.get("state"), str)
        if not is_named or type(entry.get("revision")) is not int:
            raise PageProblem("a recalled signal has an id, a revision and a state")


def follow_notices(
    hub: HubClient,
    store: Store,
    *,
    wait: int = 30,
    limit: int = 200,
    until_caught_up: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Applied]:
    """Pull our notices, apply their recalls, yield what each page told and changed; for ever, or until caught up.

    Resumable at any moment: a page, its effects and the cursor after it are stored in one transaction. What was told
    before is not yielded again. Raises `HubProblem` for everything that asking again will not mend.
    """
    while True:
        cursor = store.notice_cursor()
        asked_at = time.monotonic()
        try:
            page = hub.notices(after=cursor, limit=limit, wait=0 if until_caught_up else wait)
        except HubProblem as problem:
            if problem.code not in WALK_AGAIN or cursor is None:
                raise
            store.forget_notice_cursor()
            continue
        yield store.apply_notices(page, after=cursor, at=clock())
        if until_caught_up and not page.more:
            return
        if not page.items and not page.more and time.monotonic() - asked_at < _IDLE_SECONDS:
            sleep(_IDLE_SECONDS)  # a hub that answers emptily at once is not to be asked in a tight loop
