"""The timetable's clockwork: each wake-up goes out every so many seconds, whatever becomes of the time of day.

Celery's own goes by the time of day and keeps it in a file: a clock set back by an hour silences it for an hour.
"""

from __future__ import annotations

import time

from celery.beat import Scheduler


class Timetable(Scheduler):  # type: ignore[misc]  # Celery has no types
    """Sends what is due at its start, and then at its interval by the monotonic clock. Knows intervals only."""

    clock = staticmethod(time.monotonic)

    def setup_schedule(self) -> None:
        """Take it from the settings; nothing is due yet, so everything is."""
        self._due_at: dict[str, float] = {}
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, **_: object) -> float:
        """Send what is due; returns in how many seconds to ask again."""
        for name, entry in self.schedule.items():
            now = self.clock()
            if self._due_at.get(name, now) <= now:
                self._due_at[name] = now + entry.schedule.run_every.total_seconds()
                self.apply_entry(entry, producer=self.producer)
        return max(0.0, min(self._due_at.values()) - self.clock())
