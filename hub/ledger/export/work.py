"""A folder that is being filled: what was written, how far it is, and how it goes on after a crash."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from hub.ledger.export.tally import Tally

_STATE = "making.json"


class Busy(RuntimeError):
    """Another process fills this folder."""


class State(msgspec.Struct):
    """How far the making is: everything before `next` is in the files up to these lengths."""

    checkpoint: str = ""  # the signed note that the bundle ends at, chosen once
    start: str = ""  # the one that it begins after; empty: none is as old
    stage: str = "entries"
    next: int = -1  # the next index to look at; -1: not begun
    lengths: dict[str, int] = msgspec.field(default_factory=dict)  # file → bytes that count
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    tally: Tally = msgspec.field(default_factory=Tally)


class Work:
    """One bundle's folder, for nobody but us to read, with the state of its making beside it."""

    def __init__(self, home: Path) -> None:
        self.bundle = home / "bundle"
        self.archive = home / "bundle.zip"
        self._home = home
        self._state_file = home / _STATE
        self.bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep everybody else out: a worker asleep for longer than its lease still holds this, a dead one not.

        Raises Busy.
        """
        handle = os.open(self._home, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Busy(f"Another process is at work in {self._home}.") from None
        finally:
            os.close(handle)

    def state(self) -> State:
        """How far it is; a new one where nothing was begun."""
        try:
            return msgspec.json.decode(self._state_file.read_bytes(), type=State)
        except FileNotFoundError:
            return State()

    def save(self, state: State) -> None:
        """Replace the state: on disk when this returns, whole or not at all."""
        fresh = self._state_file.with_suffix(".new")
        with private(fresh) as file:
            file.write(msgspec.json.encode(state))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._state_file)
        _sync_folder(self._home)

    @contextmanager
    def growing(self, state: State, names: list[str]) -> Iterator[Growing]:
        """Files to append to; whatever a crash left beyond the state's lengths is cut off first."""
        with ExitStack() as stack:
            files = {}
            for name in names:
                path = self.path(name)
                file = stack.enter_context(private(path, "ab"))
                file.truncate(state.lengths.get(name, 0))
                file.seek(0, os.SEEK_END)
                files[name] = file
            yield Growing(self, state, files)

    def cut(self, state: State) -> None:
        """Take back what was written to growing files and never came to count."""
        for name, length in state.lengths.items():
            os.truncate(self.path(name), length)

    def path(self, name: str) -> Path:
        """Where a file of the bundle lies; makes the folder it lies in."""
        path = self.bundle / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def write(self, name: str, content: bytes) -> None:
        """Write a whole file of the bundle."""
        with private(self.path(name)) as file:
            file.write(content)

    def names(self) -> list[str]:
        """Every file of the bundle, in the order in which it is listed and packed."""
        return sorted(path.relative_to(self.bundle).as_posix() for path in self.bundle.rglob("*") if path.is_file())

    def end(self) -> None:
        """Keep the archive alone."""
        for path in sorted(self.bundle.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        self.bundle.rmdir()
        self._state_file.unlink(missing_ok=True)


class Growing:
    """Files that grow together; `keep` makes what was added count."""

    def __init__(self, work: Work, state: State, files: dict[str, BinaryIO]) -> None:
        self._work = work
        self._state = state
        self.files = files

    def keep(self, next_index: int) -> None:
        """From here on a crash goes back no further than this."""
        for name, file in self.files.items():
            file.flush()
            os.fsync(file.fileno())
            self._state.lengths[name] = file.tell()
        self._state.next = next_index
        self._work.save(self._state)


@contextmanager
def private(path: Path, mode: str = "wb") -> Iterator[BinaryIO]:
    """A file that nobody but us may read, from its first moment on."""
    flags = os.O_RDWR | os.O_CREAT | (os.O_APPEND if "a" in mode else os.O_TRUNC)
    with os.fdopen(os.open(path, flags, 0o600), mode) as file:
        yield file  # type: ignore[misc]  # typeshed knows the kind of file by a literal mode only


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
