"""What every worker does besides its tasks: sweep when nobody else does, and give up when nothing it sends comes back.

Beat may be dead, the broker may have been emptied, and a worker may be connected and yet deaf (Celery has had such
bugs for years). Each worker looks at the one row that the sweep writes: older than ten seconds, it asks for a sweep
itself; still old after a minute of asking, it ends, so that whoever supervises it starts a worker that hears. Ending
takes half a minute at most: what its children were at is done again elsewhere.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from typing import Protocol

import psycopg
from celery import Celery, bootsteps
from django.conf import settings

logger = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
STALE_SECONDS = 10.0
DEAF_SECONDS = 60.0
PARTING_SECONDS = 30.0


class _Worker(Protocol):
    """The part of Celery's worker that this module touches."""

    app: Celery


class Watch(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Celery's hook: one daemon thread in the worker's main process, which runs no tasks itself."""

    def __init__(self, parent: _Worker, **options: object) -> None:
        super().__init__(parent, **options)
        self._stop = threading.Event()

    def start(self, parent: _Worker) -> None:
        """Begin to watch, in workers that take sweeps."""
        if "default" in parent.app.amqp.queues.consume_from:
            threading.Thread(target=self._watch, args=(parent.app,), name="watch", daemon=True).start()

    def stop(self, parent: _Worker) -> None:
        """Stop watching."""
        del parent
        self._stop.set()

    def _watch(self, app: Celery) -> None:
        asking_since: float | None = None
        while not self._stop.wait(LOOK_SECONDS):
            age = seconds_since_sweep()
            if age is None or age <= STALE_SECONDS:
                asking_since = None
                continue
            asking_since = asking_since or time.monotonic()
            try:
                app.send_task("signals.sweep", retry=False, expires=STALE_SECONDS)
            except Exception:  # noqa: BLE001  without a broker nobody can hear; that is not this worker's deafness
                asking_since = None
                continue
            if time.monotonic() - asking_since > DEAF_SECONDS:
                logger.error("worker.deaf", extra={"seconds": round(age)})
                os.kill(os.getpid(), signal.SIGTERM)
                # A polite end waits for the tasks at hand, and one that hangs may be why nobody sweeps.
                time.sleep(PARTING_SECONDS)
                os.kill(os.getpid(), signal.SIGKILL)


def seconds_since_sweep() -> float | None:
    """The age of the last sweep by the database's clock, that of Unix where there was none; None when it cannot say.

    A connection of its own, opened and closed: this thread lives in the process that forks the pool's children.
    """
    try:
        with psycopg.connect(settings.DATABASE_URL, connect_timeout=3) as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM clock_timestamp() - coalesce(max(swept_at), 'epoch'::timestamptz))"
                " FROM signals_sweep"
            ).fetchone()
    except psycopg.Error:
        return None
    return float(row[0]) if row is not None else None
