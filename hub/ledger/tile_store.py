"""Where the log's files lie (C2SP tlog-tiles): written once, read by everybody, in a folder or in S3."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages

from hub.ledger.tlog import tiles
from hub.ledger.tlog.merkle import HASH_BYTES

CHECKPOINT = "checkpoint"  # the one file that changes: the last checkpoint, for whoever has nothing but this store
_AT_ONCE = 8  # files; each waits for its disk or its network, not for our processor
_KEPT = 1024  # full tiles of 8 KiB


class StoreAway(Exception):
    """The store cannot be read or written now; the message says why."""


class TileLacking(StoreAway):
    """The store answers, but does not have a file that it must have."""


class Contradiction(RuntimeError):
    """A file that never changes would have got other bytes: the log and its store tell different histories."""


class TileStore:
    """Files by path that never change once a checkpoint was signed over them, over one of Django's storages."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._full_tile = lru_cache(maxsize=_KEPT)(self._read_full_tile)

    def get(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none. Raises StoreAway."""
        with _telling():
            try:
                with self.storage.open(path, "rb") as file:
                    return bytes(file.read())
            except FileNotFoundError:
                return None

    def put(self, path: str, content: bytes) -> None:
        """Write the file, whole and durable when this returns; once more the same bytes is nothing.

        Raises StoreAway, and Contradiction where the file stands with other bytes.
        """
        standing = self.get(path)
        if standing is None:
            with _telling():
                self.storage.save(path, ContentFile(content))
        elif standing != content:
            raise Contradiction(f"{path} was written before with other bytes.")

    def put_many(self, files: Iterable[tuple[str, bytes, bool]]) -> None:
        """The same for several, some at once; all are there when this returns, and any may be when it raises.

        Each is a path, its bytes, and whether other bytes there may be replaced: no checkpoint was signed over them.
        """
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tiles") as pool:
            for _ in pool.map(lambda file: (self._put_unsigned if file[2] else self.put)(file[0], file[1]), files):
                pass

    def replace(self, path: str, content: bytes) -> None:
        """Write a file that may change: `checkpoint`, and what no checkpoint was signed over. Raises StoreAway."""
        with _telling():
            self.storage.save(path, ContentFile(content))

    def forget(self) -> None:
        """Read every tile again: those of a tree that was never signed may have been replaced."""
        self._full_tile.cache_clear()

    def tile(self, level: int, n: int, width: int = tiles.TILE_WIDTH) -> bytes:
        """A hash tile, `width` hashes of 32 bytes; a partial one also from the tile that has filled up since.

        Raises TileLacking where there is neither, StoreAway.
        """
        partial = self.get(tiles.path(level, n, width)) if width < tiles.TILE_WIDTH else None
        found = self._full_tile(level, n) if partial is None else partial
        return found[: HASH_BYTES * width]

    def bundle(self, n: int, width: int = tiles.TILE_WIDTH) -> bytes:
        """An entry bundle of `width` entries, likewise."""
        found = self.get(tiles.entries_path(n, width))
        if found is None and width < tiles.TILE_WIDTH:
            full = self.get(tiles.entries_path(n))
            found = None if full is None else tiles.encode_bundle(tiles.decode_bundle(full)[:width])
        if found is None:
            raise TileLacking(f"The ledger's tile store lacks {tiles.entries_path(n, width)}.")
        return found

    def drop_partial(self, level: int | None, n: int) -> int:
        """Remove the partial files of a tile (of a bundle: level None) that has filled up; returns how many went."""
        folder = (tiles.entries_path(n) if level is None else tiles.path(level, n)) + ".p"
        with _telling():
            _, names = self.storage.listdir(folder)
            for name in names:
                self.storage.delete(f"{folder}/{name}")
            return len(names)

    def why_not(self) -> str | None:
        """None where the store answers, otherwise why it does not."""
        try:
            self.get(CHECKPOINT)
        except StoreAway as error:
            return str(error)
        return None

    def _put_unsigned(self, path: str, content: bytes) -> None:
        standing = self.get(path)
        if standing != content:
            self.replace(path, content)
        if standing not in {None, content}:
            self.forget()

    def _read_full_tile(self, level: int, n: int) -> bytes:
        found = self.get(tiles.path(level, n))
        if found is None:
            raise TileLacking(f"The ledger's tile store lacks {tiles.path(level, n)}.")
        return found


def tile_store() -> TileStore:
    """The store that the settings name (`STORAGES["ledger"]`)."""
    return _store_over(storages["ledger"])


@lru_cache(maxsize=2)
def _store_over(storage: Storage) -> TileStore:
    return TileStore(storage)


@contextmanager
def _telling() -> Iterator[None]:
    """Each kind of storage has errors of its own, and every one of them means that the store is away."""
    try:
        yield
    except (FileNotFoundError, StoreAway):
        raise
    except Exception as error:
        raise StoreAway(f"The ledger's tile store fails: {type(error).__name__}: {error}") from error
