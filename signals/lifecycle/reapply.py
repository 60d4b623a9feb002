"""Remove again what had been removed before a backup was put back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from partners import public
from signals.core.states import LIVE, State
from signals.lifecycle.moves import Kind, lock_signals, take_positions
from signals.lifecycle.purge import erase
from signals.models import Signal

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
    """Erase the content of those of these signals that the restored database still has; returns how many."""
    withdraw_again(ids, actor=actor, at=at)
    with transaction.atomic():
        rows = [row for row in lock_signals(ids).values() if row.state != State.PURGED.value]
        erase([(row.id, row.programme_id) for row in rows], actor=actor, at=at)
    return len(rows)
