"""What the front page draws: queues, cases, signals and deliveries, in bounded queries, and in words as well."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from hub.staff.roles import Role
from signals.admin import charts
from signals.admin.drawing import Bar, bars
from signals.cases import claiming, deciding
from signals.cases.opening import open_held
from signals.core.cases import Outcome
from signals.lifecycle import activity
from signals.models import ActivityCount, Case
from tests.admin.scene import Scene, at_the_desk, hold_many
from tests.companies import now

pytestmark = pytest.mark.django_db


def test_the_front_page_shows_queues_and_charts_with_nothing_inline(scene: Scene) -> None:
    hold_many(scene.cedar, 3)
    open_held(at=now())
    one, other = Case.objects.all()[:2]
    Case.objects.filter(pk=one.pk).update(due_at=now() - timedelta(hours=2), opened_at=now() - timedelta(days=2))
    claimed = claiming.claim(other.pk, actor="staff:1", at=now())
    deciding.settle(claimed, Outcome.REFUSED, reason="flood", policy="H 1", text="", actor="staff:1", at=now())
    text = at_the_desk(*Role).get("/admin/").content.decode()
    queue = re.search(r'kind=hold">hold</a></td>(.*?)</tr>', text)
    assert queue is not None
    assert re.findall(r">(\d+)<", queue[1]) == ["3", "1", "0"]
    assert "overdue" in queue[1]
    for title in (
        "Cases opened and decided by day: opened 4; decided 1",
        "Age of what waits: hold 3; dispute 0; appeal 0; quality 0",
        "Signals received by day, as they stand now: served 1; held 3; on its way 0; refused 2; gone 0",
        "Deliveries by hour: delivered 1; failed 2",
    ):
        assert f'aria-label="{title}"' in text, re.findall('aria-label="[^"]*"', text)
    assert not re.search(r"style=|<script(?![^>]*src=)", text)


def test_nobody_is_shown_charts_of_what_they_may_not_see(scene: Scene) -> None:
    assert "Deliveries by hour" not in at_the_desk(Role.ANALYST).get("/admin/").content.decode()


def test_a_large_table_is_estimated_from_a_bounded_part_of_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_many(scene.cedar, 40)
    whole = charts.signals_by_day(at=now())
    assert "estimated" not in whole.title
    assert "held 41" in whole.drawing
    monkeypatch.setattr(activity, "AT_ONCE", 1)
    part = charts.signals_by_day(at=now())
    assert part.title.endswith(", estimated") or "held 0" in part.drawing


def test_what_is_too_large_for_a_page_is_counted_ahead_and_says_when(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold_many(scene.cedar, 3)
    assert activity.count_ahead(at=now()) == 0, "what is small is counted as it is looked at"
    monkeypatch.setattr(activity, "AT_ONCE", -1)  # an empty table is too large, too
    counted_at = now()
    assert activity.count_ahead(at=counted_at) == len(activity.Activity)
    hold_many(scene.cedar, 2)
    for made in (charts.signals_by_day, charts.cases_by_day, charts.deliveries_by_hour):
        ahead = made(at=counted_at + timedelta(seconds=59))
        assert ahead.title.endswith(f", counted at {counted_at:%H:%M} UTC")
        assert "estimated" not in ahead.title
    assert "held 4" in charts.signals_by_day(at=counted_at + timedelta(seconds=59)).drawing
    text = at_the_desk(*Role).get("/admin/").content.decode()
    assert f"recalls not acknowledged in time, counted at {counted_at:%H:%M} UTC" in text
    whole = ("retention", "issued")
    kept = ActivityCount.objects.filter(what__in=whole)
    assert activity.count_ahead(at=counted_at + timedelta(minutes=14)) == len(activity.Activity) - len(whole)
    assert {each.at for each in kept} == {counted_at}, "all of a large table is not read every minute"
    retained = reverse("admin:signals_disclosedminute_retention")
    said = at_the_desk(Role.AUDITOR).get(retained).content.decode()
    assert f"By programme, counted at {counted_at:%H:%M} UTC" in said
    assert activity.count_ahead(at=counted_at + timedelta(minutes=15)) == len(activity.Activity)
    assert {each.at for each in kept.all()} == {counted_at + timedelta(minutes=15)}
    ActivityCount.objects.update(at=counted_at)
    monkeypatch.undo()
    late = charts.signals_by_day(at=counted_at + activity.FRESH)
    assert "counted at" not in late.title
    assert "held 6" in late.drawing


def test_a_chart_without_anything_is_drawn_all_the_same() -> None:
    drawing = bars("Nothing", [Bar("1 Nov", (0, 0)), Bar("2 Nov", (0, 0))], ("one", "two"))
    assert "none" in drawing
    assert 'aria-label="Nothing: one 0; two 0"' in drawing


def test_parts_are_stacked_or_side_by_side_and_the_smallest_is_seen() -> None:
    drawn = [Bar("1 Nov", (1000, 1)), Bar("2 Nov", (0, 500))]
    for is_stacked in (True, False):
        drawing = bars("Some", drawn, ("one", "two"), is_stacked=is_stacked)
        heights = [float(each) for each in re.findall(r'height="([\d.]+)"/></g>', drawing)]
        assert len(heights) == 3
        assert min(heights) == 2.0
        assert "1 Nov: 1,000 one" in drawing
