"""A worker is killed between any two steps; another finishes within the lease, and nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from partners.models import Programme
from signals import tasks
from signals.bulk import drafting, running
from signals.core.bulk import Deed, Filter
from signals.models import BulkItem, BulkRun, CaseEvent, Change, Signal, Statement, Submission, Verdict
from tests.admin.scene import hold_many
from tests.builders import a_programme
from tests.companies import a_company, now
from tests.races.dying_worker import BULK_POINTS, DIED, POINTS
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


def csea() -> Programme:
    """One for the whole module, whose database is one."""
    return Programme.objects.filter(slug="csea").first() or a_programme("csea")


@pytest.mark.races
def test_a_worker_killed_between_any_two_steps_loses_and_doubles_nothing(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    programme = csea()
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


@pytest.mark.races
def test_a_worker_killed_in_the_middle_of_a_bulk_run_decides_no_signal_twice_and_none_is_lost(
    worker: subprocess.Popen[str],
) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    cedar = a_company("cedar-video", csea(), is_probationary=True)
    hold_many(cedar, 6)
    why = {"reason": "flood", "policy": "Handbook 4.2"}
    run = drafting.draft(Deed.REFUSE, Filter(programme="csea"), **why, actor="staff:7", at=now())
    running.apply(run.pk, actor="staff:7", at=now())
    for point in BULK_POINTS:
        if point == "about to undo":
            until(run, "done")
            running.undo(run.pk, actor="staff:8", at=now())
        worker.stdin.write(f"{point}\n")
        worker.stdin.flush()
        assert worker.stdout.readline().strip() == str(DIED), f"the worker never came to: {point}"
        assert BulkRun.objects.filter(lease_token__isnull=False).exists(), "its lease is left"
        run.refresh_from_db()
        states = dict.fromkeys(["held", "refused"], 0) | run_states()
        assert states["refused"] == run.done - run.undone, "what is counted is what was done"
        if point not in {"all decided, about to end", "undone, about to commit"}:  # these run out by themselves
            BulkRun.objects.update(lease_until=now())
    until(run, "undone")
    assert (run.done, run.skipped, run.undone, run.kept) == (6, 0, 6, 0)
    assert run_states() == {"held": 6}
    for kind in ("decided", "undone"):
        assert CaseEvent.objects.filter(kind=kind).count() == 6


def run_states() -> dict[str, int]:
    """How many signals are in which state."""
    return dict(
        Counter(Signal.objects.filter(id__in=BulkItem.objects.values("signal_id")).values_list("state", flat=True))
    )


def until(run: BulkRun, state: str) -> None:
    """Another worker goes on, once the lease has run out."""
    over = time.monotonic() + LEASE_SECONDS + 10
    while run.state != state and time.monotonic() < over:
        tasks.bulk()
        run.refresh_from_db()
        time.sleep(0.1)
    assert run.state == state
