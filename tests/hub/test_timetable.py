"""The timetable goes on whatever the time of day does, and begins at once."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from celery import Celery

from hub.timetable import Timetable


class Sent(Timetable):
    """Keeps what it would send."""

    producer = None  # the real one connects to a broker

    def setup_schedule(self) -> None:
        super().setup_schedule()
        self.names: list[str] = []

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        self.names.append(entry.name)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    clock = mock.Mock(return_value=1000.0)
    monkeypatch.setattr(Sent, "clock", clock)
    return clock


def test_each_wake_up_goes_out_at_the_start_and_then_at_its_interval(seconds: mock.Mock) -> None:
    app = Celery("test", set_as_current=False)
    app.conf.beat_schedule = {
        "often": {"task": "one", "schedule": 3.0},
        "seldom": {"task": "two", "schedule": 600.0},
    }
    beat = Sent(app)

    assert beat.tick() == 3.0
    assert sorted(beat.names) == ["often", "seldom"]  # which of two that are due at once goes first is nobody's promise
    seconds.return_value += 2
    assert beat.tick() == 1.0
    seconds.return_value += 1.5  # a little late
    assert beat.tick() == 3.0
    assert beat.names[2:] == ["often"]


def test_a_clock_set_back_by_an_hour_silences_nothing(seconds: mock.Mock) -> None:
    app = Celery("test", set_as_current=False)
    app.conf.beat_schedule = {"often": {"task": "one", "schedule": 3.0}}
    beat = Sent(app)
    with mock.patch("time.time", return_value=10_000.0):
        beat.tick()
    with mock.patch("time.time", return_value=6_400.0):
        seconds.return_value += 3
        beat.tick()

    assert beat.names == ["often", "often"]
