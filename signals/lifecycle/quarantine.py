"""A key fell: nothing the hub received under it since then is believed, and what it undid is done again.

The fall acts when it commits, for reads ask signals_distrust themselves; it takes a position of its own in every feed
of its partner. The moves that make it visible to those who had the signals follow in chunks.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from hub.ledger.record import record
from partners import public
from partners.public import RevokedKeys
from signals import wake
from signals.core.refusals import CannotMove
from signals.core.states import State
from signals.lifecycle.moves import Kind, lock_signals, take_marker, take_positions
from signals.lifecycle.publish import record_moves
from signals.models import Distrust, Signal, Statement

BATCH = 1000


def revoke_compromised_key(
    kid: str, *, partner_id: int, compromised_at: datetime | None, actor: str, at: datetime
) -> RevokedKeys:
    """Revoke a key as compromised since `compromised_at` (None: for all its time), with all it endorsed since.

    Refuses what partners.public.revoke_key refuses. Quarantine begins with this commit.
    """
    with transaction.atomic():
        fallen = public.revoke_key(kid, partner_id=partner_id, compromised_at=compromised_at, actor=actor, at=at)
        for key in fallen.keys:
            Distrust.objects.update_or_create(
                key_id=key.id, defaults={"since": key.compromised_at, "at": at, "is_settled": False}
            )
        for member in sorted(public.programmes_of(partner_id, at=at), key=lambda member: member.programme_id):
            head = take_marker(member.programme_id, kind=Kind.KEY_FELL, at=at)
            wake.changed(member.programme_id, head)
        wake.publish()
        wake.deliver()
    return fallen


def settle_fallen_keys(*, at: datetime) -> int:
    """Move up to a thousand signals that a fallen key touches; returns how many. Called until there are none."""
    fallen = Distrust.objects.filter(is_settled=False).order_by("at").first()
    if fallen is None:
        return 0
    moved = _quarantine(fallen, at=at) or _undo_withdrawals(fallen, at=at)
    if moved == 0:
        Distrust.objects.filter(key_id=fallen.key_id, at=fallen.at).update(is_settled=True)
    return moved


def clear(signal_id: UUID, *, actor: str, at: datetime) -> Signal:
    """A person looked at a quarantined signal and lets it stand: it is served again, at a new position."""
    with transaction.atomic():
        signal = lock_signals([signal_id]).get(signal_id)
        if signal is None or signal.state != State.QUARANTINED.value:
            raise CannotMove("Only a quarantined signal can be cleared.")
        signal.is_cleared = True
        signal.save(update_fields=["is_cleared"])
        _reinstate([signal], at=at)
        record("signal.restored", actor=actor, at=at, subjects=[f"signal:{signal.id}"], facts={"reason": "cleared"})
    signal.refresh_from_db()
    return signal


def _quarantine(fallen: Distrust, *, at: datetime) -> int:
    touched = _touched(fallen).filter(
        state__in=[State.PUBLISHED.value, State.RESTRICTED.value, State.VERIFIED.value, State.HELD.value]
    )
    programme_id = touched.values_list("programme_id", flat=True).first()
    if programme_id is None:
        return 0
    with transaction.atomic():
        chosen = list(touched.filter(programme_id=programme_id).values_list("id", flat=True)[:BATCH])
        rows = list(touched.filter(id__in=chosen).order_by("id").select_for_update())
        shown = [row.id for row in rows if row.state in {State.PUBLISHED.value, State.RESTRICTED.value}]
        unseen = [row.id for row in rows if row.state in {State.VERIFIED.value, State.HELD.value}]
        Signal.objects.filter(id__in=unseen).update(state=State.QUARANTINED.value, removal="quarantined", removed_at=at)
        if shown:
            taken = take_positions(programme_id, shown, kind=Kind.QUARANTINED, at=at)
            record_moves("signal.quarantined", public.programme_by_id(programme_id).slug, taken)
            wake.changed(programme_id, taken.to)
            wake.deliver()
    return len(rows)


def _undo_withdrawals(fallen: Distrust, *, at: datetime) -> int:
    said = Statement.objects.filter(
        key_id=fallen.key_id, typ="withdrawal+jws", effect="effective", signal_id__isnull=False
    )
    said = said if fallen.since is None else said.filter(received_at__gte=fallen.since)
    with transaction.atomic():
        chosen = list(said.values_list("id", "signal_id")[:BATCH])
        if not chosen:
            return 0
        Statement.objects.filter(id__in=[row[0] for row in chosen]).update(effect="undone")
        signals = lock_signals([identity for _, identity in chosen if identity is not None])
        undone = {row[0] for row in chosen}
        back = [
            signal
            for signal in signals.values()
            if signal.state == State.WITHDRAWN.value and signal.withdrawal_id in undone and signal.expires_at > at
        ]
        _reinstate([signal for signal in back if not _is_distrusted(signal)], at=at)
    return len(chosen)


def _reinstate(signals: list[Signal], *, at: datetime) -> None:
    """Serve removed signals again: those that were out move, those that never were go back to the publisher."""
    unseen = [signal.id for signal in signals if signal.revision == 0]
    Signal.objects.filter(id__in=unseen).update(
        state=State.VERIFIED.value, removal="", removed_at=None, withdrawal_id=None
    )
    by_programme: dict[int, list[Signal]] = {}
    for signal in signals:
        if signal.revision > 0:
            by_programme.setdefault(signal.programme_id, []).append(signal)
    for programme_id, moving in sorted(by_programme.items()):
        ids = [signal.id for signal in moving]
        Signal.objects.filter(id__in=ids).update(withdrawal_id=None)
        taken = take_positions(programme_id, ids, kind=Kind.RESTORED, at=at)
        record_moves("signal.restored", public.programme_by_id(programme_id).slug, taken)
        wake.changed(programme_id, taken.to)
    wake.publish()
    wake.deliver()


def _touched(fallen: Distrust) -> QuerySet[Signal]:
    since = Q() if fallen.since is None else Q(received_at__gte=fallen.since)
    return Signal.objects.filter(since, key_id=fallen.key_id, is_cleared=False)


def _is_distrusted(signal: Signal) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM signals_distrust WHERE key_id = %s AND (since IS NULL OR since <= %s)",
            [signal.key_id, signal.received_at],
        )
        return cursor.fetchone() is not None and not signal.is_cleared
