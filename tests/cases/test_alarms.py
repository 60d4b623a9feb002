"""Alarms about a partner's quality become cases; what is decided about the partner is really done, told and undone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from hub.staff import approvals
from hub.staff.approvals import NotOwnProposal
from hub.staff.models import Approval
from hub.staff.roles import Role
from partners.core.limits import OwnLimits
from partners.lifecycle.change_limits import change_limits
from partners.models import Partner, Programme
from signals.cases import claiming, deciding, undoing
from signals.cases.alarms import raise_alarms
from signals.cases.refusals import TooLate
from signals.compliance.quality import counted_quality
from signals.core.cases import Outcome
from signals.lifecycle import rule
from signals.models import Case, Inflow, Notice, QualityCount, Signal
from tests.admin.scene import a_person
from tests.builders import a_programme
from tests.cases.conftest import LedgerRefuses
from tests.companies import Company, now, settle

pytestmark = pytest.mark.django_db


@pytest.fixture
def csea(db: None) -> Programme:
    return a_programme("csea")


@pytest.fixture
def ann(db: None) -> User:
    return a_person("ann", Role.ANALYST)


@pytest.fixture
def disputed(acme: Company) -> None:
    """Twenty signals, half of them refuted: certainly too many."""
    acme.say(*(acme.sign(acme.signal()) for _ in range(20)))
    for signal in Signal.objects.order_by("arrival")[:10]:
        rule.refute(signal.pk, reason="benign-value", actor="staff:7", at=now())
    settle()


@pytest.fixture
def flood(acme: Company, csea: Programme) -> Inflow:
    hour = now().replace(minute=0, second=0, microsecond=0)
    about = {"partner_id": acme.partner.pk, "programme_id": csea.pk, "indicator_type": "url"}
    return Inflow.objects.create(**about, hour=hour, received=5000, flooded=3000)


def causes() -> list[str]:
    return sorted(Case.objects.filter(kind="quality").exclude(state="decided").values_list("cause", flat=True))


def decide(reason: str, *, by: User, outcome: Outcome = Outcome.ACTED, cause: str = "flood") -> Case:
    case = Case.objects.exclude(state="decided").get(kind="quality", cause=cause)
    who: dict[str, Any] = {"actor": f"staff:{by.pk}", "at": now()}
    case = claiming.claim(case.pk, **who)
    assert case.lease_token
    how: dict[str, Any] = {"reason": reason, "policy": "Handbook 7", "text": ""}
    return deciding.decide(case.pk, token=case.lease_token, version=case.version, outcome=outcome, **how, **who)


def undo(case: Case, *, by: User) -> None:
    undoing.undo(case.pk, text="", actor=f"staff:{by.pk}", at=now())


def told() -> list[dict[str, Any]]:
    return list(Notice.objects.filter(kind="quality.decided").order_by("number").values_list("facts", flat=True))


# ------------------------------------------------------------ alarms
@pytest.mark.usefixtures("disputed")
def test_pages_show_what_was_counted_last_and_count_themselves_what_is_older_than_a_day(acme: Company) -> None:
    among = list(Programme.objects.values_list("pk", flat=True))

    def wrong(at: datetime) -> tuple[int, datetime]:
        counted = counted_quality(acme.partner.pk, programme_ids=among, at=at)
        [(_, this_week)] = counted.by_week["url"]
        assert this_week == counted.by_type["url"]
        return this_week.tally.wrong, counted.at

    at = now()
    raise_alarms(at=at)
    rule.refute(Signal.objects.order_by("-arrival")[0].pk, reason="benign-value", actor="staff:7", at=at)
    settle()
    assert wrong(at + timedelta(hours=23)) == (10, at)
    assert wrong(at + timedelta(hours=25)) == (11, at + timedelta(hours=25))
    raise_alarms(at=at + timedelta(minutes=15))
    assert wrong(at + timedelta(minutes=16)) == (11, at + timedelta(minutes=15))


@pytest.mark.usefixtures("disputed")
def test_of_who_sends_nothing_any_more_the_sweep_still_counts_twice_a_day(acme: Company) -> None:
    at = now()
    assert raise_alarms(at=at) == 2
    Inflow.objects.all().delete()
    for later, counted_at in ((11, at), (12, at + timedelta(hours=12)), (13, at + timedelta(hours=12))):
        assert raise_alarms(at=at + timedelta(hours=later)) == 0, "nobody is asked about what is long past"
        assert [each.at for each in QualityCount.objects.all()] == [counted_at]


@pytest.mark.usefixtures("disputed")
def test_what_is_bad_for_certain_is_asked_once(acme: Company, csea: Programme) -> None:
    assert raise_alarms(at=now()) == 2
    assert causes() == ["dispute-rate:url", "precision:url"]
    assert set(Case.objects.values_list("partner_id", "programme_id")) == {(acme.partner.pk, csea.pk)}
    assert raise_alarms(at=now()) == 0


@pytest.mark.usefixtures("disputed")
def test_it_is_not_asked_again_right_after_the_decision_but_a_month_later(ann: User) -> None:
    raise_alarms(at=now())
    decide("explained", by=ann, outcome=Outcome.DISMISSED, cause="dispute-rate:url")
    raise_alarms(at=now())
    assert causes() == ["precision:url"]
    Inflow.objects.update(hour=now() + timedelta(days=30))  # it still sends
    raise_alarms(at=now() + timedelta(days=31))
    assert causes() == ["dispute-rate:url", "late-share:url", "precision:url"], "and nobody has withdrawn them"


@pytest.mark.usefixtures("disputed")
def test_who_sends_nothing_any_more_gives_no_cause() -> None:
    Inflow.objects.update(hour=now() - timedelta(days=8))
    assert raise_alarms(at=now()) == 0


def test_a_flood_is_asked_once_and_the_next_one_again(flood: Inflow, ann: User) -> None:
    assert raise_alarms(at=now()) == 1
    assert causes() == ["flood"]
    decide("explained", by=ann, outcome=Outcome.DISMISSED)
    assert raise_alarms(at=now()) == 0
    Inflow.objects.update(hour=flood.hour + timedelta(hours=2))
    assert raise_alarms(at=now() + timedelta(hours=2)) == 1


def test_a_flood_that_goes_on_in_the_hour_of_the_decision_is_asked_again(
    acme: Company, csea: Programme, ann: User
) -> None:
    Programme.objects.filter(pk=csea.pk).update(gates={"flood_floor": 3})
    acme.may_backfill = False
    acme.say(*(acme.sign(acme.signal()) for _ in range(4)))
    assert raise_alarms(at=now()) == 1
    decide("explained", by=ann, outcome=Outcome.DISMISSED)
    assert raise_alarms(at=now()) == 0, "nothing has come since"
    acme.say(acme.sign(acme.signal()))
    assert raise_alarms(at=now()) == 1
    assert raise_alarms(at=now()) == 0


def test_a_few_signals_are_no_alarm(acme: Company) -> None:
    acme.say(*(acme.sign(acme.signal()) for _ in range(2)))
    rule.refute(Signal.objects.order_by("arrival")[0].pk, reason="benign-value", actor="staff:7", at=now())
    settle()
    assert raise_alarms(at=now()) == 0


# ------------------------------------------------------------ measures
@pytest.mark.usefixtures("flood")
def test_probation_is_really_begun_told_and_taken_back(acme: Company, ann: User) -> None:
    raise_alarms(at=now())
    case = decide("probation", by=ann)
    assert Partner.objects.get(pk=acme.partner.pk).is_probationary
    undo(case, by=ann)
    assert not Partner.objects.get(pk=acme.partner.pk).is_probationary
    said = {"did": "probation", "programme": "csea", "about": "flood"}
    assert told() == [said, {**said, "is_undone": True}]


@pytest.mark.usefixtures("flood")
def test_probation_that_was_there_before_stays(acme: Company, ann: User) -> None:
    Partner.objects.update(is_probationary=True)
    raise_alarms(at=now())
    undo(decide("probation", by=ann), by=ann)
    assert Partner.objects.get(pk=acme.partner.pk).is_probationary


@pytest.mark.usefixtures("flood")
def test_throttling_leaves_a_quarter_and_its_undo_what_there_was(acme: Company, ann: User) -> None:
    change_limits("acme-social", OwnLimits(requests_per_second=9, statements_per_second=100), actor="staff:7", at=now())
    raise_alarms(at=now())
    case = decide("throttled", by=ann)
    partner = Partner.objects.get(pk=acme.partner.pk)
    assert (partner.requests_per_second, partner.statements_per_second) == (9, 25)
    undo(case, by=ann)
    partner.refresh_from_db()
    assert partner.statements_per_second == 100


@pytest.mark.usefixtures("flood", "acme")
def test_what_a_case_did_is_put_back_when_it_is_opened_again_and_decided_otherwise(ann: User) -> None:
    change_limits("acme-social", OwnLimits(statements_per_second=100), actor="staff:7", at=now())
    raise_alarms(at=now())
    case = decide("throttled", by=ann)
    undoing.reopen(case.pk, text="", actor=f"staff:{ann.pk}", at=now())
    decide("explained", by=ann, outcome=Outcome.DISMISSED)
    assert Partner.objects.get().statements_per_second == 100
    assert told()[-1] == {"did": "throttled", "programme": "csea", "about": "flood", "is_undone": True}
    undoing.reopen(case.pk, text="", actor=f"staff:{ann.pk}", at=now())
    decide("throttled", by=ann)
    undoing.reopen(case.pk, text="", actor=f"staff:{ann.pk}", at=now())
    again = decide("throttled", by=ann)
    assert Partner.objects.get().statements_per_second == 25, "a quarter of what it was, once"
    undo(again, by=ann)
    assert Partner.objects.get().statements_per_second == 100


@pytest.mark.usefixtures("disputed", "acme")
def test_undoing_one_case_leaves_the_probation_that_another_decided_too(ann: User) -> None:
    raise_alarms(at=now())
    one, another = (decide("probation", by=ann, cause=cause) for cause in ("dispute-rate:url", "precision:url"))
    undo(one, by=ann)
    assert Partner.objects.get().is_probationary
    undo(another, by=ann)
    assert not Partner.objects.get().is_probationary


@pytest.mark.usefixtures("flood", "acme")
def test_limits_that_somebody_set_since_stay(ann: User) -> None:
    raise_alarms(at=now())
    case = decide("throttled", by=ann)
    change_limits("acme-social", OwnLimits(statements_per_second=7), actor="staff:7", at=now())
    with pytest.raises(TooLate):
        undo(case, by=ann)
    assert Partner.objects.get().statements_per_second == 7


@pytest.mark.usefixtures("flood", "acme")
def test_suspension_is_laid_before_a_second_person_and_withdrawn_by_who_proposed_it(ann: User) -> None:
    raise_alarms(at=now())
    case = decide("suspension-proposed", by=ann)
    assert Partner.objects.get().state == "active"
    assert (Approval.objects.get().act, Approval.objects.get().subject) == ("partner.suspend", "partner:acme-social")
    with pytest.raises(NotOwnProposal):
        undo(case, by=a_person("ben", Role.ANALYST))
    undo(case, by=ann)
    assert Approval.objects.get().state == "withdrawn"


@pytest.mark.usefixtures("flood", "acme")
def test_once_it_is_approved_the_partner_is_suspended_and_undoing_is_too_late() -> None:
    ann, senior = a_person("ann", Role.ANALYST), a_person("sue", Role.SENIOR_ANALYST)
    raise_alarms(at=now())
    case = decide("suspension-proposed", by=ann)
    approvals.approve(Approval.objects.get().pk, by=senior, at=now())
    assert Partner.objects.get().state == "suspended"
    with pytest.raises(TooLate):
        undo(case, by=ann)


@pytest.mark.usefixtures("flood", "acme")
def test_a_warning_is_its_notice(ann: User) -> None:
    raise_alarms(at=now())
    decide("partner-warned", by=ann)
    assert told() == [{"did": "partner-warned", "programme": "csea", "about": "flood"}]


@pytest.mark.usefixtures("flood")
def test_if_the_ledger_cannot_be_written_nothing_happened(
    acme: Company, ann: User, ledger_refuses: LedgerRefuses
) -> None:
    with ledger_refuses():
        raise_alarms(at=now())
    assert not Case.objects.exists()
    raise_alarms(at=now())
    for reason in ("probation", "throttled", "partner-warned"):
        with ledger_refuses():
            decide(reason, by=ann)
    partner = Partner.objects.get(pk=acme.partner.pk)
    assert (partner.is_probationary, partner.statements_per_second, told()) == (False, None, [])
