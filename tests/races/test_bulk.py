"""Dry runs at the same moment: many of one person count together, and none that is being applied is forgotten."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from pytest_django import Settings

from hub.refusal import Refusal
from signals.bulk import drafting, running
from signals.bulk.refusals import TakesTwo
from signals.core.bulk import Deed, Filter
from signals.models import BulkItem, BulkRun
from tests.builders import a_programme
from tests.companies import a_company, now
from tests.races.actors import Actor

pytestmark = pytest.mark.usefixtures("committed_db")


def drafts(ann: str, *names: str) -> list[BulkRun]:
    """Of what two signals of each of these companies are held for, one each."""
    csea = a_programme(f"csea-{uuid4().hex[:8]}")
    made = []
    for name in names:
        company = a_company(f"{name}-{csea.slug}", csea, is_probationary=True)
        company.say(*(company.sign(company.signal(programme=csea.slug)) for _ in range(2)))
        wanted = Filter(programme=csea.slug, partner=company.slug)
        made.append(drafting.draft(Deed.REFUSE, wanted, reason="flood", policy="x 1", actor=ann, at=now()))
    return made


def test_what_one_person_begins_alone_at_the_same_moment_counts_together(settings: Settings) -> None:
    settings.BULK_ALONE = 3
    ann = f"staff:{uuid4().hex[:8]}"
    one, other = drafts(ann, "cedar", "dora")

    def apply_the_other() -> object:
        try:
            return running.apply(other.pk, actor=ann, at=now())
        except Refusal as refusal:
            return refusal

    with Actor("first") as first, Actor("second") as second:
        assert first.begin(lambda: running.apply(one.pk, actor=ann, at=now()))
        assert not second.begin(apply_the_other), "it waits"
        first.end()
        second.arrive()
        assert isinstance(second.end(), TakesTwo)
    assert BulkRun.objects.get(pk=other.pk).state == "draft"
    BulkRun.objects.filter(asked_by=ann).delete()


def test_a_dry_run_that_is_being_applied_is_not_forgotten() -> None:
    ann = f"staff:{uuid4().hex[:8]}"
    [run] = drafts(ann, "cedar")
    with Actor("first") as first, Actor("sweep") as sweep:
        assert first.begin(lambda: running.apply(run.pk, actor=ann, at=now()))
        assert sweep.begin(lambda: drafting.forget_drafts(at=now() + timedelta(days=8))), "it waits for nobody"
        first.end()
        assert sweep.end() == 0
    assert BulkRun.objects.get(pk=run.pk).state == "applying"
    assert BulkItem.objects.filter(run=run).count() == 2
    BulkRun.objects.filter(asked_by=ann).delete()
