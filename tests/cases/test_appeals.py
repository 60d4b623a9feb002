"""Disputes and appeals: who judges them, what is restricted meanwhile, and that everyone who was told hears the end."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from hub.staff import approvals
from hub.staff.models import Approval
from hub.staff.roles import Role
from signals.cases import appeals, claiming, deciding, second_person, talking, undoing
from signals.cases.opening import close_overtaken, open_case, open_disputed
from signals.cases.refusals import InvalidDecision, NeedsSecondPerson, NotIndependent, TooLate
from signals.cases.rows import read
from signals.core.cases import CaseKind, Outcome, Remedy
from signals.core.refusals import CannotMove
from signals.lifecycle import rule
from signals.lifecycle.notices import post_notices
from signals.lifecycle.quarantine import revoke_compromised_key, settle_fallen_keys
from signals.lifecycle.weigh import weigh
from signals.models import Case, CaseEvent, RemedyAsked, Ruling, Signal, Weight
from tests.admin.scene import a_person
from tests.builders import KeyPair, a_programme
from tests.cases.conftest import LedgerRefuses, Recorded
from tests.companies import Company, a_company, another_key, now, settle

pytestmark = pytest.mark.django_db
ANN, BEN, EVE = "staff:7", "staff:8", "staff:9"
VALUE = "https://bad.example/acme-social/1"  # of the room's signal
UPHOLD: dict[str, Any] = {"outcome": Outcome.UPHELD, "reason": "mistaken-identity"}
REJECT: dict[str, Any] = {"outcome": Outcome.REJECTED, "reason": "confirmed-on-review"}


class Room:
    """Acme said a signal, Birch was handed it, Cedar was not; and somebody was hit by it at Dora's."""

    def __init__(self) -> None:
        csea = a_programme("csea")
        self.acme, self.birch, self.cedar, self.dora = (
            a_company(slug, csea) for slug in ("acme-social", "birch-chat", "cedar-video", "dora-games")
        )
        self.jws = self.acme.sign(self.acme.signal())
        [verdict] = self.acme.say(self.jws)
        self.signal = Signal.objects.get(pk=verdict["signal"])
        self.birch.feed()

    def appeal(self, by: Company | None = None, **members: Any) -> Any:
        body = {
            "programme": "csea",
            "signal": str(self.signal.pk),
            "reason": "mistaken-identity",
            "evidence": "identity-checked",
            **members,
        }
        return (by or self.dora).http.post("/api/v1/appeals", body, content_type="application/json")

    def case(self) -> Case:
        return Case.objects.get(kind="appeal")

    def state(self) -> str:
        self.signal.refresh_from_db()
        return self.signal.state


@pytest.fixture(scope="module")
def _made_once(module_db: None, django_db_blocker: DjangoDbBlocker) -> Room:
    with django_db_blocker.unblock():
        return Room()


@pytest.fixture
def room(_made_once: Room, db: None) -> Room:
    return deepcopy(_made_once)


def decide(case: Case, actor: str = ANN, **how: Any) -> Case:
    mine = claiming.claim(case.pk, actor=actor, at=now())
    assert mine.lease_token is not None
    asked: dict[str, Any] = {"policy": "Redress 2", "text": "", "actor": actor, "at": now(), **how}
    return deciding.decide(case.pk, token=mine.lease_token, version=mine.version, **asked)


def notices(company: Company, kind: str) -> list[dict[str, Any]]:
    while post_notices(at=now()):
        pass
    items = company.http.get("/api/v1/notices").json()["items"]
    return [item["facts"] for item in items if item["kind"] == kind]


