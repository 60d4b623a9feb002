"""Keep a signal whole while a court or an authority needs it: it is not purged, and no month's end shreds it.

Its statements are sealed anew under a key of the hold's own. Lifting the hold seals them under their month again and
destroys that key, so that backups made meanwhile become unreadable too.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from uuid import UUID

from django.db import transaction

from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from signals.core.refusals import CannotMove
from signals.core.states import State
from signals.lifecycle.examine import context
from signals.lifecycle.moves import lock_signals
from signals.models import Signal, Statement


def place(signal_id: UUID, *, reason: str, actor: str, at: datetime) -> Signal:
    """Put a signal under legal hold. Refuses CannotMove when it is under one, or when its content is erased already.

    The reason (a file number) is kept as a commitment only: it may name a person.
    """
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or signal.state == State.PURGED.value:
            raise CannotMove("The signal's content has been erased: there is nothing left to keep.")
        if signal.has_legal_hold:
            raise CannotMove("The signal is under legal hold already.")
        signal.has_legal_hold = True
        signal.save(update_fields=["has_legal_hold"])
        _seal_anew(signal, f"hold-{uuid.uuid4().hex}")
        _record("legal-hold.placed", signal, reason, actor=actor, at=at)
    return signal


def lift(signal_id: UUID, *, reason: str, actor: str, at: datetime) -> Signal:
    """End a legal hold; what is long removed is purged by the next sweep. Refuses CannotMove when there is none."""
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or not signal.has_legal_hold:
            raise CannotMove("The signal is under no legal hold.")
        signal.has_legal_hold = False
        signal.save(update_fields=["has_legal_hold"])
        left = _seal_anew(signal, keyring.month_of(signal.expires_at))
        _record("legal-hold.lifted", signal, reason, actor=actor, at=at)
    for scope, period in left:  # after the commit: destroying is not undone by a rollback
        keyring.destroy_period(scope, period)
    return signal


def _seal_anew(signal: Signal, period: str) -> set[tuple[str, str]]:
    """Seal a signal's statements under another key; returns the holds' keys that sealed them until now."""
    scope = f"programme:{public.programme_by_id(signal.programme_id).slug}"
    sealer, left = keyring.sealer(scope, period), set()
    for row in Statement.objects.filter(signal_id=signal.id, sealed__isnull=False).select_for_update():
        sealed = bytes(row.sealed or b"")
        was = keyring.period_of(sealed)
        if was.startswith("hold-"):
            left.add((scope, was))
        try:
            row.sealed = sealer.seal(keyring.open_sealed(sealed, context=context(row.id)), context=context(row.id))
        except keyring.KeyDestroyed:  # the month is over and shredded: what the hold kept ends with the hold
            row.sealed = None
        row.save(update_fields=["sealed"])
    return left


def _record(action: str, signal: Signal, reason: str, *, actor: str, at: datetime) -> None:
    record(action, actor=actor, at=at, subjects=[f"signal:{signal.id}"], private={"reason": reason})
