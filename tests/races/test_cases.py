"""Two people at one queue at the same moment: each gets a case of their own, and a case is decided once."""

from __future__ import annotations

from uuid import uuid4

import pytest

from hub.refusal import Refusal
from signals.cases import claiming, deciding
from signals.cases.opening import open_held
from signals.cases.refusals import CaseDecided, CaseTaken
from signals.core.cases import Outcome
from signals.models import Case, CaseEvent
from tests.builders import a_programme
from tests.companies import a_company, now
from tests.races.actors import Actor

pytestmark = pytest.mark.usefixtures("committed_db")
ANN, BEN = "staff:7", "staff:8"


def held(count: int) -> list[Case]:
    tag = uuid4().hex[:8]
    company = a_company(f"cedar-{tag}", a_programme(f"csea-{tag}"), is_probationary=True)
    company.say(*(company.sign(company.signal(programme=f"csea-{tag}")) for _ in range(count)))
    open_held(at=now())
    return list(Case.objects.filter(state="waiting", holder="").order_by("due_at"))


def test_two_who_ask_for_the_next_case_get_two_and_neither_waits() -> None:
    held(2)
    with Actor("ann") as ann, Actor("ben") as ben:
        assert ann.begin(lambda: claiming.claim_next(actor=ANN, at=now()))
        assert ben.begin(lambda: claiming.claim_next(actor=BEN, at=now())), "blocked"
        first, second = ann.end(), ben.end()
    assert isinstance(first, Case)
    assert isinstance(second, Case)
    assert first.pk != second.pk
    Case.objects.filter(pk__in=[first.pk, second.pk]).update(holder="", lease_token=None, lease_until=None)


def test_of_two_who_claim_one_case_the_second_is_told_who_has_it() -> None:
    case = held(2)[0]
    with Actor("ann") as ann, Actor("ben") as ben:
        assert ann.begin(lambda: claiming.claim(case.pk, actor=ANN, at=now()))
        assert not ben.begin(lambda: told(lambda: claiming.claim(case.pk, actor=BEN, at=now())))
        ann.end()
        ben.arrive()
        refusal = ben.end()
    assert isinstance(refusal, CaseTaken)
    assert "staff:7" in refusal.detail


def test_a_case_is_decided_once_also_by_one_person_in_two_windows() -> None:
    case = claiming.claim(held(2)[0].pk, actor=ANN, at=now())
    token = case.lease_token
    assert token is not None

    def decide(outcome: Outcome, reason: str) -> object:
        return told(
            lambda: deciding.decide(
                case.pk,
                token=token,
                version=case.version,
                outcome=outcome,
                reason=reason,
                policy="CSEA handbook 4.2",
                text="",
                actor=ANN,
                at=now(),
            )
        )

    with Actor("one window") as one, Actor("another") as another:
        assert one.begin(lambda: decide(Outcome.REFUSED, "flood"))
        assert not another.begin(lambda: decide(Outcome.APPROVED, "sound"))
        one.end()
        another.arrive()
        refusal = another.end()
    assert isinstance(refusal, CaseDecided)
    assert CaseEvent.objects.filter(case=case, kind="decided").count() == 1
    case.refresh_from_db()
    assert case.outcome == "refused"


def told(verb: object) -> object:
    """What a verb refuses, or what it returns."""
    assert callable(verb)
    try:
        return verb()
    except Refusal as refusal:
        return refusal