def test_a_reference_shows_the_state_and_nobodys_name(room: Room, recorded: Recorded) -> None:
    answer = room.appeal()
    assert answer.status_code == 201
    said = answer.json()
    assert said["state"] == "in-review"
    assert set(said) == {"reference", "state", "appealed_at", "due_at", "decided_at"}
    assert room.appeal().json() == said, "twice is once"
    read = room.dora.http.get(f"/api/v1/appeals/{said['reference']}")
    assert read.json() == said
    assert room.acme.http.get(f"/api/v1/appeals/{said['reference']}").status_code == 404
    assert room.state() == "published"
    [leaf] = [event for event in recorded() if event["action"] == "appeal.received"]
    assert leaf["facts"] == {"at_risk": False, "evidence": "identity-checked", "reason": "mistaken-identity"}


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"signal": str(uuid4())}, 404),
        ({"programme": "nobodys"}, 404),
        ({"signal": "no uuid"}, 422),
        ({"reason": "because"}, 422),
        ({"who": "somebody"}, 422),
    ],
)
def test_what_cannot_be_appealed_against(room: Room, members: dict[str, str], status: int) -> None:
    assert room.appeal(None, **members).status_code == status
    assert not Case.objects.exists()


def test_what_one_may_not_see_looks_like_what_there_is_not(room: Room) -> None:
    jws = room.acme.sign(room.acme.signal(audience="routed"))
    verdicts = room.acme.say(jws, room.acme.routing(jws, only=["birch-chat"]))
    hidden, unknown = room.appeal(signal=verdicts[0]["signal"]), room.appeal(signal=str(uuid4()))
    assert (hidden.status_code, hidden.content) == (unknown.status_code, unknown.content)
    assert room.appeal(room.birch, signal=verdicts[0]["signal"]).status_code == 201


def test_at_significant_risk_it_is_restricted_until_decided_and_due_within_a_day(room: Room) -> None:
    room.appeal(risk="significant")
    assert room.state() == "restricted"
    assert room.case().due_at < now() + timedelta(hours=25)
    assert open_disputed(at=now()) == 0, "the appeal is its case"
    decide(room.case(), **REJECT)
    assert room.state() == "published"


def test_that_there_is_significant_risk_may_be_said_later(room: Room, recorded: Recorded) -> None:
    first = room.appeal().json()
    again = room.appeal(risk="significant").json()
    assert again["reference"] == first["reference"]
    assert again["due_at"] < first["due_at"]
    assert room.state() == "restricted"
    assert room.appeal().json() == room.appeal(risk="significant").json() == again, "it is not unsaid, and said once"
    received = [event["facts"]["at_risk"] for event in recorded() if event["action"] == "appeal.received"]
    assert received == [False, True]
    decide(room.case(), **REJECT)
    assert room.state() == "published"


def test_who_was_rejected_does_not_restrict_the_signal_by_appealing_again(room: Room) -> None:
    room.appeal(risk="significant")
    decide(room.case(), **REJECT)
    room.appeal(risk="significant")
    assert room.state() == "published"
    assert Case.objects.get(state="waiting").due_at < now() + timedelta(hours=25), "it is judged within the day"
    room.appeal(room.birch, risk="significant")
    assert room.state() == "restricted", "another partner was not rejected"


def test_a_rejected_appeal_lifts_no_ruling_but_its_own(room: Room) -> None:
    room.appeal(risk="significant")
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    decide(room.case(), BEN, **REJECT)
    assert room.state() == "restricted"
    assert open_disputed(at=now()) == 1, "what is left of it is a case of its own"


def test_an_appeal_goes_to_somebody_who_had_no_hand_in_it(room: Room) -> None:
    dispute = open_case(CaseKind.DISPUTE, signal_id=room.signal.pk, actor="system:cases", at=now())
    talking.comment(dispute.pk, "I know this one", actor=ANN, at=now())
    room.appeal()
    assert claiming.claim_next(actor=ANN, at=now(), kinds=[CaseKind.APPEAL]) is None
    with pytest.raises(NotIndependent):
        claiming.claim(room.case().pk, actor=ANN, at=now())
    found = claiming.claim_next(actor=BEN, at=now(), kinds=[CaseKind.APPEAL])
    assert found is not None


