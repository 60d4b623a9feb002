"""What an analyst does about a partner whose signals proved bad: really done, told to the partner, and taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from hub.ledger.leaf import Json
from hub.staff import approvals
from hub.staff.models import Approval, ApprovalState
from hub.staff.roles import Who, member
from partners import public
from partners.public import OwnLimits
from signals.cases.refusals import InvalidDecision, TooLate
from signals.core.alarms import Measure, read_cause
from signals.core.cases import CaseKind, CaseState
from signals.core.notices import NoticeKind
from signals.lifecycle.notices import notify
from signals.models import Case

_GRANTED = {ApprovalState.GRANTED.value}
_WAITING = {ApprovalState.WAITING.value}


def take(case: Case, actor: str, at: datetime) -> None:
    """Do what the decision's reason says, and tell the partner. `case.measure` keeps what it was before.

    A warning is its notice. Refuses what suspending refuses: a partner that is not active is not suspended.
    """
    measure, slug, who = Measure(case.reason), _slug(case), Who(actor=actor, at=at)
    _set_aside(case, actor, at)
    case.measure = {"did": measure.value}
    if measure is Measure.PROBATION and not public.partner(case.partner_id or 0).is_probationary:
        public.begin_probation(slug, **who)
        case.measure |= {"began": True}
    elif measure is Measure.THROTTLED:
        before, after = public.throttle(slug, **who)
        case.measure |= {"before": asdict(before), "after": asdict(after)}
    elif measure is Measure.SUSPENSION:
        words = f"Decided in the case {case.pk}: {case.cause or case.kind}."
        approval = public.propose_suspension(slug, by=member(who), reason=words, at=at)
        case.measure |= {"approval": str(approval.pk)}
    _tell(case, measure, at=at)


def take_back(case: Case, actor: str, at: datetime) -> None:
    """Put back what the decision changed, and tell the partner.

    Refuses TooLate where somebody has set the partner's limits since, or it has been suspended, and NotOwnProposal
    where another person proposed that.
    """
    known, slug, who = case.measure, _slug(case), Who(actor=actor, at=at)
    if known.get("began") and not _is_left_to_another(case):
        public.end_probation(slug, **who)
    if "after" in known and not _is_unthrottled(slug, known, who):
        raise TooLate("Somebody has set this partner's limits since: they stay. Change them on its page.")
    if "approval" in known:
        _withdraw(UUID(known["approval"]), who)
    case.measure = {}
    _tell(case, Measure(known["did"]), at=at, is_undone=True)


def dismiss(case: Case, actor: str, at: datetime) -> None:
    """What an earlier decision of the case did is put back, as far as nobody has changed it since."""
    _set_aside(case, actor, at)


def _set_aside(case: Case, actor: str, at: datetime) -> None:
    """A case that was opened again is decided anew: its last decision has no effect any more, where that can be."""
    if case.measure:
        with contextlib.suppress(TooLate, approvals.NotOwnProposal):  # said before anything is changed
            take_back(case, actor, at)
        case.measure = {}


def _is_left_to_another(case: Case) -> bool:
    """Whether another case put the partner on probation too: that one ends it, when it is undone."""
    decided = Case.objects.filter(
        kind=CaseKind.QUALITY.value, state=CaseState.DECIDED.value, partner_id=case.partner_id
    )
    other = decided.filter(measure__did=Measure.PROBATION.value).exclude(pk=case.pk).order_by("pk").first()
    if other is None:
        return False
    other.measure |= {"began": True}
    other.save(update_fields=["measure"])
    return True


def _is_unthrottled(slug: str, known: Mapping[str, Any], who: Who) -> bool:
    return public.unthrottle(slug, before=OwnLimits(**known["before"]), after=OwnLimits(**known["after"]), **who)


def _withdraw(approval_id: UUID, who: Who) -> None:
    state = Approval.objects.values_list("state", flat=True).get(pk=approval_id)
    if state in _GRANTED:
        raise TooLate("It was approved: the partner is suspended. That it goes on is proposed on its page.")
    if state in _WAITING:
        approvals.withdraw(approval_id, by=member(who), at=who["at"])


def _slug(case: Case) -> str:
    if case.partner_id is None:
        raise InvalidDecision("This case is about no partner.")
    return public.partner(case.partner_id).slug


def _tell(case: Case, measure: Measure, *, at: datetime, is_undone: bool = False) -> None:
    assert case.partner_id is not None
    figure, indicator_type = read_cause(case.cause)
    programme = public.programme_slugs().get(case.programme_id or 0)
    facts: dict[str, Json] = {"did": measure.value}
    if programme is not None:
        facts["programme"] = programme
    if figure is not None:
        facts["about"] = figure.value
    if indicator_type:
        facts["type"] = indicator_type
    if is_undone:
        facts["is_undone"] = True
    notify(case.partner_id, NoticeKind.QUALITY_DECIDED, facts, at=at)
