"""Whose submission is verified next: nobody waits for another's backlog, nor for a batch that kills its workers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signals.lifecycle.verify import MAX_ATTEMPTS, claim, verify_next
from signals.models import Submission
from signals.queries import submission_document
from tests.builders import a_programme
from tests.companies import Company, a_company, now, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Company:
    return a_company("acme-social", a_programme("csea"))


@pytest.fixture
def birch(acme: Company) -> Company:
    return a_company("birch-chat", acme.partner.memberships.get().programme)


def test_a_single_signal_overtakes_anothers_backfill(acme: Company, birch: Company) -> None:
    for _ in range(30):
        acme.submit(*[b"line"] * 60)
    single = birch.submit(birch.sign(birch.signal()))
    batches_before = 0
    while Submission.objects.filter(id=single.id, state="pending").exists():
        assert verify_next(at=now()) is not None
        batches_before += Submission.objects.filter(id=single.id, state="pending").exists()
    assert batches_before < 10  # by lot, and a single signal wins seven draws of eight: more than nine is one in 10⁹
    assert Submission.objects.filter(partner_id=acme.partner.pk, state="pending").count() == 30 - batches_before


def test_a_submission_that_kills_its_workers_is_tried_ever_more_rarely_and_given_up(
    acme: Company, birch: Company
) -> None:
    poison = acme.submit(acme.sign(acme.signal()), acme.sign(acme.signal()))
    pauses = []
    for _ in range(MAX_ATTEMPTS):
        claimed = claim()  # and the worker dies of it: nothing is written any more
        assert claimed is not None
        assert claimed[0].id == poison.id
        poison.refresh_from_db()
        assert poison.lease_until is not None
        pauses.append(max(0, round((poison.next_attempt_at - poison.lease_until).total_seconds())))
        _time_passes(poison)
    assert pauses == [0, 0, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]

    settle()

    poison.refresh_from_db()
    assert [verdict["code"] for verdict in submission_document(poison)["verdicts"]] == ["internal-error"] * 2
    assert poison.sealed is None


def test_while_one_submission_kills_workers_the_others_go_on_its_own_partners_too(
    acme: Company, birch: Company
) -> None:
    poison = acme.submit(acme.sign(acme.signal()))
    for _ in range(3):
        assert claim() is not None
        for company in (acme, birch):
            [verdict] = company.say(company.sign(company.signal()))
            assert verdict["verdict"] == "accepted"
        Submission.objects.exclude(id=poison.id).delete()
        _time_passes(poison)


def test_a_submission_whose_worker_was_killed_once_is_taken_up_as_soon_as_the_lease_is_over(acme: Company) -> None:
    submission = acme.submit(acme.sign(acme.signal()))
    assert claim() is not None
    assert claim() is None
    Submission.objects.update(lease_until=now() - timedelta(seconds=1))
    settle()
    submission.refresh_from_db()
    assert submission.state == "done"


def _time_passes(submission: Submission) -> None:
    """As if the lease and the pause after it were over."""
    past = now() - timedelta(seconds=1)
    Submission.objects.filter(id=submission.id).update(lease_until=past, next_attempt_at=past)
