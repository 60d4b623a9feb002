"""Finding a signal wrong that others bear out takes two people: one proposes the decision, another lets it happen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from hub.staff import approvals
from hub.staff.approvals import Act
from hub.staff.models import Approval, ApprovalState
from hub.staff.roles import Capability, Who
from partners import public
from signals.cases.claiming import check_independent
from signals.cases.deciding import check, decide, needs_second_person, settle
from signals.cases.refusals import CaseDecided
from signals.cases.rows import free, lock, lock_claimed, lock_undecided, note
from signals.cases.talking import go_on
from signals.core.cases import CaseEventKind, CaseKind, CaseState, Outcome, PauseReason
from signals.core.standing import Standing
from signals.lifecycle.moves import lock_signals
from signals.models import Case, Signal, Weight

_SUBJECT = "case:"


def decide_or_propose(
    case_id: UUID,
    *,
    token: UUID,
    version: int,
    outcome: Outcome,
    reason: str,
    policy: str,
    text: str,
    by: User,
    at: datetime,
) -> Case:
    """Decide a claimed case, or, where that takes two people, propose it: the case is paused until the second decides.

    Refuses what `decide` refuses.
    """
    actor = f"staff:{by.pk}"
    with transaction.atomic():
        approvals.hold_proposer(by)
        case = lock_claimed(case_id, actor=actor, token=token, version=version)
        if not needs_second_person(case, outcome):
            return decide(
                case_id,
                token=token,
                version=version,
                outcome=outcome,
                reason=reason,
                policy=policy,
                text=text,
                actor=actor,
                at=at,
            )
        check(CaseKind(case.kind), outcome, reason, policy)
        case.state, case.paused_at = CaseState.PAUSED.value, at
        case.pause_reason = PauseReason.SECOND_PERSON.value
        free(case)
        facts = {"reason": PauseReason.SECOND_PERSON.value}
        note(case, CaseEventKind.PAUSED, actor=actor, at=at, facts=facts, text=text)
        why = f"{policy.strip()}\n{text}".strip()
        said = {"outcome": outcome.value, "reason": reason}
        approvals.propose(UPHOLD, by=by, subject=f"{_SUBJECT}{case.pk}", facts=said, reason=why, at=at)
    return case


def _case_id(approval: Approval) -> UUID:
    return UUID(approval.subject.removeprefix(_SUBJECT))


def _hold(approval: Approval) -> object:
    case = lock(_case_id(approval))
    return lock_signals([case.signal_id]) if case.signal_id is not None else None


def _describe(approval: Approval) -> Sequence[tuple[str, str]]:
    case = Case.objects.get(pk=_case_id(approval))
    lines = [("Case", f"{case.kind} {case.pk}"), ("It is", case.state)]
    if case.signal_id is not None:
        signal = Signal.objects.get(pk=case.signal_id)
        standing = Weight.objects.filter(signal_id=signal.pk).values_list("standing", flat=True).first()
        lines += [
            ("Signal", str(signal.pk)),
            ("Said by", public.partner(signal.issuer_id).slug),
            ("The signal is", f"{signal.state}, {standing or Standing.UNREVIEWED.value}"),
        ]
    return [*lines, ("Outcome", str(approval.facts["outcome"])), ("Because", str(approval.facts["reason"]))]


def _perform(approval: Approval, who: Who) -> str:
    case = lock_undecided(_case_id(approval))
    if case.pause_reason != PauseReason.SECOND_PERSON:
        raise CaseDecided("The case does not wait for a second person any more; it goes on at the desk.")
    check_independent(case, who["actor"])
    policy, _, text = approval.reason.partition("\n")
    outcome, reason = Outcome(approval.facts["outcome"]), str(approval.facts["reason"])
    settle(case, outcome, reason=reason, policy=policy, text=text, **who)
    return f"The case is decided: {outcome.value}."


def _lapse(approval: Approval, who: Who) -> None:
    """The case goes on by itself, with the reason of whoever refused, unless somebody resumed it before."""
    case = lock(_case_id(approval))
    waiting = Approval.objects.filter(act=approval.act, subject=approval.subject, state=ApprovalState.WAITING.value)
    if case.pause_reason != PauseReason.SECOND_PERSON or waiting.exists():  # another proposal: it waits for that one
        return
    go_on(case, facts={"proposal": approval.state}, text=approval.answer, **who)


UPHOLD = approvals.register(
    Act(
        name="case.uphold",
        meaning="Find a signal wrong that others bear out",
        to_propose=Capability.SIGNALS_TRIAGE,
        to_approve=Capability.SIGNALS_TRIAGE,
        perform=_perform,
        describe=_describe,
        hold=_hold,
        lapse=_lapse,
    )
)
