"""A worker judges its hearing by the row that every sweep writes: also by one that may do nothing, and by none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django import Settings

from hub import watch
from hub.ledger import serving
from hub.ledger.mirror import Mirror, Remembered
from signals.lifecycle.sweep import note_sweep
from signals.models import Sweep
from signals.tasks import sweep
from tests.live import database_urls


@pytest.fixture
def behind(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """A mirror that remembers more leaves than the database has, as after a restore."""
    settings.MIRROR_DIR = tmp_path
    Mirror().write(Remembered(v=1, epoch=1, size=1_000_000, root="", last=""), [])
    serving.forget()
    yield
    serving.forget()


@pytest.mark.django_db
def test_a_sweep_behind_the_mirror_is_noted_so_that_no_worker_takes_itself_for_deaf(behind: None) -> None:
    began = timezone.now()
    assert not serving.may_serve()
    sweep()
    assert began <= Sweep.objects.get().swept_at <= timezone.now()


def test_a_sweep_that_never_was_is_stale_by_a_number_that_can_be_logged(committed_db: None, settings: Settings) -> None:
    settings.DATABASE_URL = database_urls()["HELIOGRAPH_DATABASE_URL"]
    never = watch.seconds_since_sweep()
    assert never is not None
    assert round(never) > watch.STALE_SECONDS
    note_sweep(at=datetime.now(UTC) - timedelta(seconds=30))
    late = watch.seconds_since_sweep()
    assert late is not None
    assert 30 <= late < 60
    settings.DATABASE_URL = "postgresql://nobody@127.0.0.1:1/nowhere"
    assert watch.seconds_since_sweep() is None
