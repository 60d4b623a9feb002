"""What the front page draws: queues by kind, cases by day and by age, signals by day, deliveries by hour.

What would take long to count was counted ahead, of a very large table in a sample; the drawing then says so.
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
from signals.lifecycle.activity import DAYS, Activity, Counted, counted

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
    found = counted(Activity.CASES, at=at)
    counts = {day: (opened, decided) for day, opened, decided, _ in found.rows}
    drawn = [Bar(_day(day), counts.get(day.isoformat(), (0, 0))) for day in _days(found.at)]
    title = _title("Cases opened and decided by day", found, at=at)
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
    found = counted(Activity.SIGNALS, at=at)
    counts: Counter[tuple[str, str]] = Counter()
    for day, state, count, _ in found.rows:
        counts[day, state] += count
    drawn = [
        Bar(_day(day), [sum(counts[day.isoformat(), state] for state in states) for states in _STANDS.values()])
        for day in _days(found.at)
    ]
    title = _title("Signals received by day, as they stand now", found, at=at)
    return Chart(title, bars(title, drawn, list(_STANDS)))


def deliveries_by_hour(*, at: datetime) -> Chart:
    """What was delivered to webhooks, and what failed, in each of the last 24 hours."""
    found = counted(Activity.DELIVERIES, at=at)
    counts = {ago: (delivered, failed) for ago, delivered, failed, _ in found.rows}
    drawn = [Bar(f"{found.at - timedelta(hours=ago):%H}h", counts.get(ago, (0, 0))) for ago in range(23, -1, -1)]
    title = _title("Deliveries by hour", found, at=at)
    return Chart(title, bars(title, drawn, ("delivered", "failed"), parts=(2, 3)))


def _ask(question: str, given: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(question, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _title(title: str, found: Counted, *, at: datetime) -> str:
    """With what a reader must know of the numbers: that they come from a sample, and when they were counted ahead."""
    return ", ".join(filter(None, (title, "estimated" if found.is_estimated else "", found.ahead(at))))


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
