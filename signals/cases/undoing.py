"""Take a decision back within its window, while nobody has been served by it; or open a decided case again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction

from signals.cases import measures
from signals.cases.deciding import Effect
from signals.cases.opening import is_overtaken
from signals.cases.refusals import CaseTaken, InvalidDecision, TooLate
from signals.cases.rows import lock, note
from signals.core.cases import DUE_WITHIN, UNDO_WITHIN, CaseEventKind, CaseKind, CaseState, Outcome
from signals.core.refusals import CannotMove
from signals.lifecycle import review, rule
from signals.models import Case
from signals.voices import standing_ruling


def undo(case_id: UUID, *, text: str, actor: str, at: datetime, asked_at: datetime | None = None) -> Case:
    """Undo a decision: the signal is where it was, and the case waits again, due when it was.

    Refuses TooLate after half an hour, by when it was asked for if that was not now, and where the decision cannot be
    taken back: what was approved and has been published is in members' hands. Refuses CannotMove where the signal has
    gone on by itself.
    """
    with transaction.atomic():
        case = _decided(case_id)
        assert case.decided_at is not None
        check_window(case.decided_at, asked_at=asked_at or at)
        UNDOES[CaseKind(case.kind), Outcome(case.outcome)](case, actor, at)
        facts = {"outcome": case.outcome, "reason": case.reason}
        _wait_again(case)
        _note(case, CaseEventKind.UNDONE, facts=facts, text=text, actor=actor, at=at)
    return case


def check_window(decided_at: datetime, *, asked_at: datetime) -> None:
    """Refuses TooLate for what was decided longer ago than a decision may be undone."""
    if asked_at - decided_at > UNDO_WITHIN:
        raise TooLate(f"Decisions are undone within {int(UNDO_WITHIN.total_seconds() // 60)} minutes; open it again.")


def reopen(case_id: UUID, *, text: str, actor: str, at: datetime) -> Case:
    """Open a decided dispute, appeal or alarm again; its decision stands until there is another, and it is due anew.

    Refuses InvalidDecision for a hold: what was approved is published, what was refused may be said anew; and for a
    dispute of what nobody disputes now: there would be nothing to decide, and the sweep would close it at once.
    """
    with transaction.atomic():
        case = _decided(case_id)
        if case.kind == CaseKind.HOLD:
            raise InvalidDecision("A decided hold is not opened again; its author may say the signal anew.")
        if is_overtaken(case):
            raise InvalidDecision(
                "Nobody disputes the signal now, or it is served no more: the decision stands, and nothing was done."
                " If it is wrong after all, dispute it anew on its own page; that opens a case."
            )
        facts = {"outcome": case.outcome, "reason": case.reason}
        _wait_again(case)
        case.due_at = at + DUE_WITHIN[CaseKind(case.kind)]
        _note(case, CaseEventKind.REOPENED, facts=facts, text=text, actor=actor, at=at)
    return case


def may_undo(case: Case, *, at: datetime) -> bool:
    """Whether the window is open; whether the effect can be taken back shows when it is tried."""
    return bool(case.decided_by) and case.decided_at is not None and at - case.decided_at <= UNDO_WITHIN


def _decided(case_id: UUID) -> Case:
    case = lock(case_id)
    if case.state != CaseState.DECIDED or not case.decided_by:
        raise InvalidDecision("Nobody has decided this case.")
    return case


def _wait_again(case: Case) -> None:
    case.state, case.outcome, case.reason = CaseState.WAITING.value, "", ""
    case.decided_by, case.decided_at, case.before = "", None, ""


def _note(case: Case, kind: CaseEventKind, *, facts: Mapping[str, str], text: str, actor: str, at: datetime) -> None:
    try:
        with transaction.atomic():
            note(case, kind, actor=actor, at=at, facts=facts, text=text)
    except IntegrityError:
        raise CaseTaken("Another case about the same has been opened since; go on in that one.") from None


def _nothing(case: Case, actor: str, at: datetime) -> None:
    """Nothing had come of it."""


def _hold_again(case: Case, actor: str, at: datetime) -> None:
    assert case.signal_id is not None
    review.hold_again(case.signal_id, actor=actor, at=at)


def _take_back(case: Case, actor: str, at: datetime) -> None:
    """The ruling that the decision made, if it is the last word still: partners' disputes weigh as they did before."""
    assert case.signal_id is not None
    ruling = standing_ruling(case.signal_id)
    if ruling is None or (ruling.actor, ruling.at) != (case.decided_by, case.decided_at):
        raise CannotMove("Somebody has ruled on the signal since: the decision stands. You may open the case again.")
    rule.undo(ruling, actor=actor, at=at)


def _is_told(case: Case, actor: str, at: datetime) -> None:
    del case, actor, at
    raise TooLate("Every partner that had the signal has been told. Open the case again and decide anew: they hear it.")


UNDOES: Final[Mapping[tuple[CaseKind, Outcome], Effect]] = {
    (CaseKind.HOLD, Outcome.APPROVED): _hold_again,
    (CaseKind.HOLD, Outcome.REFUSED): _hold_again,
    (CaseKind.DISPUTE, Outcome.UPHELD): _take_back,
    (CaseKind.DISPUTE, Outcome.REJECTED): _take_back,
    (CaseKind.APPEAL, Outcome.UPHELD): _is_told,
    (CaseKind.APPEAL, Outcome.REJECTED): _is_told,
    (CaseKind.QUALITY, Outcome.ACTED): measures.take_back,
    (CaseKind.QUALITY, Outcome.DISMISSED): _nothing,
}
