"""Many dry runs of one person, applied at the same moment, are no way around what one person may decide alone."""

from __future__ import annotations

from uuid import uuid4

import pytest
from pytest_django import Settings

from hub.refusal import Refusal
from signals.bulk import drafting, running
from signals.bulk.refusals import TakesTwo
from signals.core.bulk import Deed, Filter
from signals.models import BulkRun
from tests.builders import a_programme
from tests.companies import a_company, now
from tests.races.actors import Actor

pytestmark = pytest.mark.usefixtures("committed_db")


def test_what_one_person_begins_alone_at_the_same_moment_counts_together(settings: Settings) -> None:
    settings.BULK_ALONE = 3
    tag = uuid4().hex[:8]
    ann, csea = f"staff:{tag}", a_programme(f"csea-{tag}")
    slugs = [f"{name}-{tag}" for name in ("cedar", "dora")]
    for slug in slugs:
        company = a_company(slug, csea, is_probationary=True)
        company.say(*(company.sign(company.signal(programme=csea.slug)) for _ in range(2)))
    wanted = [Filter(programme=csea.slug, partner=slug) for slug in slugs]
    one, other = (
        drafting.draft(Deed.REFUSE, each, reason="flood", policy="x 1", actor=ann, at=now()) for each in wanted
    )

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
