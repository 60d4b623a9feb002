"""Decisions: with a reason and a policy, by whoever holds the case, from a page that is current; and taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from hub.vault import keyring
from signals.cases import claiming, deciding, talking, undoing
from signals.cases.opening import open_case, open_held
from signals.cases.refusals import (
    CaseDecided,
    CaseTaken,
    InvalidDecision,
    LeaseLost,
    StalePage,
    TooLate,
)
from signals.cases.rows import read
from signals.core.cases import DUE_WITHIN, REASONS, CaseKind, Outcome, reason_codes
from signals.core.refusals import CannotMove
from signals.models import Case, CaseEvent, Signal
from tests.admin.scene import hold_many
from tests.builders import a_programme
from tests.cases.conftest import LedgerRefuses, Recorded
from tests.companies import Company, a_company, now, settle

pytestmark = pytest.mark.django_db
ANN, BEN = "staff:7", "staff:8"
POLICY = "CSEA handbook 4.2"
APPROVE: dict[str, Any] = {"outcome": Outcome.APPROVED, "reason": "sound", "policy": POLICY, "text": ""}
REFUSE: dict[str, Any] = {"outcome": Outcome.REFUSED, "reason": "harmless-value", "policy": POLICY, "text": ""}


@pytest.fixture
def cedar(db: None) -> Company:
    return a_company("cedar-video", a_programme("csea"), is_probationary=True)


@pytest.fixture
def case(cedar: Company) -> Case:
    hold_many(cedar, 1)
    open_held(at=now())
    return claiming.claim(Case.objects.get().pk, actor=ANN, at=now())


def decide(case: Case, **how: Any) -> Case:
    assert case.lease_token is not None
    asked = {"token": case.lease_token, "version": case.version, "actor": ANN, "at": now(), **APPROVE, **how}
    return deciding.decide(case.pk, **asked)


def state_of(case: Case) -> str:
    assert case.signal_id is not None
    return Signal.objects.get(pk=case.signal_id).state


def test_an_approved_hold_is_published_and_its_case_says_why(case: Case, recorded: Recorded) -> None:
    decided = decide(case, text="Looked at the forum")
    settle()
    assert state_of(case) == "published"
    assert (decided.state, decided.outcome, decided.reason, decided.decided_by) == ("decided", "approved", "sound", ANN)
    assert decided.holder == ""
    event = CaseEvent.objects.get(case=case, kind="decided")
    assert read(event) == {"policy": POLICY, "comment": "Looked at the forum"}
    [leaf] = [event for event in recorded() if event["action"] == "case.decided"]
    assert leaf["facts"] == {"kind": "hold", "outcome": "approved", "reason": "sound"}
    assert set(leaf["commitments"]) == {"policy", "comment"}
    assert "hold.approved" in {event["action"] for event in recorded()}


def test_a_refused_hold_stays_unseen(case: Case) -> None:
    decide(case, **REFUSE)
    settle()
    assert state_of(case) == "refused"
    with pytest.raises(CaseDecided, match=r"staff:7 has decided this case at .* it was refused"):
        claiming.claim(case.pk, actor=BEN, at=now())


@pytest.mark.parametrize(
    "how",
    [{"reason": "poor-hash"}, {"reason": ""}, {"policy": " "}, {"policy": "two\nlines"}, {"outcome": Outcome.UPHELD}],
    ids=["a reason of another outcome", "no reason", "no policy", "two lines", "an outcome of another kind"],
)
def test_a_decision_without_a_fitting_reason_and_a_policy_is_none(case: Case, how: dict[str, Any]) -> None:
    with pytest.raises(InvalidDecision):
        decide(case, **how)
    assert state_of(case) == "held"


def test_a_claim_that_ran_out_while_deciding_decides_nothing(case: Case) -> None:
    Case.objects.update(lease_until=now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost, match="Nothing was done"):
        decide(case)
    claiming.claim(case.pk, actor=BEN, at=now())
    with pytest.raises(CaseTaken, match="staff:8 has claimed"):
        decide(case)
    assert state_of(case) == "held"


def test_a_stale_page_overwrites_nothing(case: Case) -> None:
    talking.comment(case.pk, "Wait: I know this one", actor=BEN, at=now())
    with pytest.raises(StalePage, match="look again"):
        decide(case)
    case.refresh_from_db()
    assert decide(case).outcome == "approved"


def test_a_decision_on_a_signal_withdrawn_a_second_ago_does_nothing(case: Case) -> None:
    Signal.objects.update(state="withdrawn", removal="withdrawn", removed_at=now())
    with pytest.raises(CannotMove, match="withdrew it"):
        decide(case, text="a long comment")
    case.refresh_from_db()
    assert (case.state, case.holder) == ("waiting", ANN)


def test_deciding_from_the_signals_page_respects_who_is_at_the_case(case: Case) -> None:
    assert case.signal_id is not None
    how: dict[str, Any] = {"reason": "sound", "policy": POLICY, "at": now()}
    with pytest.raises(CaseTaken):
        deciding.decide_held(case.signal_id, Outcome.APPROVED, actor=BEN, **how)
    assert deciding.decide_held(case.signal_id, Outcome.APPROVED, actor=ANN, **how).pk == case.pk


def test_a_held_signal_without_a_case_is_decided_all_the_same(cedar: Company) -> None:
    [signal] = hold_many(cedar, 1)
    deciding.decide_held(signal.pk, Outcome.REFUSED, reason="flood", policy=POLICY, actor=ANN, at=now())
    assert Case.objects.get().reason == "flood"


def test_what_is_written_after_its_signals_month_is_destroyed_is_kept_under_its_own(
    case: Case, settings: Settings, tmp_path: Path
) -> None:
    settings.KEYS_DIR = tmp_path / "keys"  # what is destroyed here is destroyed for nobody else
    assert case.signal_id is not None
    expires = Signal.objects.get(pk=case.signal_id).expires_at
    talking.comment(case.pk, "While it ran", actor=ANN, at=now())
    keyring.destroy_period("programme:csea", keyring.month_of(expires))
    talking.comment(case.pk, "Its author asks", actor=ANN, at=expires + timedelta(days=40))
    said = CaseEvent.objects.filter(case=case, kind="commented").order_by("pk")
    assert [read(event)["comment"] for event in said] == ["[erased]", "Its author asks"]


@pytest.mark.parametrize("how", [APPROVE, REFUSE], ids=["approved", "refused"])
def test_undone_before_anybody_was_served_it_is_held_again(case: Case, how: dict[str, Any], recorded: Recorded) -> None:
    due = case.due_at
    decide(case, **how)
    undone = undoing.undo(case.pk, text="the wrong button", actor=ANN, at=now())
    assert state_of(case) == "held"
    assert (undone.state, undone.outcome, undone.due_at) == ("waiting", "", due)
    assert {"case.undone", "hold.reopened"} <= {event["action"] for event in recorded()}
    again = claiming.claim(case.pk, actor=BEN, at=now())
    assert decide(again, actor=BEN).decided_by == BEN


def test_what_has_been_published_is_not_undone_and_nothing_after_its_window(case: Case) -> None:
    decide(case)
    settle()
    with pytest.raises(CannotMove, match="published"):
        undoing.undo(case.pk, text="", actor=ANN, at=now())
    with pytest.raises(TooLate):
        undoing.undo(case.pk, text="", actor=ANN, at=now() + timedelta(hours=1))
    case.refresh_from_db()
    assert case.outcome == "approved"


def test_an_alarm_is_opened_again_and_a_hold_is_not(case: Case, cedar: Company) -> None:
    alarm = open_case(CaseKind.QUALITY, partner_id=cedar.partner.pk, cause="burst", actor="system:cases", at=now())
    with pytest.raises(InvalidDecision, match="Nobody"):
        undoing.reopen(alarm.pk, text="", actor=ANN, at=now())
    alarm = claiming.claim(alarm.pk, actor=ANN, at=now())
    decide(alarm, outcome=Outcome.DISMISSED, reason="explained")
    again = undoing.reopen(alarm.pk, text="It goes on", actor=BEN, at=now())
    assert again.state == "waiting"
    alarm = claiming.claim(alarm.pk, actor=ANN, at=now())
    decide(alarm, outcome=Outcome.DISMISSED, reason="explained")
    open_case(CaseKind.QUALITY, partner_id=cedar.partner.pk, cause="burst", actor="system:cases", at=now())
    with pytest.raises(CaseTaken, match="Another case"):
        undoing.reopen(alarm.pk, text="", actor=ANN, at=now())
    decide(case)
    with pytest.raises(InvalidDecision):
        undoing.reopen(case.pk, text="", actor=ANN, at=now())


def test_if_the_ledger_cannot_be_written_nothing_happened(case: Case, ledger_refuses: LedgerRefuses) -> None:
    with ledger_refuses():
        decide(case)
    assert state_of(case) == "held"
    decide(case, **REFUSE)
    for verb in (undoing.undo, undoing.reopen):
        alarm = Case.objects.get(pk=case.pk)
        if verb is undoing.reopen:
            Case.objects.update(kind="quality")
        with ledger_refuses():
            verb(alarm.pk, text="", actor=ANN, at=now())
        assert state_of(case) == "refused"
        assert Case.objects.get().state == "decided"


def test_every_kind_has_its_time_its_reasons_and_an_effect_that_can_be_undone() -> None:
    assert set(DUE_WITHIN) == set(REASONS) == set(CaseKind)
    for kind, outcome in deciding.EFFECTS:
        assert REASONS[kind][outcome]
    assert set(deciding.EFFECTS) == set(undoing.UNDOES)
    assert all(code.count(":") == 1 for kind in CaseKind for code in reason_codes(kind))
