"""Decide a case: an outcome, the code of its reason, the policy it rests on; with its effect, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from signals.cases import appeals, measures
from signals.cases.claiming import claim
from signals.cases.opening import open_case
from signals.cases.refusals import InvalidDecision, NeedsSecondPerson
from signals.cases.rows import free, lock_claimed, note
from signals.core.cases import CaseEventKind, CaseKind, CaseState, Outcome, is_policy_reference, is_reason
from signals.lifecycle import review, rule
from signals.models import Case, Signal, Weight


def decide(
    case_id: UUID,
    *,
    token: UUID,
    version: int,
    outcome: Outcome,
    reason: str,
    policy: str,
    text: str,
    actor: str,
    at: datetime,
) -> Case:
    """Decide a case that one has claimed, as one's page showed it, with immediate effect.

    `reason` is a code of `signals.core.cases.REASONS`, `policy` a place in a policy ("CSEA handbook 4.2"), `text` a
    comment or nothing. Refuses InvalidDecision, what `lock_claimed` refuses, and what the effect refuses (CannotMove
    where the signal was withdrawn a moment ago), and NeedsSecondPerson: then nothing happened.
    """
    with transaction.atomic():
        case = lock_claimed(case_id, actor=actor, token=token, version=version)
        check(CaseKind(case.kind), outcome, reason, policy)
        if needs_second_person(case, outcome):
            raise NeedsSecondPerson("Others bear this signal out: two people find it wrong. Nothing was done.")
        settle(case, outcome, reason=reason, policy=policy, text=text, actor=actor, at=at)
    return case


def needs_second_person(case: Case, outcome: Outcome) -> bool:
    """Whether the decision goes against what independent partners saw themselves, however many dispute it."""
    if outcome is not Outcome.UPHELD or case.signal_id is None:
        return False
    counts = Weight.objects.filter(signal_id=case.signal_id).values_list("counts", flat=True).first() or {}
    return any(counts.get("opinions", {}).get(word) for word in ("confirm-own", "own-signal"))


def decide_held(
    signal_id: UUID, outcome: Outcome, *, reason: str, policy: str, text: str = "", actor: str, at: datetime
) -> Case:
    """Decide about a held signal from outside its case's page: claimed and decided in one go.

    Refuses what `claim` and `decide` refuse: CaseTaken while another is at it.
    """
    with transaction.atomic():
        case = claim(open_case(CaseKind.HOLD, signal_id=signal_id, actor=actor, at=at).pk, actor=actor, at=at)
        check(CaseKind.HOLD, outcome, reason, policy)
        settle(case, outcome, reason=reason, policy=policy, text=text, actor=actor, at=at)
    return case


def check(kind: CaseKind, outcome: Outcome, reason: str, policy: str) -> None:
    """Refuses InvalidDecision unless the outcome and its reason belong to this kind, and a policy is named."""
    if not is_reason(kind, outcome, reason):
        raise InvalidDecision("Choose an outcome together with one of its reasons.", pointer="/reason")
    if not is_policy_reference(policy):
        raise InvalidDecision("Name the policy it rests on, in 2 to 80 characters on one line.", pointer="/policy")


def settle(
    case: Case,
    outcome: Outcome,
    *,
    reason: str,
    policy: str,
    text: str,
    actor: str,
    at: datetime,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Give a decision about a case, locked by the caller and checked, its effect, and close the case.

    `facts` are closed words more about the decision: the bulk run that it belongs to.
    """
    if case.signal_id is not None:
        case.before = Signal.objects.only("state").get(pk=case.signal_id).state
    case.state, case.outcome, case.reason = CaseState.DECIDED.value, outcome.value, reason
    case.decided_by, case.decided_at = actor, at
    EFFECTS[CaseKind(case.kind), outcome](case, actor, at)
    case.paused_at, case.pause_reason = None, ""
    free(case)
    said = {"outcome": outcome.value, "reason": reason, **(facts or {})}
    private = {"policy": policy.strip()}
    note(case, CaseEventKind.DECIDED, actor=actor, at=at, facts=said, text=text, private=private)


def _nothing(case: Case, actor: str, at: datetime) -> None:
    """The decision is the whole of it."""


def _approve(case: Case, actor: str, at: datetime) -> None:
    assert case.signal_id is not None
    review.approve(case.signal_id, actor=actor, at=at)


def _refuse(case: Case, actor: str, at: datetime) -> None:
    assert case.signal_id is not None
    review.refuse(case.signal_id, actor=actor, at=at)


def _refute(case: Case, actor: str, at: datetime) -> None:
    assert case.signal_id is not None
    rule.refute(case.signal_id, reason=case.reason, actor=actor, at=at)


def _lift(case: Case, actor: str, at: datetime) -> None:
    assert case.signal_id is not None
    rule.lift(case.signal_id, reason=case.reason, actor=actor, at=at)


Effect = Callable[[Case, str, datetime], None]

EFFECTS: Final[Mapping[tuple[CaseKind, Outcome], Effect]] = {
    (CaseKind.HOLD, Outcome.APPROVED): _approve,
    (CaseKind.HOLD, Outcome.REFUSED): _refuse,
    (CaseKind.DISPUTE, Outcome.UPHELD): _refute,
    (CaseKind.DISPUTE, Outcome.REJECTED): _lift,
    (CaseKind.APPEAL, Outcome.UPHELD): appeals.uphold,
    (CaseKind.APPEAL, Outcome.REJECTED): appeals.reject,
    (CaseKind.QUALITY, Outcome.ACTED): measures.take,
    (CaseKind.QUALITY, Outcome.DISMISSED): measures.dismiss,
}
