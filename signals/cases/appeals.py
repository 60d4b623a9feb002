"""Redress: a partner appeals for somebody affected, and whoever had the signal is told and says what it put right."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.leaf import Json
from hub.ledger.record import record
from partners import public
from partners.public import MembershipFacts
from signals.cases.opening import open_case
from signals.compliance.holders import holders
from signals.core.cases import (
    DUE_WITHIN,
    DUE_WITHIN_AT_RISK,
    REMEDY_DUE,
    AppealEvidence,
    AppealReason,
    CaseEventKind,
    CaseKind,
    CaseState,
    Outcome,
    Remedy,
)
from signals.core.notices import NoticeKind
from signals.core.refusals import NotFound
from signals.core.standing import Ruling as Ruled
from signals.core.states import LIVE, State
from signals.lifecycle import rule
from signals.lifecycle.moves import lock_signals
from signals.lifecycle.notices import notify
from signals.models import Appeal, Case, RemedyAsked, Ruling, Signal
from signals.voices import standing_ruling

AT_RISK = "at-risk"  # the cause of a case in which somebody is said to be at significant risk
_LIVE = {state.value for state in LIVE}
_SYSTEM, _FOR_APPEAL = "system:cases", "appeal"  # by whom and why a signal is restricted until its appeal is decided
_UNKNOWN = "There is no appeal with this reference."
_NOTHING = "There is nothing here that this key may see."


def appeal(
    member: MembershipFacts,
    signal_id: UUID,
    *,
    reason: AppealReason,
    evidence: AppealEvidence,
    is_at_risk: bool,
    at: datetime,
) -> Appeal:
    """Appeal against a signal of the member's programme that it may see, its own included; twice is once.

    Where the person is said to be at significant risk, be it the second time, the case is decided within a day, and the
    signal is restricted until then, unless an appeal of this member about it was rejected before.

    Refuses NotFound, in the same words for what there is not and for what the member may not see.
    """
    signal = Signal.objects.filter(pk=signal_id, programme_id=member.programme_id, published_at__isnull=False).first()
    if signal is None or not _may_see(signal, member.partner_id) or signal.state == State.PURGED.value:
        raise NotFound(_NOTHING)
    actor = f"partner:{member.partner_slug}"
    within = DUE_WITHIN_AT_RISK if is_at_risk else DUE_WITHIN[CaseKind.APPEAL]
    with transaction.atomic():
        case = open_case(
            CaseKind.APPEAL,
            signal_id=signal.pk,
            programme_id=signal.programme_id,
            cause=AT_RISK if is_at_risk else reason.value,
            due_at=at + within,
            actor=actor,
            at=at,
        )
        said, is_new = Appeal.objects.get_or_create(
            case=case,
            partner_id=member.partner_id,
            defaults={
                "signal_id": signal.pk,
                "reason": reason.value,
                "evidence": evidence.value,
                "is_at_risk": is_at_risk,
                "at": at,
            },
        )
        if not is_new:
            if said.is_at_risk or not is_at_risk:
                return said
            said.is_at_risk = True
            said.save(update_fields=["is_at_risk"])
        subjects = [f"appeal:{said.pk}", f"signal:{signal.pk}", actor, f"programme:{member.programme_slug}"]
        facts: dict[str, Json] = {"reason": said.reason, "evidence": said.evidence, "at_risk": is_at_risk}
        record("appeal.received", actor=actor, at=at, subjects=subjects, facts=facts)
        if is_at_risk and signal.state == State.PUBLISHED.value and not _was_rejected(said):
            Case.objects.filter(pk=case.pk).update(cause=AT_RISK)
            rule.dispute(signal.pk, reason=_FOR_APPEAL, actor=_SYSTEM, at=at)
    return said


def own_appeal(reference: UUID, *, partner_id: int) -> dict[str, object]:
    """What a reference shows: its state and times, and nobody's name. Refuses NotFound."""
    said = Appeal.objects.select_related("case").filter(pk=reference, partner_id=partner_id).first()
    if said is None:
        raise NotFound(_NOTHING)
    return document(said)


def state_of(reference: UUID) -> dict[str, object]:
    """What anybody reads who holds a reference: state and times, not even who appealed. Refuses NotFound."""
    said = Appeal.objects.select_related("case").filter(pk=reference).first()
    if said is None:
        raise NotFound(_UNKNOWN)
    return {name: value for name, value in document(said).items() if name != "reference"}


def as_typed(text: str) -> UUID:
    """A reference as people type it. Refuses NotFound, as for one that there is not."""
    try:
        return UUID(text.strip()[:64])
    except ValueError:
        raise NotFound(_UNKNOWN) from None


def document(said: Appeal) -> dict[str, object]:
    """An appeal as its partner reads it."""
    case = said.case
    is_decided = case.state == CaseState.DECIDED
    return {
        "reference": said.pk,
        "state": case.outcome if is_decided else "in-review",
        "appealed_at": said.at,
        "due_at": None if is_decided else case.due_at,
        "decided_at": case.decided_at,
    }


