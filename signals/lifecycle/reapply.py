"""Remove again what had been removed before a backup was put back, and keep again what had to be kept."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from partners import public
from signals.core.states import LIVE, State
from signals.lifecycle import legal_hold
from signals.lifecycle.moves import Kind, lock_signals, take_positions
from signals.lifecycle.purge import erase
from signals.models import Signal, Statement

_OUT_OF_SIGHT = {State.VERIFIED.value, State.HELD.value, State.QUARANTINED.value}  # takes no position then


def withdraw_again(ids: Collection[UUID], *, actor: str, at: datetime) -> int:
    """Withdraw those of these signals that the restored database still has in force; returns how many."""
    count = 0
    for identity in ids:
        with transaction.atomic():
            signal = lock_signals([identity]).get(identity)
            if signal is None or signal.state not in {*LIVE, *_OUT_OF_SIGHT}:
                continue
            slug = public.programme_by_id(signal.programme_id).slug
            if signal.state in _OUT_OF_SIGHT:
                rows = Signal.objects.filter(id=identity)
                rows.update(state=State.WITHDRAWN.value, removal="withdrawn", removed_at=signal.removed_at or at)
            else:
                take_positions(signal.programme_id, [identity], kind=Kind.WITHDRAWN, at=at)
            subjects = [f"signal:{identity}", f"programme:{slug}"]
            record("signal.withdrawn", actor=actor, at=at, subjects=subjects, facts={"reason": "restored"})
            count += 1
    return count


def purge_again(ids: Collection[UUID], *, actor: str, at: datetime) -> int:
    """Erase the content of those of these signals that the restored database still has; returns how many.

    A legal hold that comes back with the backup had been lifted: under one, they would not have been purged.
    """
    withdraw_again(ids, actor=actor, at=at)
    with transaction.atomic():
        rows = [row for row in lock_signals(ids).values() if row.state != State.PURGED.value]
        Signal.objects.filter(id__in=[row.id for row in rows]).update(has_legal_hold=False)
        erase([(row.id, row.programme_id) for row in rows], actor=actor, at=at)
    return len(rows)


def hold_again(signal_id: UUID, *, actor: str, at: datetime) -> bool:
    """Put a signal under legal hold again, so that no purge takes it; twice changes nothing.

    Returns whether all that it says can still be read: the backup holds it under its month's key, and a month may have
    been destroyed since. Refuses CannotMove for a signal that the backup does not have, or has erased.
    """
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or not signal.has_legal_hold:
            legal_hold.place(signal_id, reason="restored", actor=actor, at=at)
        return not Statement.objects.filter(signal_id=signal_id, sealed__isnull=True).exists()
