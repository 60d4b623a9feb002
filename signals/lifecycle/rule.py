"""An analyst rules on a signal's standing: disputed, refuted, the dispute lifted; or takes that back. Acts at once."""

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
from signals.core.states import LIVE, State
from signals.lifecycle.moves import lock_signals
from signals.lifecycle.notices import notify
from signals.lifecycle.weigh import weigh
from signals.models import Ruling, Signal, Weight
from signals.voices import standing_ruling

_NOT_SERVED: dict[str, str] = {
    State.WITHDRAWN: "its author withdrew it",
    State.EXPIRED: "it expired",
    State.PURGED: "it was erased",
    State.QUARANTINED: "it is hidden, and only clearing it brings it back",
}


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


def undo(ruling: Ruling, *, actor: str, at: datetime) -> Signal:
    """Take a ruling back: the signal is where it would be without it, and what was ruled before counts again.

    Refuses CannotMove unless the signal is served and this is the last word on it: who ruled since, knew of it.
    """
    with transaction.atomic():
        signal = _served(ruling.signal_id)
        _check_is_last(ruling)
        _put_down(signal, Ruled.UNDONE, ruling.reason, actor=actor, at=at, undoes=ruling)
    signal.refresh_from_db()
    return signal


def refute_unserved(signal_id: UUID, *, reason: str, actor: str, at: datetime) -> None:
    """Find a signal wrong that is not served at present: should it come back, or its value be said anew, that counts.

    Nothing is done for one that is erased. `reason` is one of RULING_REASONS, else ParameterInvalid.
    """
    _check_reason(reason, RULING_REASONS)
    with transaction.atomic():
        signal = _remembered(signal_id)
        if signal is not None:
            _put_down(signal, Ruled.REFUTED, reason, actor=actor, at=at)


def undo_unserved(ruling: Ruling, *, actor: str, at: datetime) -> None:
    """Take a ruling back on a signal that is not served at present: should it come back, it is as if without it.

    Nothing is done for one that is erased. Refuses CannotMove unless this is the last word on it.
    """
    with transaction.atomic():
        signal = _remembered(ruling.signal_id)
        if signal is not None:
            _check_is_last(ruling)
            _put_down(signal, Ruled.UNDONE, ruling.reason, actor=actor, at=at, undoes=ruling)


def may_be_lifted(signal: Signal) -> bool:
    """Whether anybody disputes it."""
    weight = Weight.objects.filter(signal_id=signal.id).values_list("standing", "is_restricted").first()
    return weight is not None and (weight[0] in {"disputed", "refuted"} or weight[1])


def _rule(signal_id: UUID, ruled: Ruled, reason: str, allowed: tuple[str, ...], *, actor: str, at: datetime) -> Signal:
    _check_reason(reason, allowed)
    with transaction.atomic():
        signal = _served(signal_id)
        if ruled is Ruled.LIFTED and not may_be_lifted(signal):
            raise CannotMove("Nobody disputes the signal.")
        _put_down(signal, ruled, reason, actor=actor, at=at)
    signal.refresh_from_db()
    return signal


def _check_reason(reason: str, allowed: tuple[str, ...]) -> None:
    if reason not in allowed:
        raise ParameterInvalid(f"The reason is one of: {', '.join(allowed)}.", parameter="reason")


def _check_is_last(ruling: Ruling) -> None:
    if standing_ruling(ruling.signal_id) != ruling:
        raise CannotMove("Somebody has ruled on the signal since, or took this back already: it stays as it is.")


def _remembered(signal_id: UUID) -> Signal | None:
    signal = lock_signals([signal_id]).get(signal_id)
    return signal if signal is not None and signal.state != State.PURGED.value else None


def _served(signal_id: UUID) -> Signal:
    signal = lock_signals([signal_id]).get(signal_id)
    if signal is None or signal.state not in LIVE:
        why = _NOT_SERVED.get(signal.state, "it is not served at present") if signal is not None else "there is none"
        raise CannotMove(f"There is nothing to rule on: {why}. Nothing was done.")
    return signal


def _put_down(
    signal: Signal, ruled: Ruled, reason: str, *, actor: str, at: datetime, undoes: Ruling | None = None
) -> None:
    """Write a ruling on a locked signal down, in the ledger too, tell the author, and weigh the signal anew."""
    back = undoes.number if undoes is not None else None
    Ruling.objects.create(signal_id=signal.id, ruled=ruled.value, reason=reason, actor=actor, at=at, undoes=back)
    programme = public.programme_by_id(signal.programme_id).slug
    facts = {"ruling": ruled.value, "reason": reason}
    if undoes is not None:
        facts["of"] = undoes.ruled
    subjects = [f"signal:{signal.id}", f"programme:{programme}"]
    record("signal.ruled", actor=actor, at=at, subjects=subjects, facts=facts)
    told = {"programme": programme, "signal": str(signal.id), **facts}
    notify(signal.issuer_id, NoticeKind.SIGNAL_DISPUTED, told, at=at)
    weigh([signal.id], at=at)