def test_who_ruled_on_a_signal_outside_its_cases_does_not_judge_an_appeal_about_it(room: Room) -> None:
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    room.appeal()
    assert claiming.claim_next(actor=ANN, at=now(), kinds=[CaseKind.APPEAL]) is None
    with pytest.raises(NotIndependent):
        claiming.claim(room.case().pk, actor=ANN, at=now())
    assert claiming.claim_next(actor=BEN, at=now(), kinds=[CaseKind.APPEAL]) is not None


def test_an_upheld_appeal_reaches_whoever_had_it_and_each_says_what_it_put_right(
    room: Room, recorded: Recorded
) -> None:
    reference = room.appeal().json()["reference"]
    decided = decide(room.case(), **UPHOLD)
    assert room.state() == "restricted"
    [told] = notices(room.birch, "appeal.decided")
    assert (told["outcome"], told["reason"]) == ("upheld", "mistaken-identity")
    assert notices(room.acme, "appeal.decided"), "its author too"
    assert not notices(room.cedar, "appeal.decided"), "was never handed it"
    assert notices(room.dora, "appeal.answered") == [{"reference": reference, "programme": "csea", "outcome": "upheld"}]
    assert room.dora.http.get(f"/api/v1/appeals/{reference}").json()["state"] == "upheld"

    address = f"/api/v1/remedies/{told['remedy']}"
    body = {"did": "access-restored"}
    assert room.cedar.http.post(address, body, content_type="application/json").status_code == 404
    assert room.birch.http.post(address, {"did": "x"}, content_type="application/json").status_code == 422
    answer = room.birch.http.post(address, body, content_type="application/json")
    assert (answer.status_code, answer.json()["did"]) == (200, "access-restored")
    left = RemedyAsked.objects.filter(case=decided, answered_at__isnull=True)
    assert [asked.partner_id for asked in left] == [room.acme.partner.pk]
    assert {"appeal.told", "appeal.remedied", "signal.ruled"} <= {event["action"] for event in recorded()}


def test_a_rejected_appeal_is_told_and_nobody_has_to_put_anything_right(room: Room) -> None:
    room.appeal()
    decide(room.case(), **REJECT)
    assert room.state() == "published"
    [told] = notices(room.birch, "appeal.decided")
    assert told["outcome"] == "rejected"
    assert "remedy" not in told
    assert not RemedyAsked.objects.exists()


def test_an_appeal_about_what_was_withdrawn_is_answered_all_the_same(room: Room) -> None:
    room.appeal()
    room.acme.say(room.acme.withdrawal(room.jws))
    assert close_overtaken(at=now()) == 0
    decide(room.case(), **UPHOLD)
    assert room.state() == "withdrawn"
    assert notices(room.birch, "appeal.decided")


def test_who_withdraws_before_an_appeal_is_upheld_does_not_say_it_anew_unseen(room: Room) -> None:
    room.appeal()
    room.acme.say(room.acme.withdrawal(room.jws))
    case = decide(room.case(), **UPHOLD)
    assert Weight.objects.get(signal_id=room.signal.pk).standing == "refuted"
    [anew] = room.acme.say(room.acme.sign(room.acme.signal(VALUE)))
    assert anew["verdict"] == "held"
    assert Signal.objects.get(pk=anew["signal"]).held_reasons == ["contested"]
    undoing.reopen(case.pk, text="New papers", actor=EVE, at=now())
    decide(room.case(), BEN, **REJECT)
    assert (room.state(), Weight.objects.get(signal_id=room.signal.pk).standing) == ("withdrawn", "unreviewed")


def test_an_appeal_upheld_while_its_signal_is_not_served_restricts_it_when_it_comes_back(room: Room) -> None:
    thief = another_key(room.acme)
    room.appeal()
    room.acme.say(room.acme.withdrawal(room.jws, key=thief))
    decide(room.case(), **UPHOLD)
    come_back(room, thief)
    assert (room.state(), Weight.objects.get(signal_id=room.signal.pk).standing) == ("restricted", "refuted")


