"""An analyst decides about a signal's standing: it is disputed, refuted, or a dispute is lifted; acts at once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from partners import public
from signals.core.notices import NoticeKind
from signals.core.opinions import LIFTING_REASONS, RULING_REASONS
from signals.core.refusals import CannotMove, ParameterInvalid
from signals.core.standing import Ruling as Ruled
from signals.core.states import LIVE
from signals.lifecycle.moves import lock_signals
from signals.lifecycle.notices import notify
from signals.lifecycle.weigh import weigh
from signals.models import Ruling, Signal, Weight


def dispute(signal_id: UUID, *, reason: str, actor: str, at: datetime) -> Signal:
    """Restrict a signal while it is looked into: less may be done with it. Refuses CannotMove unless it is served.

    `reason` is one of RULING_REASONS, else ParameterInvalid.
    """
    return _rule(signal_id, Ruled.DISPUTED, reason, RULING_REASONS, actor=actor, at=at)


def refute(signal_id: UUID, *, reason: str, actor: str, at: datetime) -> Signal:
    """Find a signal wrong: its author should withdraw it, and until then nothing but investigating is permitted.

    Refuses as `dispute` does.
    """
    return _rule(signal_id, Ruled.REFUTED, reason, RULING_REASONS, actor=actor, at=at)


def lift(signal_id: UUID, *, reason: str, actor: str, at: datetime) -> Signal:
    """Let a restricted or disputed signal stand: every dispute said until now counts no more.

    `reason` is one of LIFTING_REASONS, else ParameterInvalid. Refuses CannotMove when there is nothing to lift.
    """
    return _rule(signal_id, Ruled.LIFTED, reason, LIFTING_REASONS, actor=actor, at=at)


def may_be_lifted(signal: Signal) -> bool:
    """Whether anybody disputes it."""
    weight = Weight.objects.filter(signal_id=signal.id).values_list("standing", "is_restricted").first()
    return weight is not None and (weight[0] in {"disputed", "refuted"} or weight[1])


def _rule(signal_id: UUID, ruled: Ruled, reason: str, allowed: tuple[str, ...], *, actor: str, at: datetime) -> Signal:
    if reason not in allowed:
        raise ParameterInvalid(f"The reason is one of: {', '.join(allowed)}.", parameter="reason")
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or signal.state not in LIVE:
            raise CannotMove("The signal is not served at present.")
        if ruled is Ruled.LIFTED and not may_be_lifted(signal):
            raise CannotMove("Nobody disputes the signal.")
        Ruling.objects.create(signal_id=signal.id, ruled=ruled.value, reason=reason, actor=actor, at=at)
        programme = public.programme_by_id(signal.programme_id).slug
        facts = {"ruling": ruled.value, "reason": reason}
        subjects = [f"signal:{signal.id}", f"programme:{programme}"]
        record("signal.ruled", actor=actor, at=at, subjects=subjects, facts=facts)
        told = {"programme": programme, "signal": str(signal.id), **facts}
        notify(signal.issuer_id, NoticeKind.SIGNAL_DISPUTED, told, at=at)
        weigh([signal.id], at=at)
    signal.refresh_from_db()
    return signal
