"""What pages show of large tables: counted by the clock, so that no page waits for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.db import connection, transaction

from signals.compliance import overview
from signals.compliance.recall import overdue_among
from signals.models import ActivityCount

DAYS: Final = 14
FRESH: Final = timedelta(minutes=5)  # after which a count is shown no more: the clock may stand still
WHOLE_EVERY: Final = timedelta(minutes=15)  # what is counted of a whole large table, never of a sample,
WHOLE_FRESH: Final = timedelta(hours=1)  # and shown for so long
AT_ONCE: Final = 500  # pages of 8 kB that a page of the desk reads of one table itself,
AHEAD: Final = 4000  # and the clock each minute; of a larger table both count a sample, always the same
MOST_LATE: Final = 100  # copies not acknowledged that are looked at: of more, those of the latest recalls


class Activity(StrEnum):
    """What is counted."""

    CASES = "cases"  # rows: day (ISO, UTC), opened, decided, percent
    SIGNALS = "signals"  # rows: day of receipt, state, how many, percent
    DELIVERIES = "deliveries"  # rows: hours ago, delivered, failed, percent
    RECALLS = "recalls"  # rows: signal with overdue copies, how many, 100 percent; "", 0, 0 if older ones may be late
    RETENTION = "retention"  # rows: those of overview.count_retention, and 100 percent
    ISSUED = "issued"  # rows: those of overview.count_issued, and 100 percent


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows as they were at that moment; the last member says of how much of the table they were counted, in percent."""

    at: datetime
    rows: list[list[Any]]

    @property
    def is_estimated(self) -> bool:
        """Whether they come from a sample."""
        return any(row[-1] < 100 for row in self.rows)

    def ahead(self, at: datetime) -> str:
        """When they were counted, in words; nothing where it was for this page."""
        return f"counted at {self.at:%H:%M} UTC" if self.at != at else ""


def counted(what: Activity, *, at: datetime) -> Counted:
    """What the clock counted of a large table lately; of a small one, or where it did not, what there is now."""
    fresh = WHOLE_FRESH if what in _WHOLE else FRESH
    kept = ActivityCount.objects.filter(what=what.value, at__gt=at - fresh).first()
    return Counted(kept.at, kept.rows) if kept is not None else Counted(at, _count(what, pages=AT_ONCE, at=at))


def count_ahead(*, at: datetime) -> int:
    """Count what is too large for a page to count, and not counted yet; how many counts that were.

    One process at a time: where counting takes longer than the clock's minute, the next one leaves it to the first.
    """
    lately = ActivityCount.objects.filter(what__in=_WHOLE, at__gt=at - WHOLE_EVERY)
    known = set(lately.values_list("what", flat=True))
    large = [what for what in Activity if what.value not in known and _pages(_TABLES[what]) > AT_ONCE]
    return sum(_count_alone(what, at=at) for what in large)


def first_day(at: datetime) -> datetime:
    """When the first of the days began that are counted."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)


def _count_alone(what: Activity, *, at: datetime) -> bool:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"heliograph count {what}"])
            if not (cursor.fetchone() or [False])[0]:
                return False
        rows = _count(what, pages=AHEAD, at=at)
        ActivityCount.objects.update_or_create(what=what.value, defaults={"at": at, "rows": rows})
    return True


def _count(what: Activity, *, pages: int, at: datetime) -> list[list[Any]]:
    if what is Activity.RECALLS:
        late = overdue_among(MOST_LATE, at=at)
        found = [[*each, 100] for each in Counter(str(copy.signal_id) for copy in late.copies).items()]
        return found if late.is_all else [*found, ["", 0, 0]]
    if what in _WHOLE:
        rows = overview.count_retention(at=at) if what is Activity.RETENTION else overview.count_issued()
        return [[*row, 100] for row in rows]
    question = _QUESTIONS[what].replace("/*share*/", _SHARE).replace("/*sample*/", _SAMPLE)
    given: dict[str, Any] = {"since": first_day(at), "at": at, "day_ago": at - timedelta(hours=24), "pages": pages}
    with connection.cursor() as cursor:
        cursor.execute(question.replace("/*table*/", _TABLES[what]), given)
        return [list(row) for row in cursor.fetchall()]


def _pages(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_SIZE.replace("/*table*/", table))
        [size] = cursor.fetchone() or (0,)
        return int(size) // 8192


_TABLES: Final[Mapping[Activity, str]] = {
    Activity.CASES: "signals_case",
    Activity.SIGNALS: "signals_signal",
    Activity.DELIVERIES: "signals_attempt",
    Activity.RECALLS: "signals_change",
    Activity.RETENTION: "signals_signal",
    Activity.ISSUED: "signals_signal",
}
_WHOLE: Final = (Activity.RETENTION, Activity.ISSUED)
_SIZE = """
SELECT pg_relation_size('/*table*/') + coalesce(sum(pg_relation_size(relid)), 0) AS size
  FROM pg_partition_tree('/*table*/')
"""

# Of which share of a table so many pages are, in percent; what is counted in it is divided by it.
_SHARE = f"""
share AS (SELECT least(100.0, 100.0 * %(pages)s / greatest(1, size / 8192))::float4 AS percent
            FROM ({_SIZE}) AS whole)
"""  # noqa: S608  a constant
_SAMPLE = "/*table*/ TABLESAMPLE SYSTEM ((SELECT percent FROM share)) REPEATABLE (0)"


_CASES = """
WITH /*share*/,
     seen AS (SELECT opened_at, decided_at, decided_by FROM /*sample*/
               WHERE opened_at >= %(since)s OR decided_at >= %(since)s),
     counted AS (SELECT (opened_at AT TIME ZONE 'UTC')::date::text AS day, 1 AS opened, 0 AS decided
                   FROM seen WHERE opened_at >= %(since)s
                 UNION ALL SELECT (decided_at AT TIME ZONE 'UTC')::date::text, 0, 1
                   FROM seen WHERE decided_at >= %(since)s AND decided_by <> '')
SELECT day, round(sum(opened) * 100 / percent)::bigint, round(sum(decided) * 100 / percent)::bigint, percent
  FROM counted, share GROUP BY day, percent
"""
_SIGNALS = """
WITH /*share*/
SELECT (received_at AT TIME ZONE 'UTC')::date::text, state, round(count(*) * 100 / percent)::bigint, percent
  FROM share, (SELECT received_at, state FROM /*sample*/ WHERE received_at >= %(since)s) AS seen
 GROUP BY 1, 2, 4
"""
_DELIVERIES = """
WITH /*share*/
SELECT floor(extract(epoch FROM %(at)s - at) / 3600)::int,
       round(count(*) FILTER (WHERE is_delivered) * 100 / percent)::int,
       round(count(*) FILTER (WHERE NOT is_delivered) * 100 / percent)::int, percent
  FROM share, (SELECT at, is_delivered FROM /*sample*/ WHERE at > %(day_ago)s AND at <= %(at)s) AS seen
 GROUP BY 1, 4
"""
_QUESTIONS: Final[Mapping[Activity, str]] = {
    Activity.CASES: _CASES,
    Activity.SIGNALS: _SIGNALS,
    Activity.DELIVERIES: _DELIVERIES,
}
