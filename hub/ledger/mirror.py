"""What a restored backup forgets, kept outside the database: epoch, tree size, root, and the leaves to apply again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import msgspec
from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from hub.ledger import leaf
from hub.ledger.leaf import Leaf

Said: TypeAlias = "tuple[int, bytes]"  # a leaf's index and its exact bytes


class Remembered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The state file: how far the ledger had come when the sequencer last wrote here. Hashes are hex."""

    v: int
    epoch: int
    size: int
    root: str
    last: str  # hash of the newest leaf; its nonce makes it unlike that of any other history


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the database has all that the mirror remembers; while it has not, nothing may be served."""

    is_behind: bool
    sentence: str
    epoch: int  # the database's
    size: int  # the database's


class Mirror:
    """The folder that holds the state file and the journal. One sequencer writes, anybody may read."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = settings.MIRROR_DIR if folder is None else folder
        self.state_file = self.folder / "state.json"
        self.journal_file = self.folder / "journal"

    def read(self) -> Remembered | None:
        """What the state file says; None where there is none. Raises ValueError for a file that is not ours."""
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=Remembered)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise ValueError(f"{self.state_file} is not a mirror's state: {error}") from error

    def journal(self, after_size: int = 0) -> Iterator[tuple[int, Leaf]]:
        """The mirrored leaves with an index of `after_size` or more, in order: what a tree of that size lacks."""
        for index, entry in self._lines():
            if index >= after_size:
                yield index, leaf.decode(entry)

    def write(self, state: Remembered, leaves: Iterable[Said]) -> None:
        """Add `leaves` to the journal, then replace the state; both are on disk when this returns.

        A leaf that the journal holds already is left out, so that a write that was cut short is simply done again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = iter(leaves)
        first = next(fresh, None)
        if first is not None:
            newest = self._mend()
            with self.journal_file.open("ab") as file:
                file.writelines(b"%d %s\n" % said for said in chain([first], fresh) if said[0] > newest)
                file.flush()
                os.fsync(file.fileno())
        draft = self.state_file.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.state_file)
        _sync_folder(self.folder)

    def archive(self, *, at: datetime) -> Path | None:
        """Put the mirror aside, whole, as the last step of `manage.py restored`; None where there is none."""
        if not self.state_file.exists():
            return None
        aside = self.folder / f"before-{at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}"
        aside.mkdir()
        if self.journal_file.exists():
            self.journal_file.rename(aside / self.journal_file.name)
        self.state_file.rename(aside / self.state_file.name)  # last: until then the hub stays closed
        _sync_folder(aside)
        _sync_folder(self.folder)
        return aside

    def _lines(self) -> Iterator[Said]:
        try:
            file = self.journal_file.open("rb")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                index, space, entry = line.rstrip(b"\n").partition(b" ")
                if space and line.endswith(b"\n"):  # else the last line, cut short by a crash: written again
                    yield int(index), entry

    def _mend(self) -> int:
        """Cut off a last line that a crash left unfinished; returns the index of the last whole one, or -1."""
        if not self.journal_file.exists():
            return -1
        with self.journal_file.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            window = min(end, 2 * leaf.LARGEST)  # the last two lines fit in
            file.seek(end - window)
            tail = file.read()
            whole = tail.rfind(b"\n") + 1
            if whole < len(tail):
                file.truncate(end - window + whole)
            last = tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]
        return int(last.partition(b" ")[0]) if last else -1


_read_already: dict[Path, tuple[tuple[int, int, int], Remembered]] = {}


def standing(database: BaseDatabaseWrapper, *, mirror: Mirror | None = None) -> Standing:
    """Compare the database with the mirror: one query, and a file read only when it changed. Ask as often as you like.

    The mirror is read first and the database is always written first, so a healthy database is never found behind.
    """
    mirror = mirror or Mirror()
    remembered = _read_when_changed(mirror)
    with database.cursor() as cursor:
        cursor.execute(
            "SELECT size, encode(root, 'hex'), (SELECT max(number) FROM ledger_epoch),"
            " (SELECT encode(leaf_hash, 'hex') FROM ledger_reading WHERE index = %s) FROM ledger_tree",
            [remembered.size - 1 if remembered else -1],
        )
        size, root, epoch, last = cursor.fetchone()
    return compare(remembered, size=size, root=root, epoch=epoch, last=last)


CURRENT_EPOCH = "(SELECT max(number) FROM ledger_epoch)"  # for who asks the database something else besides


def current_epoch() -> int:
    """The number of the epoch that the database is in."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CURRENT_EPOCH}")
        return int(cursor.fetchone()[0])


def compare(remembered: Remembered | None, *, size: int, root: str, epoch: int, last: str | None) -> Standing:
    """Judge what was read of the database; `last` is the hash, in hex, of its leaf `remembered.size` - 1."""
    if remembered is None:
        return Standing(is_behind=False, sentence="There is no mirror yet.", epoch=epoch, size=size)
    problem = ""
    if size < remembered.size:
        problem = f"the ledger has {size} leaves, but had {remembered.size} when the mirror was last written"
    elif epoch < remembered.epoch:
        problem = f"the database is in epoch {epoch}, but epoch {remembered.epoch} had begun"
    elif remembered.size and last != remembered.last:
        problem = f"leaf {remembered.size - 1} is not the one that the mirror remembers"
    elif size == remembered.size and root != remembered.root:
        problem = f"the tree of {size} leaves has another root than the mirror remembers"
    if problem:
        sentence = (
            f"The database is behind its mirror: {problem}. It was restored from a backup: run `manage.py restored`."
        )
        return Standing(is_behind=True, sentence=sentence, epoch=epoch, size=size)
    return Standing(is_behind=False, sentence="The database has all that its mirror remembers.", epoch=epoch, size=size)


def _read_when_changed(mirror: Mirror) -> Remembered | None:
    try:
        stat = mirror.state_file.stat()
    except FileNotFoundError:
        return None
    version = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    known = _read_already.get(mirror.state_file)
    if known is not None and known[0] == version:
        return known[1]
    remembered = mirror.read()
    if remembered is not None:
        _read_already[mirror.state_file] = (version, remembered)
    return remembered


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
