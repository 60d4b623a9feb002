"""A signal's time is over: it becomes a tombstone for everyone who could see it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from partners import public
from signals import wake
from signals.core.states import LIVE, State
from signals.lifecycle.moves import Kind, take_positions
from signals.lifecycle.publish import record_each, record_moves
from signals.models import Signal

BATCH = 1000
_UNSEEN = [State.VERIFIED.value, State.HELD.value]
_LIVE = [state.value for state in LIVE]


def expire_due(*, at: datetime) -> int:
    """Expire up to a thousand signals of one programme whose time has come; returns how many."""
    due = Signal.objects.filter(expires_at__lte=at, state__in=[*_LIVE, *_UNSEEN])
    programme_id = due.order_by("expires_at").values_list("programme_id", flat=True).first()
    if programme_id is None:
        return 0
    programme = public.programme_by_id(programme_id)
    with transaction.atomic():
        chosen = due.filter(programme_id=programme_id).order_by("expires_at").values("id")[:BATCH]
        rows = list(  # asked again under the lock: a revision may have given it more time meanwhile
            due.filter(id__in=list(chosen.values_list("id", flat=True)))
            .order_by("id")
            .select_for_update(skip_locked=True)
            .values_list("id", "state")
        )
        unseen = [identity for identity, state in rows if state in _UNSEEN]
        seen = [identity for identity, state in rows if state not in _UNSEEN]
        if unseen:
            Signal.objects.filter(id__in=unseen).update(state=State.EXPIRED.value, removal="expired", removed_at=at)
            record_each("signal.expired", unseen, programme.slug, at=at)
        if seen:
            taken = take_positions(programme_id, seen, kind=Kind.EXPIRED, at=at)
            record_moves("signal.expired", programme.slug, taken)
            wake.changed(programme_id, taken.to)
            wake.deliver()
    return len(rows)
