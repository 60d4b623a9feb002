"""A verified signal takes its place in the feed: one publisher at a time, round-robin over partners."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from hub.ledger.record import Event, record, record_many
from partners import public
from signals import wake
from signals.core.states import State
from signals.distrust import fallen_among
from signals.lifecycle.late import tell_authors
from signals.lifecycle.moves import Kind, Taken, lock_head, take_positions
from signals.models import Signal

BATCH = 1000


def programmes_waiting() -> list[int]:
    """The programmes that have something to publish."""
    rows = Signal.objects.filter(state=State.VERIFIED.value, is_awaiting_routing=False)
    return list(rows.values_list("programme_id", flat=True).distinct())


def publish(programme_id: int, *, at: datetime) -> int:
    """Give up to a thousand verified signals their positions, and return how many.

    Signals whose key has fallen, whose time is over or whose partner may no longer submit stay where they are: their
    own verbs see to them. Refuses nothing; nothing to do is an answer.
    """
    programme = public.programme_by_id(programme_id)
    may_submit = {member.partner_id for member in public.members(programme_id, at=at) if member.may_submit}
    with transaction.atomic():
        turns = _in_turn(programme_id, at=at, issuers=may_submit)
        locked = _lock_verified(turns)
        if not locked:
            return 0
        lock_head(programme_id, at=at)
        fallen = fallen_among(locked)  # asked under the head's lock, which a revocation takes too
        ids = [identity for identity in turns if identity in locked and identity not in fallen]
        if not ids:
            return 0
        taken = take_positions(programme_id, ids, kind=Kind.PUBLISHED, at=at)
        record_moves("signal.published", programme.slug, taken)
        tell_authors([identity for identity in ids if locked[identity]], state=State.PUBLISHED, at=at)
        wake.changed(programme_id, taken.to)
        wake.deliver()
    return taken.count


def record_moves(action: str, programme_slug: str, taken: Taken) -> None:
    """One leaf for a batch of moves: it commits to which signals moved, and tells the mirror where the head is."""
    record(
        action,
        actor="system:publisher",
        at=taken.at,
        subjects=[f"programme:{programme_slug}"],
        facts={"after": taken.after, "head": taken.to, "count": taken.count, "root": taken.root.hex()},
    )


def record_each(action: str, ids: Iterable[UUID], programme_slug: str, *, at: datetime) -> None:
    """One leaf for each of these signals, which nobody had seen: their change takes no position."""
    subjects = [(f"signal:{identity}", f"programme:{programme_slug}") for identity in ids]
    record_many([Event(action, "system:publisher", at, about) for about in subjects])


def _in_turn(programme_id: int, *, at: datetime, issuers: set[int]) -> list[UUID]:
    """The next signals to publish: every issuer's first before any issuer's second, so no backfill starves another."""
    if not issuers:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_IN_TURN, {"programme": programme_id, "issuers": sorted(issuers), "at": at, "limit": BATCH})
        return [row[0] for row in cursor.fetchall()]


def _lock_verified(ids: list[UUID]) -> dict[UUID, bool]:
    """Lock those of these signals that are still to be published, but for those that somebody else is changing.

    Says of each whether it had been held, so that its author waits to hear of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [ids])
        return dict(cursor.fetchall())


_IN_TURN = """
SELECT id FROM (
    SELECT candidate.id, candidate.arrival,
           row_number() OVER (PARTITION BY issuer.id ORDER BY candidate.arrival) AS turn
      FROM unnest(%(issuers)s::bigint[]) AS issuer (id),
           LATERAL (SELECT id, arrival FROM signals_signal
                     WHERE programme_id = %(programme)s AND issuer_id = issuer.id
                       AND state = 'verified' AND NOT is_awaiting_routing AND expires_at > %(at)s
                     ORDER BY arrival LIMIT %(limit)s) AS candidate
) AS queue
ORDER BY turn, arrival LIMIT %(limit)s
"""

_LOCK = """
SELECT id, held_reasons <> '{}' FROM signals_signal
 WHERE id = ANY(%s) AND state = 'verified' AND NOT is_awaiting_routing
 ORDER BY id FOR UPDATE SKIP LOCKED
"""