def come_back(room: Room, thief: KeyPair) -> None:
    """The key that withdrew the signal falls."""
    revoke_compromised_key(thief.kid, partner_id=room.acme.partner.pk, compromised_at=None, actor=EVE, at=now())
    while settle_fallen_keys(at=now()):
        pass
    settle()


def test_an_appeal_rejected_while_its_signal_is_not_served_leaves_nothing_of_what_it_restricted(room: Room) -> None:
    thief = another_key(room.acme)
    room.appeal(risk="significant")
    assert room.state() == "restricted"
    room.acme.say(room.acme.withdrawal(room.jws, key=thief))
    assert room.state() == "withdrawn"
    decide(room.case(), **REJECT)
    come_back(room, thief)
    assert (room.state(), Weight.objects.get(signal_id=room.signal.pk).standing) == ("published", "unreviewed")
    assert open_disputed(at=now()) == 0


def test_what_everybody_was_told_is_not_undone_but_decided_anew(room: Room) -> None:
    room.appeal()
    case = decide(room.case(), **UPHOLD)
    with pytest.raises(TooLate, match="decide anew"):
        undoing.undo(case.pk, text="", actor=ANN, at=now())
    undoing.reopen(case.pk, text="New papers", actor=ANN, at=now())
    decide(room.case(), BEN, **REJECT)
    assert not RemedyAsked.objects.exists()
    assert [told["outcome"] for told in notices(room.birch, "appeal.decided")] == ["upheld", "rejected"]


@pytest.mark.parametrize("risk", [{}, {"risk": "significant"}])
def test_a_signal_stands_again_when_an_upheld_appeal_is_decided_anew(room: Room, risk: dict[str, str]) -> None:
    room.appeal(None, **risk)
    for actor in (ANN, BEN):
        case = decide(room.case(), actor, **UPHOLD)
        assert Weight.objects.get(signal_id=room.signal.pk).standing == "refuted"
        undoing.reopen(case.pk, text="New papers", actor=ANN, at=now())
    decide(room.case(), EVE, **REJECT)
    assert (room.state(), Weight.objects.get(signal_id=room.signal.pk).standing) == ("published", "unreviewed")
    assert open_disputed(at=now()) == 0


def test_an_appeal_decided_anew_takes_back_nobody_elses_finding(room: Room) -> None:
    rule.dispute(room.signal.pk, reason="account-closed", actor=EVE, at=now())
    room.appeal()
    case = decide(room.case(), ANN, **UPHOLD)
    undoing.reopen(case.pk, text="New papers", actor=ANN, at=now())
    case = decide(room.case(), BEN, **REJECT)
    assert Weight.objects.get(signal_id=room.signal.pk).standing == "disputed", "as it was before the appeal"
    undoing.reopen(case.pk, text="Newer papers", actor=ANN, at=now())
    rule.refute(room.signal.pk, reason="appeal", actor=EVE, at=now())
    decide(room.case(), "staff:10", **REJECT)
    assert Weight.objects.get(signal_id=room.signal.pk).standing == "refuted"


def test_an_appeal_opened_again_goes_to_somebody_who_has_not_decided_it(room: Room) -> None:
    room.appeal()
    case = decide(room.case(), ANN, **REJECT)
    undoing.reopen(case.pk, text="New papers", actor=BEN, at=now())
    assert claiming.claim_next(actor=ANN, at=now()) is None
    with pytest.raises(NotIndependent):
        claiming.claim(case.pk, actor=ANN, at=now())
    talking.comment(case.pk, "I am at it", actor=BEN, at=now())
    assert claiming.claim_next(actor=BEN, at=now()) == case


