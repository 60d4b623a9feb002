"""What is said about a case while it is undecided: a comment, a pause with its reason, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from hub.ledger.leaf import Json
from signals.cases.refusals import CasePaused, CaseTaken, InvalidDecision
from signals.cases.rows import free, is_leased, lock, lock_undecided, note
from signals.core.cases import PAUSES, CaseEventKind, CaseState, PauseReason
from signals.models import Case


def comment(case_id: UUID, text: str, *, actor: str, at: datetime) -> Case:
    """Say something about a case, decided or not, whoever is at it. Refuses NoSuchCase; InvalidDecision for nothing."""
    if not text.strip():
        raise InvalidDecision("Write something first.")
    with transaction.atomic():
        case = lock(case_id)
        note(case, CaseEventKind.COMMENTED, actor=actor, at=at, text=text)
    return case


def pause(case_id: UUID, reason: PauseReason, *, text: str, actor: str, at: datetime) -> Case:
    """Stop a case's clock; whoever was at it holds it no longer. Refuses CaseDecided, CasePaused and CaseTaken."""
    with transaction.atomic():
        case = lock_undecided(case_id)
        if case.state == CaseState.PAUSED:
            raise CasePaused(f"This case is paused already: {PAUSES[case.pause_reason]}.")
        if case.holder != actor and is_leased(case):
            raise CaseTaken(f"{case.holder} is at this case; they pause it, or you wait until it is free.")
        case.state, case.paused_at, case.pause_reason = CaseState.PAUSED.value, at, reason.value
        free(case)
        note(case, CaseEventKind.PAUSED, actor=actor, at=at, facts={"reason": reason.value}, text=text)
    return case


def resume(case_id: UUID, *, actor: str, at: datetime) -> Case:
    """Let a paused case's clock go on: it is due as much later as it stood still.

    What is not paused stays as it is. Refuses CaseDecided.
    """
    with transaction.atomic():
        case = lock_undecided(case_id)
        if case.state != CaseState.PAUSED or case.paused_at is None:
            return case
        go_on(case, facts={}, text="", actor=actor, at=at)
    return case


def go_on(case: Case, *, facts: Mapping[str, Json], text: str, actor: str, at: datetime) -> None:
    """Let the clock of a paused case, locked by the caller, go on."""
    assert case.paused_at is not None
    stood = max(at - case.paused_at, timedelta())
    case.state, case.paused_at, case.pause_reason = CaseState.WAITING.value, None, ""
    case.due_at += stood
    said = {"seconds": int(stood.total_seconds()), **facts}
    note(case, CaseEventKind.RESUMED, actor=actor, at=at, facts=said, text=text)
