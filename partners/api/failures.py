"""Writes failed authentications to the ledger, at most once a minute for each first letter of the key ids tried."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from hub.ledger.record import record

EVERY = timedelta(minutes=1)
MAX_NAMED = 10  # real keys one leaf names; the counts are complete


@dataclass(slots=True)
class _Window:
    """What failed since the last leaf."""

    told_at: datetime | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    real: dict[str, str] = field(default_factory=dict)  # id of a key that exists → its partner's slug


class FailedAuthentications:
    """One per process. The first failure is written at once, those of the next minute together with the next one.

    An attacker chooses the ids, so the windows are few and fixed: a flood costs the ledger one leaf a minute each.
    """

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._lock = threading.Lock()

    def note(self, key_id: str, reason: str, *, partner_slug: str | None, at: datetime) -> None:
        """Count one failure; `partner_slug` is set when a key of that id exists."""
        with self._lock:
            window = self._windows.setdefault(key_id[:1], _Window())
            window.reasons[reason] += 1
            if partner_slug is not None and len(window.real) < MAX_NAMED:
                window.real[key_id] = partner_slug
            if window.told_at is not None and at - window.told_at < EVERY:
                return
            self._windows[key_id[:1]] = _Window(told_at=at)
        with transaction.atomic():
            record(
                "api-key.failed",
                actor="system:authentication",
                at=at,
                subjects=sorted({f"partner:{slug}" for slug in window.real.values()}),
                facts={"first_letter": key_id[:1], "reasons": dict(window.reasons), "api_keys": sorted(window.real)},
            )

    def forget(self) -> None:
        """Begin anew, as a new process does."""
        with self._lock:
            self._windows.clear()


failures = FailedAuthentications()
