"""Whether this process may serve at all: not while the database is behind its mirror."""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.db import connection

from hub.ledger import mirror
from hub.ledger.mirror import Standing

REMEMBERED_SECONDS = 2.0


@dataclass(slots=True)
class _Answer:
    standing: Standing
    asked: float


_last: list[_Answer] = []


def standing() -> Standing:
    """The database's standing against its mirror, asked at most every two seconds."""
    now = time.monotonic()
    if not _last or now - _last[0].asked > REMEMBERED_SECONDS:
        _last[:] = [_Answer(mirror.standing(connection), now)]
    return _last[0].standing


def may_serve() -> bool:
    """Whether the database has all that its mirror remembers."""
    return not standing().is_behind


def forget() -> None:
    """Ask anew next time: after a restore, and between tests."""
    _last.clear()
