"""What the page of a partner's quality shows: figures by type and by week, and its floods; queries do not grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Sum
from django.utils.safestring import SafeString

from partners import public
from signals.admin.quality_chart import interval, weeks, words
from signals.compliance.quality import WEEKS, counted_quality
from signals.core.alarms import LINES, Figure, Measure, alarms, read_cause, share_of
from signals.core.cases import CaseKind, CaseState
from signals.core.quality import Quality
from signals.models import Case, Inflow

LATELY = timedelta(days=7)
_FLOODS = 20
_WEEK_COUNT = WEEKS // timedelta(weeks=1)
_IN_TREND = (Figure.PRECISION, Figure.DISPUTES)
NAMES = {
    Figure.PRECISION: "Precision",
    Figure.DISPUTES: "Disputed",
    Figure.ECHOES: "Echoes",
    Figure.LATE: "Left standing",
    Figure.FLOOD: "Flood",
}
_PROPOSED = {
    Measure.WARNED: "tell the partner, and ask it to mend it",
    Measure.PROBATION: "put the partner on probation",
    Measure.THROTTLED: "lower how much the partner may send",
    Measure.SUSPENSION: "propose to a second person that the partner be suspended",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """One figure: in words, drawn, and, where it is bad for certain, what is proposed."""

    name: str
    words: str
    drawing: SafeString
    proposed: str


@dataclass(frozen=True, slots=True)
class OfType:
    """All figures of one type of indicator."""

    indicator_type: str
    signals: int
    figures: list[Drawn]
    trends: list[tuple[str, SafeString]]


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template draws."""

    partner_id: int
    partner: str
    state: str
    programme: str
    types: list[OfType]
    floods: list[Inflow]
    sent: tuple[int, int]  # lately: received, and of those held for a flood
    alarms: list[Case]
    counted_at: datetime


def page(partner_id: int, *, programme_id: int | None, at: datetime) -> Page:
    """The page of this partner in one programme, or in all: eight queries. Raises Partner.DoesNotExist."""
    partner, programmes = public.partner(partner_id), public.programme_slugs()
    among = list(programmes) if programme_id is None else [programme_id]
    counted = counted_quality(partner_id, programme_ids=among, at=at)
    inflow = Inflow.objects.filter(partner_id=partner_id, programme_id__in=among)
    sent = inflow.filter(hour__gte=at - LATELY).aggregate(received=Sum("received"), flooded=Sum("flooded"))
    undecided = Case.objects.filter(kind=CaseKind.QUALITY.value, partner_id=partner_id)
    return Page(
        partner_id=partner_id,
        partner=partner.slug,
        state=f"{partner.state}{', on probation' if partner.is_probationary else ''}",
        programme=programmes.get(programme_id or 0, ""),
        types=sorted(
            (_of_type(kind, found, counted.by_week.get(kind, []), at=at) for kind, found in counted.by_type.items()),
            key=lambda each: (not any(drawn.proposed for drawn in each.figures), each.indicator_type),
        ),
        floods=list(inflow.filter(flooded__gt=0).order_by("-hour", "indicator_type")[:_FLOODS]),
        sent=(sent["received"] or 0, sent["flooded"] or 0),
        alarms=list(undecided.exclude(state=CaseState.DECIDED.value).order_by("due_at")[:_FLOODS]),
        counted_at=counted.at,
    )


def proposal(case: Case, shown: Page) -> str:
    """What is proposed about a quality case, by its figure as it stands now."""
    figure, indicator_type = read_cause(case.cause)
    if figure is Figure.FLOOD:
        return _said(Measure.THROTTLED)
    if figure is None:
        return ""
    for kind in shown.types:
        for drawn in kind.figures:
            if (kind.indicator_type, drawn.name) == (indicator_type, NAMES[figure]) and drawn.proposed:
                return drawn.proposed
    return "nothing: by now the figure is not bad for certain"


def _of_type(kind: str, found: Quality, by_week: Sequence[tuple[date, Quality]], *, at: datetime) -> OfType:
    proposed = {alarm.figure: _said(alarm.proposed) for alarm in alarms(found)}
    return OfType(
        indicator_type=kind,
        signals=found.tally.signals,
        figures=[
            Drawn(
                NAMES[figure],
                words(share_of(found, figure)),
                interval(share_of(found, figure), line),
                proposed.get(figure, ""),
            )
            for figure, line in LINES.items()
        ],
        trends=[
            (
                NAMES[figure],
                weeks(
                    NAMES[figure],
                    [(week, share_of(each, figure)) for week, each in by_week],
                    LINES[figure],
                    upto=at.date(),
                    count=_WEEK_COUNT,
                ),
            )
            for figure in _IN_TREND
        ],
    )


def _said(measure: Measure) -> str:
    return f"{_PROPOSED[measure]} ({measure})"