def test_a_dispute_that_is_over_is_not_opened_again_and_its_decision_stays(room: Room) -> None:
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    open_disputed(at=now())
    case = decide(Case.objects.get(), outcome=Outcome.REJECTED, reason="unfounded-dispute")
    with pytest.raises(InvalidDecision, match="dispute it anew"):
        undoing.reopen(case.pk, text="New papers", actor=ANN, at=now())
    assert close_overtaken(at=now()) == 0
    case.refresh_from_db()
    assert (case.state, case.outcome, case.reason) == ("decided", "rejected", "unfounded-dispute")
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    again = undoing.reopen(case.pk, text="New papers", actor=ANN, at=now())
    assert (open_disputed(at=now()), close_overtaken(at=now()), again.state) == (0, 0, "waiting")
    decide(again, outcome=Outcome.UPHELD, reason="benign-value")
    assert undoing.reopen(case.pk, text="", actor=ANN, at=now()).state == "waiting", "what was found wrong is disputed"


def test_a_disputed_signal_gets_a_case_whose_decision_rules(room: Room) -> None:
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    assert (open_disputed(at=now()), open_disputed(at=now())) == (1, 0)
    case = decide(Case.objects.get(), outcome=Outcome.REJECTED, reason="unfounded-dispute")
    assert room.state() == "published"
    assert open_disputed(at=now()) == 0
    undoing.undo(case.pk, text="", actor=ANN, at=now())
    assert room.state() == "restricted"
    decide(case, outcome=Outcome.UPHELD, reason="benign-value")
    assert room.state() == "restricted"
    assert (open_disputed(at=now()), close_overtaken(at=now())) == (0, 0)


@pytest.mark.parametrize(
    ("outcome", "reason", "decided"),
    [(Outcome.REJECTED, "unfounded-dispute", "unreviewed"), (Outcome.UPHELD, "benign-value", "refuted")],
)
def test_an_undone_decision_on_a_dispute_leaves_the_signal_exactly_where_it_was(
    room: Room, outcome: Outcome, reason: str, decided: str
) -> None:
    def stands() -> tuple[str, str]:
        return room.state(), Weight.objects.get(signal_id=room.signal.pk).standing

    room.birch.say(room.birch.opinion(room.jws, "false-positive"))
    assert stands() == ("published", "disputed"), "one dispute restricts nothing"
    open_disputed(at=now())
    case = decide(Case.objects.get(), outcome=outcome, reason=reason)
    assert stands()[1] == decided
    undoing.undo(case.pk, text="", actor=BEN, at=now())
    assert stands() == ("published", "disputed")
    assert close_overtaken(at=now()) == 0


def test_a_decision_on_a_dispute_that_was_ruled_over_since_is_not_undone(room: Room) -> None:
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    open_disputed(at=now())
    case = decide(Case.objects.get(), outcome=Outcome.REJECTED, reason="unfounded-dispute")
    rule.dispute(room.signal.pk, reason="account-closed", actor=BEN, at=now())
    with pytest.raises(CannotMove, match="ruled on the signal since"):
        undoing.undo(case.pk, text="", actor=ANN, at=now())
    assert room.state() == "restricted"
    case.refresh_from_db()
    assert case.outcome == "rejected"


def test_a_signal_that_partners_refuted_gets_a_case_and_one_that_an_analyst_did_gets_none(room: Room) -> None:
    for company in (room.birch, room.cedar):
        company.say(company.opinion(room.jws, "false-positive"))
    assert Weight.objects.get(signal_id=room.signal.pk).standing == "refuted"
    assert (open_disputed(at=now()), open_disputed(at=now())) == (1, 0)
    assert close_overtaken(at=now()) == 0
    decide(Case.objects.get(), outcome=Outcome.UPHELD, reason="benign-value")
    assert open_disputed(at=now()) == 0


@pytest.mark.parametrize(
    ("outcome", "reason"), [(Outcome.UPHELD, "benign-value"), (Outcome.REJECTED, "unfounded-dispute")]
)
def test_a_dispute_of_what_was_withdrawn_a_second_ago_is_not_ruled_on(
    room: Room, outcome: Outcome, reason: str
) -> None:
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    open_disputed(at=now())
    room.acme.say(room.acme.withdrawal(room.jws))
    rulings = Ruling.objects.count()
    with pytest.raises(CannotMove, match="its author withdrew it"):
        decide(Case.objects.get(), outcome=outcome, reason=reason, text="a long comment")
    assert (room.state(), Ruling.objects.count(), Case.objects.get().state) == ("withdrawn", rulings, "waiting")
    assert close_overtaken(at=now()) == 1, "and nobody need decide it any more"


