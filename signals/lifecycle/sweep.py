"""Note that somebody looked for due rows, so that every worker knows when nobody does."""

from __future__ import annotations

from datetime import datetime

from signals.lifecycle.farewell import mark_leaving
from signals.models import Sweep


def note_sweep(*, at: datetime) -> None:
    """Write down the time, and mark endpoints whose partner has left their programme."""
    Sweep.objects.update_or_create(id=1, defaults={"swept_at": at})
    mark_leaving(at=at)
