"""What the front page draws: queues by kind, cases by day and by age, signals by day, deliveries by hour.

Each is one query that reads a bounded number of pages, however large its table: beyond that many it counts a sample,
always the same, and says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hub.staff.gate import Chart
from signals.admin.drawing import Bar, bars
from signals.admin.lists import lasting
from signals.core.cases import CaseKind
from signals.core.states import State

DAYS: Final = 14
PAGES: Final = 4000  # of 8 kB that are read of one table

_AGES: Final[Mapping[str, int]] = {
    "1 h": 1,
    "4 h": 4,
    "12 h": 12,
    "1 d": 24,
    "3 d": 72,
    "7 d": 168,
}  # up to so many hours
_STANDS: Final[Mapping[str, Sequence[str]]] = {  # what a person looks for → states
    "served": (State.PUBLISHED, State.RESTRICTED),
    "held": (State.HELD,),
    "on its way": (State.VERIFIED,),
    "refused": (State.REFUSED, State.QUARANTINED),
    "gone": (State.WITHDRAWN, State.EXPIRED, State.PURGED),
}


def queues(*, at: datetime) -> Chart:
    """What waits, by kind: how much, how much of it late, and when the next is due."""
    rows = {row[0]: row[1:] for row in _ask(_QUEUES, {"at": at})}
    here = reverse("admin:signals_case_changelist")
    lines = []
    for kind in CaseKind:
        waiting, late, paused, due = rows.get(kind.value, (0, 0, 0, None))
        when = "—" if due is None else f"{lasting(at - due)} overdue" if due <= at else f"in {lasting(due - at)}"
        lines.append((here, kind, kind, waiting, here, kind, "state state-overdue" if late else "", late, paused, when))
    body = format_html_join(
        "",
        '<tr><td><a href="{}?kind={}">{}</a></td><td class="number">{}</td>'
        '<td class="number"><a href="{}?kind={}&amp;standing=overdue"><span class="{}">{}</span></a></td>'
        '<td class="number">{}</td><td>{}</td></tr>',
        lines,
    )
    head = format_html_join("", '<th scope="col"{}>{}</th>', [(_NUMBER if n in (1, 2, 3) else "", w) for n, w in _HEAD])
    return Chart("Queues", format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body))


def cases_by_day(*, at: datetime) -> Chart:
    """How many were opened and decided on each of the last days."""
    rows = _ask(_CASES, {"since": _since(at), "pages": PAGES})
    counts = {day: (opened, decided) for day, opened, decided, _ in rows}
    drawn = [Bar(_day(day), counts.get(day, (0, 0))) for day in _days(at)]
    title = _title("Cases opened and decided by day", rows)
    return Chart(title, bars(title, drawn, ("opened", "decided"), is_stacked=False))


def cases_by_age(*, at: datetime) -> Chart:
    """For how long what waits has been open."""
    rows = _ask(_OPEN, {"at": at, "ages": list(_AGES.values())})
    found = {(age, kind): count for age, kind, count in rows}
    labels = [*_AGES, "older"]
    drawn = [Bar(label, [found.get((age, kind.value), 0) for kind in CaseKind]) for age, label in enumerate(labels)]
    return Chart("Age of what waits, up to", bars("Age of what waits", drawn, [kind.value for kind in CaseKind]))


def signals_by_day(*, at: datetime) -> Chart:
    """What was received on each of the last days, as it stands now."""
    rows = _ask(_SIGNALS, {"since": _since(at), "pages": PAGES})
    counts: Counter[tuple[date, str]] = Counter()
    for day, state, count, _ in rows:
        counts[day, state] += count
    drawn = [
        Bar(_day(day), [sum(counts[day, state] for state in states) for states in _STANDS.values()])
        for day in _days(at)
    ]
    title = _title("Signals received by day, as they stand now", rows)
    return Chart(title, bars(title, drawn, list(_STANDS)))


def deliveries_by_hour(*, at: datetime) -> Chart:
    """What was delivered to webhooks, and what failed, in each of the last 24 hours."""
    rows = _ask(_DELIVERIES, {"at": at, "since": at - timedelta(hours=24), "pages": PAGES})
    counts = {ago: (delivered, failed) for ago, delivered, failed, _ in rows}
    drawn = [Bar(f"{at - timedelta(hours=ago):%H}h", counts.get(ago, (0, 0))) for ago in range(23, -1, -1)]
    title = _title("Deliveries by hour", rows)
    return Chart(title, bars(title, drawn, ("delivered", "failed"), parts=(2, 3)))


def _ask(question: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(question, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _title(title: str, rows: Sequence[tuple[Any, ...]]) -> str:
    return f"{title}, estimated" if any(row[-1] < 100 for row in rows) else title


def _since(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)


def _days(at: datetime) -> list[date]:
    return [at.date() - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


_NUMBER: Final = SafeString(' class="number"')
_HEAD: Final = tuple(enumerate(("Kind", "Wait", "Overdue", "Paused", "Next due")))

_QUEUES = """
SELECT kind, count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'waiting' AND due_at <= %(at)s),
       count(*) FILTER (WHERE state = 'paused'), min(due_at) FILTER (WHERE state = 'waiting')
  FROM signals_case WHERE state <> 'decided' GROUP BY kind
