"""The local copy of a feed, written: a page, its effects and its cursor are stored together or not at all.

The rules for applying (the hub's design, §3 rule 8), each a method of its own below:

- a page or batch of an older walk is ignored (`_is_overtaken`);
- an entry that is not newer than the one held is ignored, and removed entries are remembered for that (`_is_newer`);
- the page that says `listed` drops what its walk did not list (`_drop_unlisted`);
- a webhook-id is recorded only together with its effects, and a cursor only together with its page (one transaction).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from heliograph_client.feed import Filter, Item, Page, is_live
from heliograph_client.holdings import PULL, Channel, Entry
from heliograph_client.notices import Notice, NoticePage
from heliograph_client.recalls import RecallableHoldings

__all__ = ["NOT_CHECKED", "PULL", "Applied", "Change", "Channel", "Entry", "Judge", "Store"]

NOT_CHECKED: Final = "not-checked"
REMEMBER_WEBHOOKS: Final = timedelta(days=14)  # the hub's retries end after some four days

Judge = Callable[[str, Item], str | None]
"""Given the programme and a live entry: None when its author's signature is good, else the reason why not."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that became different: `before` is None when it is new, `after` when it is gone."""

    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a page or batch did. `is_overtaken`: nothing, a later walk has begun; `is_repeated`: its id was known.

    `notices` are those of a page of notices that were not told before.
    """

    changes: tuple[Change, ...] = ()
    ignored: int = 0
    more: bool = False
    listed: bool = False
    is_overtaken: bool = False
    is_repeated: bool = False
    notices: tuple[Notice, ...] = ()


class Store(RecallableHoldings):
    """A local copy that pages and batches are applied to.

    `on_change` is called with the changes of a page before they are committed: if it raises, nothing is stored and
    the page will come again, so that whatever it does happens at least once.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        judge: Judge | None = None,
        on_change: Callable[[tuple[Change, ...]], None] | None = None,
    ) -> None:
        super().__init__(path)
        self._judge, self._on_change = judge, on_change

    # --- applying -------------------------------------------------------------------------------------------------

    def apply_page(self, page: Page, *, after: str | None, at: datetime, filter: Filter = Filter()) -> Applied:  # noqa: A002, B008
        """Store a pulled page and its `next` cursor together. `after` is the cursor it was asked for with."""
        reasons = self._judge_all(page)
        with self._transaction():
            applied = self._apply(page, reasons, at=at)
            if not applied.is_overtaken and (after is None or after == self._stored_cursor(page)):
                asked = json.dumps(filter.query())
                place = (page.next, asked, page.programme, page.channel)
                self._db.execute("UPDATE channel SET cursor = ?, filter = ? WHERE programme = ? AND channel = ?", place)
            self._announce(applied)
        return applied

    def apply_notices(self, page: NoticePage, *, after: str | None, at: datetime) -> Applied:
        """Store a pulled page of our notices, what it recalls and its `next` cursor together."""
        with self._transaction():
            applied = self._apply_notices(page, at=at)
            if not applied.is_overtaken:
                self._db.execute(
                    "UPDATE notices_channel SET cursor = ?1 WHERE channel = ?2 AND cursor IS ?3",
                    (page.next, page.channel, after),
                )
            self._announce(applied)
        return applied

    def apply_notice_batch(self, batch: NoticePage, *, webhook_id: str, at: datetime) -> Applied:
        """Store a webhook's batch of notices, what it recalls and its id together."""
        with self._transaction():
            is_repeated = self._remember_webhook(webhook_id, at=at)
            applied = replace(self._apply_notices(batch, at=at), is_repeated=is_repeated)
            self._announce(applied)
        return applied

    def _apply_notices(self, page: NoticePage, *, at: datetime) -> Applied:
        if self._is_overtaken_by_notices(page):
            return Applied(is_overtaken=True)
        changes = [
            Change(before, after)
            for notice in page.items
            for entry in notice.recalled
            for before, after in self._recall(notice.facts["programme"], notice.facts["epoch"], entry, at=at)
        ]
        news = tuple(notice for notice in page.items if self._is_news(notice.id, at=at))
        self._forget_old_notices(at=at)
        return Applied(tuple(changes), len(page.items) - len(news), page.more, notices=news)

    def _remember_webhook(self, webhook_id: str, *, at: datetime) -> bool:
        """Whether its id was stored already."""
        self._db.execute("DELETE FROM webhook WHERE at < ?", ((at - REMEMBER_WEBHOOKS).timestamp(),))
        stored = self._db.execute("INSERT OR IGNORE INTO webhook VALUES (?, ?)", (webhook_id, at.timestamp()))
        return stored.rowcount == 0

    def apply_batch(self, batch: Page, *, webhook_id: str, at: datetime) -> Applied:
        """Store a webhook's batch and its id together.

        A batch whose id is stored already is applied again, which changes nothing if it is the same: to skip it would
        be to lose what a retry, rendered anew, holds beyond the attempt that got through.
        """
        reasons = self._judge_all(batch)
        with self._transaction():
            is_repeated = self._remember_webhook(webhook_id, at=at)
            applied = replace(self._apply(batch, reasons, at=at), is_repeated=is_repeated)
            self._announce(applied)
        return applied

    def _apply(self, page: Page, reasons: dict[str, str | None], *, at: datetime) -> Applied:
        if self._is_overtaken(page):
            return Applied(is_overtaken=True)
        self._db.execute(
            "INSERT INTO channel (programme, channel, epoch, walk, applied_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET epoch = excluded.epoch, walk = excluded.walk, is_ended = 0,"
            " applied_at = excluded.applied_at",
            (page.programme, page.channel, *page.place, at.timestamp()),
        )
        changes, ignored = [], 0
        for item in page.items:
            change = self._apply_item(page, item, reasons.get(item["id"]))
            ignored += change is None
            changes += [change] if change is not None else []
        if page.listed:
            changes += self._drop_unlisted(page)
        return Applied(tuple(changes), ignored, page.more, page.listed)

    def _apply_item(self, page: Page, item: Item, reason: str | None) -> Change | None:
        if self._is_recalled(page.programme, page.epoch, item):
            return None  # it was on its way when the hub recalled it
        key = (page.programme, page.channel, item["id"])
        row = self._db.execute(
            "SELECT epoch, revision, reason, item FROM entry WHERE programme = ? AND channel = ? AND id = ?", key
        ).fetchone()
        if row is not None and not self._is_newer(page, item, held=(row[0], row[1])):
            # Not news, but this walk has listed it: it must survive the page that says `listed`.
            listed = "UPDATE entry SET listed_epoch = ?, listed_walk = ? WHERE programme = ? AND channel = ? AND id = ?"
            self._db.execute(listed, (*page.place, *key))
            return None
        self._db.execute(
            "INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, page.epoch, item["revision"], *page.place, is_live(item), reason, json.dumps(item)),
        )
        before = None if row is None else Entry(page.programme, page.channel, json.loads(row[3]), row[2])
        return Change(before, Entry(page.programme, page.channel, item, reason))

    # --- the rules ------------------------------------------------------------------------------------------------

    def _is_overtaken(self, page: Page) -> bool:
        """Whether a later walk has been seen on this channel, or this very walk was ended by "erase all"."""
        row = self._db.execute(
            "SELECT epoch, walk, is_ended FROM channel WHERE programme = ? AND channel = ?",
            (page.programme, page.channel),
        ).fetchone()
        if row is None:  # a channel first heard of after the programme was erased: its number tells
            return page.place <= self._erased_at(page.programme)
        return page.place < (row[0], row[1]) or (page.place == (row[0], row[1]) and bool(row[2]))

    def _is_newer(self, page: Page, item: Item, *, held: tuple[int, int]) -> bool:
        """Whether an entry is newer than the one held. Revisions count within an epoch: a restored hub counts anew."""
        return (page.epoch, item["revision"]) > held

    def _drop_unlisted(self, page: Page) -> list[Change]:
        """Drop everything, tombstones too, that this walk did not list: the hub no longer has it for us."""
        unlisted = "programme = ? AND channel = ? AND (listed_epoch, listed_walk) <> (?, ?)"
        place = (page.programme, page.channel, *page.place)
        rows = self._db.execute(f"SELECT item, reason FROM entry WHERE {unlisted} AND is_live", place).fetchall()  # noqa: S608
        self._db.execute(f"DELETE FROM entry WHERE {unlisted}", place)  # noqa: S608  # a constant of two lines above
        return [Change(Entry(page.programme, page.channel, json.loads(item), reason), None) for item, reason in rows]

    # --- ending ---------------------------------------------------------------------------------------------------

    def erase(self, programme: str, *, epoch: int, walk: int, at: datetime) -> int:
        """Erase what every walk of a programme up to this one brought, and refuse its late batches; how many entries.

        What the hub demands when a membership ends. A later walk belongs to a membership that has begun since.
        """
        upto = "programme = ?1 AND (epoch, walk) <= (?2, ?3)"
        with self._transaction():
            gone = self._db.execute(
                "DELETE FROM entry WHERE programme = ?1"  # noqa: S608  # a constant of three lines above
                f" AND channel IN (SELECT channel FROM channel WHERE {upto})",
                (programme, epoch, walk),
            ).rowcount
            self._db.execute("DELETE FROM recalled WHERE programme = ?", (programme,))
            self._db.execute(
                "INSERT OR IGNORE INTO channel (programme, channel, epoch, walk, applied_at) VALUES (?, ?, ?, ?, ?)",
                (programme, PULL, epoch, walk, at.timestamp()),
            )
            self._db.execute(
                f"UPDATE channel SET is_ended = 1, cursor = NULL, epoch = ?2, walk = ?3 WHERE {upto}",  # noqa: S608
                (programme, epoch, walk),
            )
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return gone

    def _erased_at(self, programme: str) -> tuple[int, int]:
        row = self._db.execute(
            "SELECT epoch, walk FROM channel WHERE programme = ? AND is_ended ORDER BY epoch DESC, walk DESC LIMIT 1",
            (programme,),
        ).fetchone()
        return (-1, -1) if row is None else (row[0], row[1])

    # --- the cursor -----------------------------------------------------------------------------------------------

    def forget_cursor(self, programme: str) -> None:
        """Begin a new walk next time. The copy stays until that walk's `listed` page says what to drop."""
        with self._transaction():
            self._db.execute("UPDATE channel SET cursor = NULL WHERE programme = ? AND channel = ?", (programme, PULL))

    def forget_notice_cursor(self) -> None:
        """Begin with the oldest notice kept next time; what was told before is known by its id."""
        with self._transaction():
            self._db.execute("UPDATE notices_channel SET cursor = NULL")

    def _stored_cursor(self, page: Page) -> str | None:
        row = self._db.execute(
            "SELECT cursor FROM channel WHERE programme = ? AND channel = ?", (page.programme, page.channel)
        ).fetchone()
        return None if row is None else row[0]

    # --- judging and announcing -----------------------------------------------------------------------------------

    def _judge_all(self, page: Page) -> dict[str, str | None]:
        """Why each live entry is not to be trusted. Before the transaction: a judge may ask the hub."""
        if self._judge is None:
            return {item["id"]: NOT_CHECKED for item in page.items if is_live(item)}
        return {item["id"]: self._judge(page.programme, item) for item in page.items if is_live(item)}

    def rejudge(self) -> int:
        """Judge every live entry afresh, after keys were pinned or disowned; how many changed their standing."""
        if self._judge is None:
            return 0
        changes = []
        for entry in list(self._every_live_entry()):
            reason = self._judge(entry.programme, entry.item)
            if reason != entry.reason:
                changes.append(Change(entry, Entry(entry.programme, entry.channel, entry.item, reason)))
        with self._transaction():
            for change in changes:
                self._store_reason(change)
            self._announce(Applied(tuple(changes)))
        return len(changes)

    def _every_live_entry(self) -> Iterator[Entry]:
        for channel in self.channels():
            yield from self.live(channel.programme, channel=channel.channel, include_unverified=True)

    def _store_reason(self, change: Change) -> None:
        """Only if the same revision is still held: a newer one was judged when it came."""
        entry = change.after
        if entry is not None:
            self._db.execute(
                "UPDATE entry SET reason = ?"
                " WHERE programme = ? AND channel = ? AND id = ? AND revision = ? AND is_live",
                (entry.reason, entry.programme, entry.channel, entry.id, entry.item["revision"]),
            )

    def _announce(self, applied: Applied) -> None:
        if self._on_change is not None and applied.changes:
            self._on_change(applied.changes)
