"""The days that attempts and disclosures lie in: made ahead of their time, and of attempts the old ones dropped.

The application owns no table. Both are done by functions of the tables' owner, which do this and nothing else; what
finds no day of its own lies in the default one, so that no delivery ever waits for a day.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache

from django.conf import settings
from django.db import connection


def make_days() -> int:
    """Make yesterday's to next week's days where they are missing, by the database's clock; returns how many.

    Raises OperationalError when a lock was not to be had within two seconds; nothing is made then.
    """
    return _call("SELECT signals_make_days()", [])


def keep_days_ahead(*, at: datetime) -> int:
    """The same as a step of the sweep, once a day in each process: a hub that was off for weeks has days at once.

    Always 0, for it leaves nothing to go on with.
    """
    _make_days_on(at.date())
    return 0


@lru_cache(maxsize=1)  # remembers only what succeeded
def _make_days_on(_: date) -> None:
    make_days()


def drop_attempts() -> int:
    """Drop the days of attempts older than the retention, whole; returns how many. Disclosures are for ever.

    Raises OperationalError when a lock was not to be had within two seconds; nothing is dropped then.
    """
    return _call("SELECT signals_drop_attempts(%s)", [settings.ATTEMPT_DAYS])


def _call(statement: str, parameters: list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])
