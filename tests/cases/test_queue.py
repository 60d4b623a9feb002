"""The queue of cases: opened once, the oldest due first, one person at a time, and a clock that can stand still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import PermissionDenied

from hub.refusal import Refusal
from hub.staff.roles import Role
from signals.cases import claiming, talking
from signals.cases.opening import close_overtaken, open_case, open_held
from signals.cases.refusals import CaseDecided, CasePaused, CaseTaken, InvalidDecision, LeaseLost, NoSuchCase
from signals.cases.rows import read
from signals.core.cases import CaseKind, PauseReason
from signals.lifecycle import review
from signals.models import Case, CaseEvent, Signal
from tests.admin.scene import a_person, hold_many
from tests.builders import a_programme
from tests.cases.conftest import LedgerRefuses, Recorded
from tests.companies import Company, a_company, now

pytestmark = pytest.mark.django_db
ANN, BEN = "staff:7", "staff:8"
HOUR = timedelta(hours=1)


@pytest.fixture
def cedar(db: None) -> Company:
    return a_company("cedar-video", a_programme("csea"), is_probationary=True)


@pytest.fixture
def case(cedar: Company) -> Case:
    hold_many(cedar, 1)
    assert open_held(at=now()) == 1
    return Case.objects.get()


def run_out(case: Case) -> None:
    Case.objects.filter(pk=case.pk).update(lease_until=now() - HOUR)


def test_each_held_signal_gets_one_case_however_often_the_sweep_looks(cedar: Company, recorded: Recorded) -> None:
    held = hold_many(cedar, 3)
    Signal.objects.update(received_at=now() - 2 * HOUR)
    assert open_held(at=now()) == 3
    assert open_held(at=now()) == 0
    cases = Case.objects.all()
    assert {case.signal_id for case in cases} == {signal.pk for signal in held}
    assert all(case.due_at < now() + 23 * HOUR for case in cases), "due from when the hub received the signal"
    assert {case.cause for case in cases} == {"probation"}
    assert sum(event["action"] == "case.opened" for event in recorded()) == 3


def test_opening_twice_gives_the_same_case_which_may_become_due_earlier(cedar: Company) -> None:
    [signal] = hold_many(cedar, 1)
    first = open_case(CaseKind.DISPUTE, signal_id=signal.pk, actor="system:cases", at=now())
    again = open_case(CaseKind.DISPUTE, signal_id=signal.pk, due_at=now() + HOUR, actor="system:cases", at=now())
    assert again.pk == first.pk
    assert again.due_at < first.due_at
    other = open_case(CaseKind.QUALITY, partner_id=cedar.partner.pk, cause="burst", actor="system:cases", at=now())
    same = open_case(CaseKind.QUALITY, partner_id=cedar.partner.pk, cause="burst", actor="system:cases", at=now())
    assert other.pk == same.pk


def test_a_case_whose_signal_is_held_no_longer_is_closed_undecided(case: Case) -> None:
    assert case.signal_id
    review.refuse(case.signal_id, actor=ANN, at=now())
    assert close_overtaken(at=now()) == 1
    assert close_overtaken(at=now()) == 0
    case.refresh_from_db()
    assert (case.state, case.outcome) == ("decided", "overtaken")
    with pytest.raises(CaseDecided, match="gone"):
        claiming.claim(case.pk, actor=ANN, at=now())


def test_the_next_case_is_the_first_due_that_nobody_is_at(cedar: Company) -> None:
    hold_many(cedar, 4)
    open_held(at=now())
    for number, row in enumerate(Case.objects.all()):
        Case.objects.filter(pk=row.pk).update(due_at=now() + number * HOUR)
    first, second, third = Case.objects.order_by("due_at")[:3]
    got = claiming.claim_next(actor=ANN, at=now())
    assert got is not None
    assert (got.pk, got.holder) == (first.pk, ANN)
    other = claiming.claim_next(actor=BEN, at=now())
    assert other is not None
    assert other.pk == second.pk
    claiming.skip(other.pk, token=_token(other), actor=BEN, at=now())
    again = claiming.claim_next(actor=BEN, at=now())
    assert again is not None
    assert again.pk == third.pk, "passed over"


def test_nothing_is_next_of_another_kind(case: Case) -> None:
    assert claiming.claim_next(actor=ANN, at=now(), kinds=[CaseKind.APPEAL]) is None


def test_while_one_is_at_it_nobody_else_claims_it_and_afterwards_anybody(case: Case) -> None:
    mine = claiming.claim(case.pk, actor=ANN, at=now())
    with pytest.raises(CaseTaken, match="staff:7 is at this case"):
        claiming.claim(case.pk, actor=BEN, at=now())
    run_out(case)
    theirs = claiming.claim(case.pk, actor=BEN, at=now())
    with pytest.raises(CaseTaken, match="staff:8 has claimed"):
        claiming.release(case.pk, token=_token(mine), actor=ANN, at=now())
    with pytest.raises(CaseTaken):
        claiming.release(case.pk, token=_token(theirs), actor=ANN, at=now())
    claiming.release(case.pk, token=_token(theirs), actor=BEN, at=now())
    with pytest.raises(LeaseLost):
        claiming.heartbeat(case.pk, token=_token(theirs), actor=BEN)


def test_a_heartbeat_keeps_a_case_and_comes_too_late_once_the_claim_has_run_out(case: Case) -> None:
    mine = claiming.claim(case.pk, actor=ANN, at=now())
    Case.objects.filter(pk=case.pk).update(lease_until=now() + timedelta(minutes=1))
    assert claiming.heartbeat(case.pk, token=_token(mine), actor=ANN) > now() + timedelta(minutes=10)
    run_out(case)
    with pytest.raises(LeaseLost, match="run out"):
        claiming.heartbeat(case.pk, token=_token(mine), actor=ANN)


def test_what_is_handed_over_is_kept_for_the_receiver(case: Case) -> None:
    rosa, otto = a_person("rosa", Role.ANALYST), a_person("otto", Role.OPERATOR)
    mine = claiming.claim(case.pk, actor=ANN, at=now())
    with pytest.raises(PermissionDenied):
        claiming.hand_over(case.pk, token=_token(mine), to=otto, text="", actor=ANN, at=now())
    claiming.hand_over(case.pk, token=_token(mine), to=rosa, text="You know them", actor=ANN, at=now())
    with pytest.raises(CaseTaken):
        claiming.claim(case.pk, actor=ANN, at=now())
    assert claiming.claim(case.pk, actor=f"staff:{rosa.pk}", at=now()).holder == f"staff:{rosa.pk}"


def test_a_paused_clock_stands_still(case: Case) -> None:
    at, due = now(), case.due_at
    talking.pause(case.pk, PauseReason.PARTNER, text="asked them", actor=ANN, at=at)
    assert claiming.claim_next(actor=BEN, at=at) is None
    with pytest.raises(CasePaused):
        claiming.claim(case.pk, actor=ANN, at=at)
    with pytest.raises(CasePaused):
        talking.pause(case.pk, PauseReason.LEGAL, text="", actor=ANN, at=at)
    resumed = talking.resume(case.pk, actor=ANN, at=at + 5 * HOUR)
    assert resumed.due_at == due + 5 * HOUR
    assert talking.resume(case.pk, actor=ANN, at=at + 6 * HOUR).due_at == due + 5 * HOUR


def test_nobody_pauses_a_case_that_somebody_else_is_at(case: Case) -> None:
    claiming.claim(case.pk, actor=ANN, at=now())
    with pytest.raises(CaseTaken):
        talking.pause(case.pk, PauseReason.EXPERT, text="", actor=BEN, at=now())


def test_a_comment_is_sealed_and_the_ledger_holds_a_commitment_only(case: Case, recorded: Recorded) -> None:
    talking.comment(case.pk, "  It is a = well-known\nforum  ", actor=ANN, at=now())
    event = CaseEvent.objects.get(case=case, kind="commented")
    assert read(event) == {"comment": "It is a = well-known\nforum"}
    assert b"forum" not in bytes(event.sealed or b"")
    [leaf] = [event for event in recorded() if event["action"] == "case.commented"]
    assert "forum" not in str(leaf)
    assert set(leaf["commitments"]) == {"comment"}
    assert leaf["subjects"] == [f"case:{case.pk}", f"signal:{case.signal_id}"]
    with pytest.raises(InvalidDecision):
        talking.comment(case.pk, " \n", actor=ANN, at=now())
    with pytest.raises(NoSuchCase):
        talking.comment(uuid4(), "x", actor=ANN, at=now())


def test_events_are_never_changed(case: Case) -> None:
    from django.db import ProgrammingError, transaction

    rows = CaseEvent.objects.filter(case=case)
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        rows.update(actor="staff:9")
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        rows.delete()


def test_if_the_ledger_cannot_be_written_nothing_happened(cedar: Company, ledger_refuses: LedgerRefuses) -> None:
    hold_many(cedar, 2)
    with ledger_refuses():
        open_held(at=now())
    with ledger_refuses():
        open_case(CaseKind.QUALITY, partner_id=cedar.partner.pk, actor=ANN, at=now())
    assert not Case.objects.exists()
    open_held(at=now())
    case, other = Case.objects.order_by("due_at")
    claiming.claim(case.pk, actor=ANN, at=now())
    case.refresh_from_db()
    talking.pause(other.pk, PauseReason.LEGAL, text="", actor=ANN, at=now())
    token, rosa = _token(case), a_person("rosa", Role.ANALYST)
    before = _all()
    verbs: list[Callable[[], object]] = [
        lambda: claiming.claim(case.pk, actor=ANN, at=now()),
        lambda: claiming.release(case.pk, token=token, actor=ANN, at=now()),
        lambda: claiming.skip(case.pk, token=token, actor=ANN, at=now()),
        lambda: claiming.hand_over(case.pk, token=token, to=rosa, text="", actor=ANN, at=now()),
        lambda: talking.comment(case.pk, "x", actor=ANN, at=now()),
        lambda: talking.pause(case.pk, PauseReason.LEGAL, text="", actor=ANN, at=now()),
        lambda: talking.resume(other.pk, actor=ANN, at=now()),
    ]
    for verb in verbs:
        with ledger_refuses():
            verb()
        assert _all() == before
    Case.objects.filter(pk=case.pk).update(holder="", lease_token=None, lease_until=None)
    with ledger_refuses():
        claiming.claim_next(actor=ANN, at=now())
    Signal.objects.update(state="expired", removal="expired", removed_at=now())
    before = _all()
    with ledger_refuses():
        close_overtaken(at=now())
    assert _all() == before


def test_every_refusal_has_a_sentence() -> None:
    from signals.cases import refusals

    kinds = [kind for kind in vars(refusals).values() if isinstance(kind, type) and issubclass(kind, Refusal)]
    codes = [kind.code for kind in kinds if kind is not Refusal]
    assert len(set(codes)) == len(codes) == 10
    assert all(kind.__doc__ for kind in kinds)


def _token(case: Case) -> UUID:
    assert case.lease_token is not None
    return case.lease_token


def _all() -> list[object]:
    return [*Case.objects.order_by("pk").values(), *CaseEvent.objects.order_by("pk").values()]