def remedy(asked_id: UUID, *, member_id: int, did: Remedy, at: datetime) -> RemedyAsked:
    """Say what a partner did after an appeal was upheld; said again, the latest counts. Refuses NotFound."""
    with transaction.atomic():
        asked = RemedyAsked.objects.select_for_update().filter(pk=asked_id, partner_id=member_id).first()
        if asked is None:
            raise NotFound(_NOTHING)
        asked.did, asked.answered_at = did.value, at
        asked.save(update_fields=["did", "answered_at"])
        actor = f"partner:{public.partner(member_id).slug}"
        facts = {"did": did.value}
        record("appeal.remedied", actor=actor, at=at, subjects=[f"remedy:{asked.pk}", actor], facts=facts)
    return asked


def remedy_asked(asked_id: UUID, *, partner_id: int) -> RemedyAsked:
    """What this partner was asked to put right. Refuses NotFound."""
    asked = RemedyAsked.objects.filter(pk=asked_id, partner_id=partner_id).first()
    if asked is None:
        raise NotFound(_NOTHING)
    return asked


def tell_holders(case: Case, *, at: datetime) -> None:
    """Tell what a decided appeal came to: whoever appealed, and every partner that had the signal, its author too.

    Where it was upheld, each of them is asked to say what it put right. In the caller's transaction.
    """
    assert case.signal_id is not None
    signal = Signal.objects.only("programme_id", "issuer_id").get(pk=case.signal_id)
    programme = public.programme_by_id(signal.programme_id).slug
    had = sorted({holder.partner_id for holder in holders([case.signal_id])} | {signal.issuer_id})
    RemedyAsked.objects.filter(case=case, answered_at__isnull=True).delete()  # of a decision before this one
    facts = {"programme": programme, "signal": str(case.signal_id), "outcome": case.outcome, "reason": case.reason}
    for partner_id in had:
        told = dict(facts)
        if case.outcome == Outcome.UPHELD:
            asked, _ = RemedyAsked.objects.update_or_create(
                case=case,
                partner_id=partner_id,
                defaults={"told_at": at, "due_at": at + REMEDY_DUE, "did": "", "answered_at": None},
            )
            told |= {"remedy": str(asked.pk), "due_at": asked.due_at.isoformat()}
        notify(partner_id, NoticeKind.APPEAL_DECIDED, told, at=at)
    for said in Appeal.objects.filter(case=case):
        answered = {"reference": str(said.pk), "programme": programme, "outcome": case.outcome}
        notify(said.partner_id, NoticeKind.APPEAL_ANSWERED, answered, at=at)
    record(
        "appeal.told",
        actor=_SYSTEM,
        at=at,
        subjects=[f"case:{case.pk}", f"signal:{case.signal_id}"],
        facts={"partners": len(had), "outcome": case.outcome},
    )


def uphold(case: Case, actor: str, at: datetime) -> None:
    """The signal is refuted, and whoever had it is told. In the caller's transaction.

    So is one that is not served at present, for it may come back, or its author say it anew; what is erased is not.
    """
    refute = rule.refute if _lock_signal(case).state in _LIVE else rule.refute_unserved
    refute(_signal_of(case), reason=_FOR_APPEAL, actor=actor, at=at)
    tell_holders(case, at=at)


def reject(case: Case, actor: str, at: datetime) -> None:
    """The signal stands: what restricted it for the appeal's sake is lifted, and nobody's ruling since then.

    What this very appeal ruled before it was opened again is taken back. So it is with a signal that is not served at
    present, for it may come back. In the caller's transaction.
    """
    signal = _lock_signal(case)
    if signal.state in _LIVE:
        _take_back_upheld(case, rule.undo, actor, at)
        if _for_appeal(signal.pk) is not None and rule.may_be_lifted(signal):
            rule.lift(signal.pk, reason="confirmed-on-review", actor=actor, at=at)
    elif signal.state != State.PURGED.value:
        _take_back_upheld(case, rule.undo_unserved, actor, at)
        restricted = _for_appeal(signal.pk)
        if restricted is not None:
            rule.undo_unserved(restricted, actor=actor, at=at)
    tell_holders(case, at=at)


def _take_back_upheld(case: Case, undo: Callable[..., object], actor: str, at: datetime) -> None:
    """Undo the rulings by which this very case found the signal wrong, from the last word on it back."""
    decided = set(case.events.filter(kind=CaseEventKind.DECIDED.value).values_list("actor", "at"))
    while (latest := standing_ruling(_signal_of(case))) is not None:
        if (latest.ruled, latest.reason) != (Ruled.REFUTED, _FOR_APPEAL) or (latest.actor, latest.at) not in decided:
            return
        undo(latest, actor=actor, at=at)


def _lock_signal(case: Case) -> Signal:
    identity = _signal_of(case)
    return lock_signals([identity])[identity]


def _was_rejected(said: Appeal) -> bool:
    """Whether this partner has appealed before and was told that the signal stands."""
    before = Appeal.objects.filter(signal_id=said.signal_id, partner_id=said.partner_id)
    return before.filter(case__outcome=Outcome.REJECTED.value).exists()


def _for_appeal(signal_id: UUID) -> Ruling | None:
    """The last word on the signal, if that restricted it until its appeal is decided."""
    latest = standing_ruling(signal_id)
    return latest if latest is not None and (latest.actor, latest.reason) == (_SYSTEM, _FOR_APPEAL) else None


def _signal_of(case: Case) -> UUID:
    assert case.signal_id is not None
    return case.signal_id


def _may_see(signal: Signal, partner_id: int) -> bool:
    if signal.issuer_id == partner_id or signal.audience == "programme":
        return True
    return (partner_id in signal.audience_partners) == (signal.audience == "only")
