"""Threads with connections of their own that do one verb at a time, and stop between last lock and commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from types import TracebackType

from django.db import connection, transaction

_PATIENCE = 20.0  # seconds; a deadlock is broken by PostgreSQL after one


def let_all_end(*actors: Actor) -> None:
    """Let whoever holds commit, until nobody is busy; raises what a verb raised."""
    while any(actor.is_busy for actor in actors):
        for actor in actors:
            if actor.is_busy and actor.arrive() and actor.is_busy:
                actor.end()
    for actor in actors:
        actor.check()


def let_all_fail(*actors: Actor) -> None:
    """Roll back whatever is under way, so that a failed test leaves nobody behind a lock."""
    for actor in actors:
        if actor.is_busy:
            actor.give_up()
    until = time.monotonic() + _PATIENCE
    while any(actor.is_busy for actor in actors) and time.monotonic() < until:
        time.sleep(0.001)


class Actor:
    """One connection. `begin` a verb, look whether it `is_holding` or blocked, and `end` it by commit or rollback."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.result: object = None
        self.error: BaseException | None = None
        self.is_busy = False
        self._holding = threading.Event()
        self._decided: SimpleQueue[bool] = SimpleQueue()
        self._verbs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._pid = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()
        self._ready.wait(_PATIENCE)

    def begin(self, verb: Callable[[], object]) -> bool:
        """Start a verb; returns once it has done everything but commit (True), or waits for another's lock (False)."""
        self.start(verb)
        return self.arrive()

    def start(self, verb: Callable[[], object]) -> None:
        """Start a verb and return at once."""
        assert not self.is_busy, f"{self.name} is busy"
        self.is_busy, self.result, self.error = True, None, None
        self._holding.clear()
        self._verbs.put(verb)

    def arrive(self) -> bool:
        """Wait until the verb stands before its commit (True) or behind a lock (False)."""
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if self._holding.wait(0.002) or not self.is_busy:
                self.check()
                return True
            if self._waits_for_a_lock() and not self._holding.is_set():
                return False
        raise AssertionError(f"{self.name} neither holds nor waits.")

    @property
    def is_holding(self) -> bool:
        return self._holding.is_set()

    def end(self, *, commit: bool = True) -> object:
        """Let a verb that holds commit or roll back; its result."""
        self._decided.put(commit)
        until = time.monotonic() + _PATIENCE
        while self.is_busy and time.monotonic() < until:
            time.sleep(0.001)
        assert not self.is_busy, f"{self.name} does not end."
        self.check()
        return self.result

    def give_up(self) -> None:
        """Have the verb roll back as soon as it can."""
        self._decided.put(False)

    def do(self, verb: Callable[[], object]) -> object:
        """A verb from beginning to commit."""
        assert self.begin(verb), f"{self.name} is blocked"
        return self.end()

    def __enter__(self) -> Actor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decided.put(False)
        self._verbs.put(None)
        self._thread.join(_PATIENCE)

    def check(self) -> None:
        """Raise what its verb raised, once."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def _waits_for_a_lock(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [self._pid])
            row = cursor.fetchone()
        return bool(row and row[0])

    def _live(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self._pid = cursor.fetchone()[0]
            self._ready.set()
            while (verb := self._verbs.get()) is not None:
                self._do(verb)
        finally:
            connection.close()

    def _do(self, verb: Callable[[], object]) -> None:
        try:
            with transaction.atomic():
                self.result = verb()
                self._holding.set()
                if not self._decided.get():
                    transaction.set_rollback(True)
        except BaseException as error:  # noqa: BLE001  handed to the test's thread
            self.error = error
        finally:
            self.is_busy = False
            self._holding.clear()
