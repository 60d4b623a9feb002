"""How a key file is written, so that no crash, race or second machine can tear, double or revive it."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".key"
_LEFTOVER_SECONDS = 3600  # a temporary file this old belongs to a process that died
_README = """\
These are the keys of a Heliograph hub, each encrypted under the hub's key-encryption key (docs/decisions/0002).
Back this folder up apart from the database, keep those backups short, and never put both in one place:
destroying a month's key here is what makes that month unreadable in every old backup of the database.
Files that say "destroyed_at" are memories of destroyed keys; leave them, or a key could be made a second time.
"""


class KeyFolder:
    """Small files by name (`data/programme:csea/2026-11`) under one root, 0600 in folders of 0700.

    A name comes into being once, by `link(2)`, which fails when it exists: whoever comes second reads what the first
    wrote. It is replaced by `rename(2)` under an advisory lock. Both hold between machines on NFS 4 and on every local
    file system; a file system without hard links is refused by the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def is_prepared(self) -> bool:
        """Whether this folder was made to hold keys, and is not the empty place where a volume should be mounted."""
        return (self.root / "README").exists()

    def prepare(self) -> None:
        """Make the folder and its README; nothing happens when they stand."""
        make_private_folder(self.root)
        if not self.is_prepared():
            self._write_new(self.root / f"README.{secrets.token_hex(8)}", self.root / "README", _README.encode())
            sync_folder(self.root)

    def read(self, name: str) -> bytes | None:
        """The file's bytes, or None where there is none."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def add(self, name: str, content: bytes) -> None:
        """Write the file unless the name exists; afterwards `read` finds the one that stands, whoever wrote it."""
        path = self._path(name)
        self._make_folders(path.parent)
        self._write_new(self._temporary(name), path, content)
        self.settle(name)

    def settle(self, name: str) -> None:
        """Make sure that the name survives a power cut, also when another process has only just linked it."""
        folder = self._path(name).parent
        while True:
            sync_folder(folder)
            if folder == self.root:
                return
            folder = folder.parent

    def replace(self, name: str, content: bytes) -> None:
        """Put other bytes in the file's place and overwrite the old ones on the disk, as far as the disk obeys.

        Only while holding `lock`. Temporary copies that a killed process left of this key are removed as well.
        """
        path, temporary = self._path(name), self._temporary(name)
        with path.open("r+b", buffering=0) as old:  # keeps the old bytes reachable until they are overwritten
            _write_file(temporary, content)
            temporary.rename(path)
            sync_folder(path.parent)
            old.write(secrets.token_bytes(os.fstat(old.fileno()).st_size))
            os.fsync(old.fileno())
        self._sweep(name)

    def names(self, prefix: str = "") -> list[str]:
        """The names that exist, in order, optionally only those below a prefix such as `index/hub`."""
        start = self.root / self._escaped(prefix) if prefix else self.root
        found = (path.relative_to(self.root) for path in start.rglob(f"*{_SUFFIX}"))
        plain = (
            path.with_suffix("").as_posix().replace(".", ":") for path in found if path.parts[0] not in {"kek", "tmp"}
        )
        return sorted(plain)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One replacer at a time, in any process on any machine; the lock dies with its holder."""
        make_private_folder(self.root)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write_new(self, temporary: Path, path: Path, content: bytes) -> None:
        _write_file(temporary, content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        except FileNotFoundError:
            if not path.exists():  # swept from under us by `replace` only if the name exists by now
                raise
        except OSError as error:
            if error.errno in {errno.EPERM, errno.ENOTSUP, errno.EMLINK}:
                raise OSError(error.errno, "The key folder's file system must support hard links.") from error
            raise
        finally:
            temporary.unlink(missing_ok=True)

    def _make_folders(self, folder: Path) -> None:
        if folder != self.root:
            self._make_folders(folder.parent)
        make_private_folder(folder)

    def _temporary(self, name: str) -> Path:
        folder = self.root / "tmp"
        make_private_folder(folder)
        return folder / f"{self._flat(name)}.{secrets.token_hex(8)}"

    def _sweep(self, name: str) -> None:
        too_old = time.time() - _LEFTOVER_SECONDS
        for path in (self.root / "tmp").iterdir():
            try:
                if path.name.startswith(f"{self._flat(name)}.") or path.stat().st_mtime < too_old:
                    path.unlink()
            except FileNotFoundError:
                continue
        sync_folder(self.root / "tmp")

    def _path(self, name: str) -> Path:
        return self.root / f"{self._escaped(name)}{_SUFFIX}"

    @staticmethod
    def _escaped(name: str) -> str:
        return name.replace(":", ".")  # no name holds a full stop, so this loses nothing

    def _flat(self, name: str) -> str:
        return self._escaped(name).replace("/", "~")


def make_private_folder(folder: Path) -> None:
    """The folder, open to this user only; what is missing above it gets the ordinary mode."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the folder's own entries are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_file(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
