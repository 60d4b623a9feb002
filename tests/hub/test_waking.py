"""A wake-up is best effort: a broker that has stopped holds up no request, and is left alone for a moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from signal import SIGCONT, SIGSTOP

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

import hub.celery  # noqa: F401  configures the app that wake-ups are sent by
from signals import wake
from tests.cluster import valkey


@pytest.fixture
def stopped_broker() -> Iterator[None]:
    assert valkey.process is not None
    valkey.process.send_signal(SIGSTOP)
    try:
        yield
    finally:
        valkey.process.send_signal(SIGCONT)


@pytest.mark.django_db
@pytest.mark.parametrize("send", [wake.verify, lambda: wake.changed(1, 1)], ids=["to the workers", "to the waiters"])
def test_a_broker_that_does_not_answer_costs_one_wake_up_its_time_and_the_next_ones_nothing(
    send: Callable[[], None],
    stopped_broker: None,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wake, "_way", type(wake._way)())
    seconds = []
    for _ in range(3):
        with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
            send()
        began = time.monotonic()
        for callback in callbacks:
            callback()
        seconds.append(time.monotonic() - began)
    assert seconds[0] < 10, "half a second for the connection and half for the message, on a machine that is not busy"
    assert seconds[1] + seconds[2] < 0.2
