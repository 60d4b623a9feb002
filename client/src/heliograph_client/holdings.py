"""The local copy of a feed, read: what is live, what is trusted, and how far each channel has come.

One SQLite file, mode 0600, that erases what it deletes. `heliograph_client.store` is what writes to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heliograph_client.feed import Filter, Item, is_live
from heliograph_client.wire import Json

if TYPE_CHECKING:
    from typing_extensions import Self  # typing.Self is younger than Python 3.10

PULL: Final = "pull"
_CHUNK: Final = 500

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS channel (
    programme TEXT NOT NULL, channel TEXT NOT NULL,
    epoch INTEGER NOT NULL, walk INTEGER NOT NULL, is_ended INTEGER NOT NULL DEFAULT 0,
    filter TEXT, cursor TEXT, applied_at REAL NOT NULL,
    PRIMARY KEY (programme, channel)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    programme TEXT NOT NULL, channel TEXT NOT NULL, id TEXT NOT NULL,
    epoch INTEGER NOT NULL, revision INTEGER NOT NULL,
    listed_epoch INTEGER NOT NULL, listed_walk INTEGER NOT NULL,
    is_live INTEGER NOT NULL, reason TEXT, item TEXT NOT NULL,
    PRIMARY KEY (programme, channel, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS entry_in_order ON entry (programme, id);
CREATE INDEX IF NOT EXISTS entry_by_id ON entry (id);
CREATE TABLE IF NOT EXISTS webhook (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A signal as the hub last described it. `reason` is None only when its author's signature was verified."""

    programme: str
    channel: str
    item: Item
    reason: str | None

    @property
    def id(self) -> str:
        """The hub's identifier of the signal."""
        return str(self.item["id"])

    @property
    def is_live(self) -> bool:
        """False for a tombstone."""
        return is_live(self.item)

    @property
    def is_verified(self) -> bool:
        """Whether the author's signature was verified against a pinned key."""
        return self.is_live and self.reason is None

    @property
    def signal(self) -> dict[str, Json]:
        """What the author signed, decoded; empty for a tombstone."""
        return dict(self.item.get("signal") or {})

    @property
    def permitted(self) -> tuple[str, ...]:
        """The actions allowed now, which for a restricted signal are fewer than its author allowed."""
        return tuple(self.item.get("permitted") or ())


@dataclass(frozen=True, slots=True)
class Channel:
    """How far one channel has come. `is_ended`: the membership ended and the copy was erased."""

    programme: str
    channel: str
    epoch: int
    walk: int
    is_ended: bool
    applied_at: datetime
    live: int
    unverified: int


class Holdings:
    """A local copy in one file, or in memory (`":memory:"`). Safe for several threads and processes."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        if str(path) != ":memory:":
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))  # what is inside is nobody else's business
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA secure_delete = ON")  # an erased value leaves the file too
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def live(
        self, programme: str | None = None, *, channel: str | None = None, include_unverified: bool = False
    ) -> Iterator[Entry]:
        """Every signal to act on now, by programme and id; only those whose author was verified unless asked otherwise.

        Without `channel`, channels are read as one copy: of each signal the newest revision any of them has brought.
        """
        after = ("", "")
        while rows := self._live_rows(after, programme, channel):
            for in_programme, in_channel, _, item, reason in rows:
                if include_unverified or reason is None:
                    yield Entry(in_programme, in_channel, json.loads(item), reason)
            after = (rows[-1][0], rows[-1][2])

    def _live_rows(self, after: tuple[str, str], programme: str | None, channel: str | None) -> list[tuple[str, ...]]:
        """The next chunk in order of programme and id, one row for each, so that no lock is held while it is used."""
        return self._rows(
            "SELECT e.programme, min(e.channel), e.id, e.item, e.reason FROM entry e"
            " WHERE e.is_live AND (e.programme, e.id) > (?1, ?2)"
            " AND (?3 IS NULL OR e.programme = ?3) AND (?4 IS NULL OR e.channel = ?4)"
            " AND NOT EXISTS (SELECT 1 FROM entry o WHERE o.programme = e.programme AND o.id = e.id"
            "   AND (?4 IS NULL OR o.channel = ?4)"
            "   AND (o.epoch, o.revision, NOT o.is_live) > (e.epoch, e.revision, 0))"
            " GROUP BY e.programme, e.id ORDER BY e.programme, e.id LIMIT ?5",
            (*after, programme, channel, _CHUNK),
        )

    def entry(self, signal_id: str, *, channel: str | None = None) -> Entry | None:
        """The newest we hold about one signal, a tombstone too; None when we hold nothing."""
        rows = self._rows(
            "SELECT programme, channel, item, reason FROM entry WHERE id = ?1 AND (?2 IS NULL OR channel = ?2)"
            " ORDER BY epoch DESC, revision DESC, is_live, channel LIMIT 1",
            (signal_id, channel),
        )
        return Entry(rows[0][0], rows[0][1], json.loads(rows[0][2]), rows[0][3]) if rows else None

    def channels(self) -> list[Channel]:
        """Every channel that has brought anything."""
        rows = self._rows(
            "SELECT programme, channel, epoch, walk, is_ended, applied_at,"
            " (SELECT count(*) FROM entry e WHERE e.programme = c.programme AND e.channel = c.channel AND is_live),"
            " (SELECT count(*) FROM entry e WHERE e.programme = c.programme AND e.channel = c.channel AND is_live"
            "  AND reason IS NOT NULL) FROM channel c ORDER BY programme, channel"
        )
        return [
            Channel(
                name, channel, epoch, walk, bool(ended), datetime.fromtimestamp(at, tz=timezone.utc), live, doubtful
            )
            for name, channel, epoch, walk, ended, at, live, doubtful in rows
        ]

    def cursor(self, programme: str, *, filter: Filter = Filter()) -> str | None:  # noqa: A002, B008
        """Where pulling goes on; None for a new walk, also when the filter is another one than before."""
        rows = self._rows("SELECT cursor, filter FROM channel WHERE programme = ? AND channel = ?", (programme, PULL))
        return rows[0][0] if rows and rows[0][1] == json.dumps(filter.query()) else None

    def _rows(self, question: str, values: tuple[Json, ...] = ()) -> list[Json]:
        with self._lock:  # one connection: without this, another thread's unfinished page would be seen
            return self._db.execute(question, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
