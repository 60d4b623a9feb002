"""Note that somebody looked for due rows, so that every worker knows when nobody does."""

from __future__ import annotations

from datetime import datetime

from signals.models import Sweep


def note_sweep(*, at: datetime) -> None:
    """Write down the time."""
    Sweep.objects.update_or_create(id=1, defaults={"swept_at": at})