def test_the_case_of_a_dispute_that_is_over_is_closed(room: Room) -> None:
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    open_disputed(at=now())
    rule.lift(room.signal.pk, reason="corrected", actor=ANN, at=now())
    assert close_overtaken(at=now()) == 1


def test_if_the_ledger_cannot_be_written_nothing_happened(room: Room, ledger_refuses: LedgerRefuses) -> None:
    from partners import public
    from signals.core.cases import AppealEvidence, AppealReason

    member = public.membership(room.dora.partner.pk, "csea", at=now())
    assert member is not None
    with ledger_refuses():
        appeals.appeal(
            member,
            room.signal.pk,
            reason=AppealReason.OTHER,
            evidence=AppealEvidence.STATEMENT,
            is_at_risk=True,
            at=now(),
        )
    assert not Case.objects.exists()
    assert room.state() == "published"
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    with ledger_refuses():
        open_disputed(at=now())
    room.appeal()
    with ledger_refuses():
        decide(room.case(), BEN, **UPHOLD)
    decide(room.case(), BEN, **UPHOLD)
    asked = RemedyAsked.objects.get(partner_id=room.birch.partner.pk)
    with ledger_refuses():
        appeals.remedy(asked.pk, member_id=asked.partner_id, did=Remedy.NOTHING_HELD, at=now())
    asked.refresh_from_db()
    assert asked.did == ""
    assert isinstance(asked.pk, UUID)


def corroborated(room: Room) -> Case:
    """An appeal about what another partner saw itself, claimed by Rosa."""
    room.birch.say(room.birch.sign(room.birch.signal(VALUE)))
    weigh([room.signal.pk], at=now())
    assert Weight.objects.get(signal_id=room.signal.pk).standing == "corroborated"
    room.appeal()
    return claiming.claim(room.case().pk, actor=f"staff:{a_person('rosa', Role.ANALYST).pk}", at=now())


def propose(case: Case) -> Case:
    assert case.lease_token is not None
    rosa = a_person("rosa", Role.ANALYST)
    how: dict[str, Any] = {**UPHOLD, "policy": "Redress 2", "text": "Twins", "by": rosa, "at": now()}
    return second_person.decide_or_propose(case.pk, token=case.lease_token, version=case.version, **how)


def test_what_others_bear_out_is_found_wrong_by_two_people(room: Room) -> None:
    otto, case = a_person("otto", Role.ANALYST), corroborated(room)
    assert case.lease_token is not None
    alone: dict[str, Any] = {**UPHOLD, "policy": "Redress 2", "text": "", "actor": case.holder, "at": now()}
    with pytest.raises(NeedsSecondPerson):
        deciding.decide(case.pk, token=case.lease_token, version=case.version, **alone)
    assert propose(case).state == "paused"
    assert room.state() == "published"
    waiting = Approval.objects.get()
    with pytest.raises(approvals.OwnProposal):
        approvals.approve(waiting.pk, by=a_person("rosa", Role.ANALYST), at=now())
    assert "upheld" in approvals.approve(waiting.pk, by=otto, at=now())
    assert room.state() == "restricted"
    assert room.case().decided_by == f"staff:{otto.pk}"
    [told] = notices(room.birch, "appeal.decided")
    assert told["outcome"] == "upheld"


def test_who_proposes_is_locked_before_the_case_as_whoever_approves_locks(room: Room) -> None:
    case = corroborated(room)
    with CaptureQueriesContext(connection) as asked:
        propose(case)
    locked = [query["sql"] for query in asked if " FOR " in query["sql"] and "UPDATE" in query["sql"]]
    tables = [next(name for name in ("auth_user", "signals_case") if name in sql) for sql in locked[:2]]
    assert tables == ["auth_user", "signals_case"]


