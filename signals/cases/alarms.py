"""Look at what partners sent lately, and ask a person where it is bad for certain or came in a flood: once a cause."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Q

from signals.cases.opening import open_case
from signals.compliance.quality import as_counted, count_quality
from signals.core.alarms import FLOOD_WITHIN, QUIET, Figure, alarms, cause_of
from signals.core.cases import CaseKind, CaseState
from signals.core.gates import HoldReason
from signals.models import Case, Inflow, QualityCount

ACTIVE_WITHIN = timedelta(days=7)
STALE = timedelta(hours=12)  # so old are counts of partners that send nothing before they are counted again,
AT_ONCE = 50  # so many of them in one sweep
_LATEST = 10_000  # so many of a partner's signals are looked through for a flood in the hour of a decision
_HOUR = timedelta(hours=1)
_SYSTEM = "system:quality"

_Cause = tuple[int, int, str]  # partner, programme, what about


def raise_alarms(*, at: datetime) -> int:
    """Open a case for each figure and flood that gives cause for one; returns how many.

    Looks at partners that sent something in the last week: five queries, and two for each of them and programme. What
    it counts is kept for the pages, and what it once counted of the others is counted anew twice a day, as what is said
    of their signals goes on. What is undecided is not asked twice, and what was decided not again within 30 days; a
    flood is new when it comes, or goes on, after the decision about the last one.
    """
    known, active = _known(at=at), _active(at=at)
    wanted: list[_Cause] = []
    counted = [count_quality(*each, at=at) for each in _silent(active, at=at)]
    for partner_id, programme_id in active:
        counted.append(count_quality(partner_id, programme_id, at=at))
        for indicator_type, found in as_counted(counted[-1:], at=at).by_type.items():
            causes = [cause_of(alarm.figure, indicator_type) for alarm in alarms(found)]
            wanted += [(partner_id, programme_id, cause) for cause in causes]
    QualityCount.objects.bulk_create(
        counted,
        update_conflicts=True,
        unique_fields=["partner_id", "programme_id"],
        update_fields=["at", "by_type", "by_week"],
    )
    fresh = [cause for cause in wanted if cause not in known] + _floods(known, at=at)
    for partner_id, programme_id, cause in fresh:
        open_case(CaseKind.QUALITY, partner_id=partner_id, programme_id=programme_id, cause=cause, actor=_SYSTEM, at=at)
    return len(fresh)


def _active(*, at: datetime) -> list[tuple[int, int]]:
    rows = Inflow.objects.filter(hour__gte=at - ACTIVE_WITHIN)
    return sorted(rows.values_list("partner_id", "programme_id").distinct())


def _silent(active: list[tuple[int, int]], *, at: datetime) -> list[tuple[int, int]]:
    """Of the others that were ever counted, those whose count is the oldest."""
    stale = QualityCount.objects.filter(at__lte=at - STALE).order_by("at").values_list("partner_id", "programme_id")
    known = set(active)
    return [each for each in stale[: AT_ONCE + len(active)] if each not in known][:AT_ONCE]


def _known(*, at: datetime) -> dict[_Cause, datetime | None]:
    """What need not be asked, and when it was decided last; None while it is undecided."""
    rows = Case.objects.filter(kind=CaseKind.QUALITY.value, partner_id__isnull=False, programme_id__isnull=False)
    lately = rows.filter(~Q(state=CaseState.DECIDED.value) | Q(decided_at__gt=at - QUIET)).order_by("opened_at")
    known: dict[_Cause, datetime | None] = {}
    for case in lately:
        about = (case.partner_id or 0, case.programme_id or 0, case.cause)
        if about not in known or known[about] is not None:
            known[about] = case.decided_at
    return known


def _floods(known: dict[_Cause, datetime | None], *, at: datetime) -> list[_Cause]:
    with connection.cursor() as cursor:
        cursor.execute(_FLOODS, [at - FLOOD_WITHIN])
        floods = cursor.fetchall()
    found = []
    for partner_id, programme_id, last_hour in floods:
        cause = (partner_id, programme_id, cause_of(Figure.FLOOD))
        decided_at = known.get(cause)
        if cause in known and (decided_at is None or not _came_after(decided_at, cause, last_hour=last_hour)):
            continue
        found.append(cause)
    return found


def _came_after(decided_at: datetime, cause: _Cause, *, last_hour: datetime) -> bool:
    """Whether any of a flood, which is counted by the hour, came after the decision about the last one.

    Of the hour of the decision itself the partner's latest signals say it.
    """
    if not last_hour <= decided_at < last_hour + _HOUR:
        return last_hour > decided_at
    partner_id, programme_id, _ = cause
    with connection.cursor() as cursor:
        cursor.execute(_FLOODED_SINCE, [partner_id, _LATEST, programme_id, decided_at, HoldReason.FLOOD.value])
        [is_new] = cursor.fetchone()
    return bool(is_new)


_FLOODS = """
SELECT partner_id, programme_id, max(hour) FROM signals_inflow
 WHERE flooded > 0 AND hour > %s GROUP BY 1, 2 ORDER BY 1, 2
"""

_FLOODED_SINCE = """
SELECT EXISTS (
    SELECT FROM (SELECT programme_id, received_at, held_reasons FROM signals_signal
                  WHERE issuer_id = %s ORDER BY arrival DESC LIMIT %s) AS latest
     WHERE programme_id = %s AND received_at > %s AND %s = ANY (held_reasons))
"""
