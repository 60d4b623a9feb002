"""A reader that follows a feed by the rules, in thirty lines, and remembers everything it was ever shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signals import queries
from signals.core.refusals import CursorExpired, CursorFilterChanged, MembershipEnded, MembershipSuspended, NotFound
from signals.lifecycle.disclose import read_page, reader_of
from signals.lifecycle.walk import open_cursor, seal_cursor, start_walk
from tests.companies import Company, now

LIVE = {"published", "restricted"}
Document = Mapping[str, Any]


@dataclass
class Copy:
    """What a partner holds of one channel: pages and batches applied by revision, walk and epoch (rule 8)."""

    place: tuple[int, int] = (0, 0)
    entries: dict[str, tuple[tuple[int, int], Document]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # in this walk
    shown: list[Document] = field(default_factory=list)  # every item ever received

    def apply(self, page: Document) -> None:
        place = (page["epoch"], page["walk"])
        self.shown += page["items"]
        if place < self.place:
            return
        if place > self.place:
            self.place, self.seen = place, set()
        for item in page["items"]:
            self.seen.add(item["id"])
            rank = (page["epoch"], item["revision"])
            if item["id"] not in self.entries or self.entries[item["id"]][0] < rank:
                self.entries[item["id"]] = (rank, item)
        if page["listed"]:
            self.entries = {identity: entry for identity, entry in self.entries.items() if identity in self.seen}

    def erase(self) -> None:
        self.entries = {}

    @property
    def live(self) -> dict[str, str]:
        """The JWS of everything in force, by signal."""
        return {key: item["jws"] for key, (_, item) in self.entries.items() if item["state"] in LIVE}

    @property
    def values_shown(self) -> set[str]:
        """The signals of which it was ever shown a value."""
        return {item["id"] for item in self.shown if "indicator" in item}


@dataclass
class Follower:
    """One company that pulls one programme, with a cursor stored beside its copy."""

    company: Company
    programme: str
    filter: Mapping[str, object] = field(default_factory=dict)
    copy: Copy = field(default_factory=Copy)
    cursor: str | None = None

    def pull(self, *, limit: int = 200) -> Document | None:
        """Read and apply one page; None when there is none for it: not a member, suspended, left, or to walk again."""
        at = now()
        try:
            member = queries.reading_member(self.company.caller, self.programme, at=at)
            if self.cursor is None:
                place = start_walk(member, channel="pull", filter=self.filter, at=at)
            else:
                place = open_cursor(self.cursor, member=member, channel="pull", filter=self.filter)
            page = read_page(place, reader=reader_of(member), limit=limit, at=at)
        except (CursorExpired, CursorFilterChanged):
            self.cursor = None
            return None
        except MembershipEnded:
            self.cursor = None
            self.copy.erase()
            return None
        except (NotFound, MembershipSuspended):
            return None
        walk = page.place.walk
        facts = {"epoch": walk.epoch, "walk": walk.pk, "listed": page.listed, "more": page.more}
        document = {**facts, "items": [json.loads(item) for item in page.items]}
        self.copy.apply(document)
        self.cursor = seal_cursor(page.place)
        return document

    def catch_up(self, *, limit: int = 200) -> Copy:
        """Pull until there is no more."""
        for _ in range(10_000):
            page = self.pull(limit=limit)
            if page is None and self.cursor is None and self._may_read():
                continue  # told to walk again
            if page is None or not page["more"]:
                return self.copy
        raise AssertionError("The feed never ends.")

    def rewalk(self) -> None:
        """Forget the cursor; the copy stays until the new walk has listed everything."""
        self.cursor = None

    def _may_read(self) -> bool:
        try:
            queries.reading_member(self.company.caller, self.programme, at=now())
        except (NotFound, MembershipEnded, MembershipSuspended):
            return False
        return True
