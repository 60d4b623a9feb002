"""Keys a process has unwrapped, remembered for seconds only, so that a destroyed key is soon forgotten everywhere."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """At most `size` values for at most `seconds` each; many threads may ask, and a fork inherits no held lock.

    Loading and forgetting exclude each other, so that nobody can bring back what was just forgotten.
    """

    def __init__(self, *, seconds: float, size: int) -> None:
        self.seconds = seconds
        self.size = size
        self.lock = threading.RLock()
        self._held: dict[Key, tuple[float, Value]] = {}
        _living.add(self)

    def get(self, key: Key, load: Callable[[], Value]) -> Value:
        """The value, loaded when it is not held or too old; what `load` raises is raised, and not remembered."""
        held = self._held.get(key)
        if held is not None and held[0] > time.monotonic():
            return held[1]
        with self.lock:
            held = self._held.pop(key, None)
            if held is not None and held[0] > time.monotonic():
                self._held[key] = held
                return held[1]
            until = time.monotonic() + self.seconds  # counted from before the file is read
            value = load()
            while len(self._held) >= self.size:
                self._held.pop(next(iter(self._held)))
            self._held[key] = (until, value)
            return value

    def forget(self, key: Key) -> None:
        """Hold it no longer."""
        with self.lock:
            self._held.pop(key, None)


_living: weakref.WeakSet[Remembered[Any, Any]] = weakref.WeakSet()


def _renew_locks() -> None:
    for remembered in list(_living):
        remembered.lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)