def test_a_dispute_of_what_others_bear_out_takes_two_people_too(room: Room) -> None:
    room.birch.say(room.birch.sign(room.birch.signal(VALUE)))
    rule.dispute(room.signal.pk, reason="benign-value", actor=ANN, at=now())
    assert Weight.objects.get(signal_id=room.signal.pk).standing == "disputed"
    open_disputed(at=now())
    with pytest.raises(NeedsSecondPerson):
        decide(Case.objects.get(), BEN, **UPHOLD)
    assert decide(Case.objects.get(), BEN, **REJECT).outcome == "rejected", "that it stands, one finds alone"


def test_a_proposal_about_what_has_changed_since_is_stale(room: Room) -> None:
    otto = a_person("otto", Role.ANALYST)
    propose(corroborated(room))
    talking.resume(room.case().pk, actor=ANN, at=now())
    with pytest.raises(approvals.Stale):
        approvals.approve(Approval.objects.get().pk, by=otto, at=now())
    assert room.state() == "published"


def test_nothing_is_proposed_without_the_ledger(room: Room, ledger_refuses: LedgerRefuses) -> None:
    case = corroborated(room)
    with ledger_refuses():
        propose(case)
    assert not Approval.objects.exists()
    assert room.case().state == "waiting"


def test_a_case_goes_on_by_itself_when_what_was_proposed_comes_to_nothing(room: Room) -> None:
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.ANALYST)
    propose(corroborated(room))
    approvals.refuse(Approval.objects.get().pk, by=otto, reason="They are no twins", at=now())
    assert (room.case().state, room.case().pause_reason) == ("waiting", "")
    resumed = CaseEvent.objects.filter(kind="resumed").order_by("-pk")
    assert (resumed[0].facts["proposal"], resumed[0].actor) == ("refused", f"staff:{otto.pk}")
    assert read(resumed[0]) == {"comment": "They are no twins"}

    propose(claiming.claim(room.case().pk, actor=f"staff:{rosa.pk}", at=now()))
    approvals.withdraw(Approval.objects.get(state="waiting").pk, by=rosa, at=now())
    assert (room.case().state, resumed[0].facts["proposal"]) == ("waiting", "withdrawn")

    propose(claiming.claim(room.case().pk, actor=f"staff:{rosa.pk}", at=now()))
    due = room.case().due_at
    assert approvals.expire_proposals(at=now() + timedelta(days=30)) == 1
    assert (room.case().state, resumed[0].facts["proposal"]) == ("waiting", "expired")
    assert room.case().due_at > due + timedelta(days=29), "its clock stood still meanwhile"


def test_a_case_that_was_taken_up_again_or_waits_for_another_proposal_stays_as_it_is(room: Room) -> None:
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.ANALYST)
    propose(corroborated(room))
    first = Approval.objects.get()
    talking.resume(room.case().pk, actor=ANN, at=now())
    version = room.case().version
    propose(claiming.claim(room.case().pk, actor=f"staff:{rosa.pk}", at=now()))
    approvals.refuse(first.pk, by=otto, reason="The other one", at=now())
    assert (room.case().state, room.case().version) == ("paused", version + 2)
    talking.resume(room.case().pk, actor=ANN, at=now())
    approvals.withdraw(Approval.objects.get(state="waiting").pk, by=rosa, at=now())
    assert (room.case().state, room.case().version) == ("waiting", version + 3)


def test_if_the_ledger_cannot_be_written_neither_proposal_nor_case_goes_on(
    room: Room, ledger_refuses: LedgerRefuses
) -> None:
    otto = a_person("otto", Role.ANALYST)
    propose(corroborated(room))
    with ledger_refuses():
        approvals.refuse(Approval.objects.get().pk, by=otto, reason="no", at=now())
    assert (room.case().state, Approval.objects.get().state) == ("paused", "waiting")
