"""A worker is killed between any two steps; another finishes within the lease, and nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from signals import tasks
from signals.models import Change, Signal, Statement, Submission, Verdict
from tests.builders import a_programme
from tests.companies import a_company
from tests.races.dying_worker import DIED, POINTS
from tests.races.following import Follower

LEASE_SECONDS = 5


@pytest.fixture
def worker(committed_db: None) -> Iterator[subprocess.Popen[str]]:
    known = connection.settings_dict
    secret, host = quote(str(known["PASSWORD"]), safe=""), quote(str(known["HOST"]), safe="")
    url = f"postgresql://{known['USER']}:{secret}@{host}:{known['PORT']}/{known['NAME']}"
    environment = {
        "DJANGO_SETTINGS_MODULE": "hub.settings",
        "HELIOGRAPH_DATABASE_URL": url,
        "HELIOGRAPH_OWNER_DATABASE_URL": url,
        "HELIOGRAPH_LEDGER_DATABASE_URL": url,
        "HELIOGRAPH_BROKER_URL": settings.BROKER_URL,
        "HELIOGRAPH_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.races.dying_worker"],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


@pytest.mark.races
def test_a_worker_killed_between_any_two_steps_loses_and_doubles_nothing(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    programme = a_programme("csea")
    acme, birch = a_company("acme-social", programme), a_company("birch-chat", programme)
    for point in POINTS:
        withdrawn = acme.sign(acme.signal())
        acme.submit(acme.sign(acme.signal()), withdrawn, b"a bad line", acme.withdrawal(withdrawn))
        worker.stdin.write(f"{point}\n")
        worker.stdin.flush()
        assert worker.stdout.readline().strip() == str(DIED), f"the worker never came to: {point}"
    died_at = time.monotonic()
    unfinished = Submission.objects.filter(state="pending")
    assert unfinished.count() == 6, "what had committed was not done over, what had not was undone"

    while unfinished.exists() and time.monotonic() < died_at + LEASE_SECONDS + 10:
        tasks.verify()
        time.sleep(0.1)
    tasks.publish()

    assert not unfinished.exists()
    assert Verdict.objects.filter(verdict="refused").count() == len(POINTS)
    assert Verdict.objects.count() == 4 * len(POINTS)
    assert Statement.objects.count() == 3 * len(POINTS)
    assert Signal.objects.filter(state="published").count() == len(POINTS)
    assert list(Change.objects.order_by("position").values_list("position", flat=True)) == list(
        range(1, Change.objects.count() + 1)
    )
    assert len(Follower(birch, "csea").catch_up().live) == len(POINTS)
