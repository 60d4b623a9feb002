"""The local copy and what was recalled of it: a recall is applied to every channel's entry at once, by revision.

What it removes is remembered, so that an older entry which is still on its way brings nothing back.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from heliograph_client.feed import LIVE_STATES, Item
from heliograph_client.holdings import Entry, Holdings
from heliograph_client.notices import NoticePage

REMEMBER: Final = timedelta(days=120)  # the hub keeps notices and tombstones for 90
_LOWERED: Final = ["investigate"]  # all that may be done with a restricted signal

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS notices_channel (
    channel TEXT PRIMARY KEY, epoch INTEGER NOT NULL, walk INTEGER NOT NULL, cursor TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notice (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recalled (
    programme TEXT NOT NULL, id TEXT NOT NULL, epoch INTEGER NOT NULL, revision INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (programme, id)
) WITHOUT ROWID;
"""


class RecallableHoldings(Holdings):
    """A local copy that can be recalled from; what is below is called within a transaction of `Store`'s."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._db.executescript(_SCHEMA)

    def notice_cursor(self) -> str | None:
        """Where pulling our notices goes on; None for the start."""
        rows = self._rows("SELECT cursor FROM notices_channel WHERE channel = 'notices'")
        return rows[0][0] if rows else None

    def _is_recalled(self, programme: str, epoch: int, item: Item) -> bool:
        """Whether an entry is older than a recall of its signal."""
        row = self._db.execute(
            "SELECT epoch, revision FROM recalled WHERE programme = ? AND id = ?", (programme, item["id"])
        ).fetchone()
        return row is not None and (epoch, item["revision"]) < (row[0], row[1])

    def _recall(self, programme: str, epoch: int, item: Item, *, at: datetime) -> list[tuple[Entry, Entry]]:
        """Apply one recalled entry to every channel that holds an older one: each before and after."""
        is_removal = item["state"] not in LIVE_STATES
        if is_removal:
            self._db.execute(
                "INSERT INTO recalled VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET epoch = excluded.epoch, revision = excluded.revision, at = excluded.at"
                " WHERE (excluded.epoch, excluded.revision) > (epoch, revision)",
                (programme, item["id"], epoch, item["revision"], at.timestamp()),
            )
        changed = []
        for channel, text, reason in self._db.execute(
            "SELECT channel, item, reason FROM entry WHERE programme = ? AND id = ? AND (epoch, revision) < (?, ?)"
            " AND is_live",
            (programme, item["id"], epoch, item["revision"]),
        ).fetchall():
            before = Entry(programme, channel, json.loads(text), reason)
            lowered = {**before.item, **item, "permitted": _LOWERED}
            after = Entry(programme, channel, item if is_removal else lowered, None if is_removal else reason)
            self._db.execute(
                "UPDATE entry SET epoch = ?, revision = ?, is_live = ?, reason = ?, item = ?"
                " WHERE programme = ? AND channel = ? AND id = ?",
                (
                    *(epoch, item["revision"], after.is_live, after.reason, json.dumps(after.item)),
                    *(programme, channel, item["id"]),
                ),
            )
            changed.append((before, after))
        return changed

    def _is_overtaken_by_notices(self, page: NoticePage) -> bool:
        """Whether a later walk of this channel of notices has been seen; else this one is the latest from now on."""
        row = self._db.execute("SELECT epoch, walk FROM notices_channel WHERE channel = ?", (page.channel,)).fetchone()
        if row is not None and page.place < (row[0], row[1]):
            return True
        self._db.execute(
            "INSERT INTO notices_channel (channel, epoch, walk) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET epoch = excluded.epoch, walk = excluded.walk",
            (page.channel, *page.place),
        )
        return False

    def _is_news(self, notice_id: str, *, at: datetime) -> bool:
        """Whether a notice was not told before, by whatever channel; remembered from now on."""
        remembered = self._db.execute("INSERT OR IGNORE INTO notice VALUES (?, ?)", (notice_id, at.timestamp()))
        return remembered.rowcount == 1

    def _forget_old_notices(self, *, at: datetime) -> None:
        for table in ("notice", "recalled"):
            self._db.execute(f"DELETE FROM {table} WHERE at < ?", ((at - REMEMBER).timestamp(),))  # noqa: S608  # a constant
