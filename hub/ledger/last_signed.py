"""The last checkpoint that was signed, kept beside the mirror: no restored database can make the signer forget it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.conf import settings

from hub.ledger import checkpoints, leaf
from hub.ledger.tile_store import CHECKPOINT, TileStore
from hub.ledger.tlog.checkpoint import Checkpoint, NotACheckpoint
from hub.ledger.tlog.note import NotANote, open_note
from hub.vault.folder import sync_folder

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # of a checkpoint whose time is not known


@dataclass(frozen=True, slots=True)
class Known:
    """A checkpoint that may have been seen by anybody: `note` is its exact bytes, without cosignatures."""

    note: bytes
    size: int
    root: bytes
    signed_at: datetime

    @classmethod
    def of(cls, note: bytes, *, signed_at: datetime) -> Known:
        """What a note says; raises ValueError for what is no checkpoint."""
        checkpoint = Checkpoint.parse(open_note(note).text)
        return cls(note, checkpoint.size, checkpoint.root, signed_at)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file."""

    v: int
    signed_at: str
    note: str


class LastSigned:
    """One small file for each log (each origin). Written before anybody else can see what was signed."""

    def __init__(self, folder: Path | None = None, origin: str | None = None) -> None:
        self.folder = settings.MIRROR_DIR if folder is None else folder
        name = hashlib.sha256((settings.LEDGER_ORIGIN if origin is None else origin).encode()).hexdigest()[:16]
        self.file = self.folder / f"signed-{name}.json"

    def read(self) -> Known | None:
        """The last one; None where nothing was signed yet. Raises ValueError for a file that is not ours."""
        try:
            content = msgspec.json.decode(self.file.read_bytes(), type=_File)
            return Known.of(content.note.encode(), signed_at=datetime.fromisoformat(content.signed_at))
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, NotACheckpoint, NotANote, ValueError) as error:
            raise ValueError(f"{self.file} does not hold the last checkpoint: {error}") from error

    def recall(self, store: TileStore, *others: Known) -> Known | None:
        """The last one, where the file is lost: the largest of `others` and of what the tile store holds.

        Raises StoreAway: without the store nobody knows what was published.
        """
        known = self.read()
        if known is not None:
            return known
        found = [*others, *_in_store(store)]
        return max(found, key=lambda each: each.size, default=None)

    def write(self, known: Known) -> None:
        """Put another in its place; it is on the disk when this returns. Only while holding `lock`."""
        draft = self.file.with_suffix(".draft")
        content = _File(v=1, signed_at=leaf.timestamp(known.signed_at), note=known.note.decode())
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(content))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.file)
        sync_folder(self.folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One at a time reads, proves, signs and writes, in any process on any machine that shares the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _in_store(store: TileStore) -> list[Known]:
    """The checkpoint beside the tiles, if it is of our log and bears a key's signature that was ever ours."""
    note = store.get(CHECKPOINT)
    if note is None:
        return []
    read = open_note(note)
    ours = [key for key in checkpoints.public_keys() if any(map(key.made, read.signatures))]
    if not ours or Checkpoint.parse(read.text).origin != checkpoints.origin():
        return []
    for key in ours:
        key.check(read)
    return [Known.of(note, signed_at=_LONG_AGO)]