"""
_OPEN = """
SELECT width_bucket(extract(epoch FROM %(at)s - opened_at)::float8 / 3600, %(ages)s::float8[]), kind, count(*)
  FROM signals_case WHERE state <> 'decided' GROUP BY 1, 2
"""

# Of which share of a table so many pages are, in percent; what is counted in it is divided by it.
_SHARE = """
share AS (SELECT least(100.0, 100.0 * %(pages)s / greatest(1, size / 8192))::float4 AS percent
            FROM (SELECT pg_relation_size('/*table*/') + coalesce(sum(pg_relation_size(relid)), 0) AS size
                    FROM pg_partition_tree('/*table*/')) AS whole)
"""
_SAMPLE = "/*table*/ TABLESAMPLE SYSTEM ((SELECT percent FROM share)) REPEATABLE (0)"


def _sampled(question: str, table: str) -> str:
    return question.replace("/*share*/", _SHARE).replace("/*sample*/", _SAMPLE).replace("/*table*/", table)


_CASES = _sampled(
    """
WITH /*share*/,
     seen AS (SELECT opened_at, decided_at, decided_by FROM /*sample*/
               WHERE opened_at >= %(since)s OR decided_at >= %(since)s),
     counted AS (SELECT (opened_at AT TIME ZONE 'UTC')::date AS day, 1 AS opened, 0 AS decided
                   FROM seen WHERE opened_at >= %(since)s
                 UNION ALL SELECT (decided_at AT TIME ZONE 'UTC')::date, 0, 1
                   FROM seen WHERE decided_at >= %(since)s AND decided_by <> '')
SELECT day, round(sum(opened) * 100 / percent)::bigint, round(sum(decided) * 100 / percent)::bigint, percent
  FROM counted, share GROUP BY day, percent
""",
    "signals_case",
)
_SIGNALS = _sampled(
    """
WITH /*share*/
SELECT (received_at AT TIME ZONE 'UTC')::date, state, round(count(*) * 100 / percent)::bigint, percent
  FROM share, (SELECT received_at, state FROM /*sample*/ WHERE received_at >= %(since)s) AS seen
 GROUP BY 1, 2, 4
""",
    "signals_signal",
)
_DELIVERIES = _sampled(
    """
WITH /*share*/
SELECT floor(extract(epoch FROM %(at)s - at) / 3600)::int,
       round(count(*) FILTER (WHERE is_delivered) * 100 / percent)::int,
       round(count(*) FILTER (WHERE NOT is_delivered) * 100 / percent)::int, percent
  FROM share, (SELECT at, is_delivered FROM /*sample*/ WHERE at > %(since)s AND at <= %(at)s) AS seen
 GROUP BY 1, 4
""",
    "signals_attempt",
)
