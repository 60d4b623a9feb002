"""Taking positions in a programme's feed: the only place where a signal moves.

Lock order, everywhere: signals by id, then the head; nothing slow under either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import connection

from hub.ledger.tlog.merkle import leaf_hashes, root_of
from signals import wake
from signals.core.notices import RECALLED
from signals.core.states import State
from signals.models import Change, Head, Signal


class Kind(StrEnum):
    """Why a signal moved; stored with the change."""

    PUBLISHED = "published"
    REVISED = "revised"
    WIDENED = "widened"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    QUARANTINED = "quarantined"
    RESTORED = "restored"
    RESTRICTED = "restricted"  # disputed: less may be done with it
    LIFTED = "lifted"  # the restriction ended
    WEIGHED = "weighed"  # its standing changed
    KEY_FELL = "key-fell"


_STATE_AFTER: dict[Kind, State] = {
    Kind.PUBLISHED: State.PUBLISHED,
    Kind.WITHDRAWN: State.WITHDRAWN,
    Kind.EXPIRED: State.EXPIRED,
    Kind.QUARANTINED: State.QUARANTINED,
    Kind.RESTORED: State.PUBLISHED,
    Kind.RESTRICTED: State.RESTRICTED,
    Kind.LIFTED: State.PUBLISHED,
}
_REMOVALS = {Kind.WITHDRAWN, Kind.EXPIRED, Kind.QUARANTINED}


@dataclass(frozen=True, slots=True)
class Taken:
    """The positions (from, to] that a batch of moves took, and the root of its (signal, revision) pairs."""

    after: int
    to: int
    at: datetime
    root: bytes

    @property
    def count(self) -> int:
        """How many signals moved."""
        return self.to - self.after


def pair(signal_id: UUID, revision: int) -> bytes:
    """What a Merkle root over moved or disclosed signals commits to: 16 bytes of id, 8 of revision, big-endian."""
    return signal_id.bytes + revision.to_bytes(8, "big")


def root_of_pairs(pairs: Iterable[tuple[UUID, int]]) -> bytes:
    """The RFC 6962 root over (signal, revision) pairs in this order."""
    return root_of_packed(pair(identity, revision) for identity, revision in pairs)


def root_of_packed(pairs: Iterable[bytes]) -> bytes:
    """The same root over pairs as `pair` packs them."""
    return root_of(leaf_hashes(pairs))


def lock_signals(ids: Collection[UUID]) -> dict[UUID, Signal]:
    """Lock these signals in the house's order, and return those that exist."""
    return {signal.id: signal for signal in Signal.objects.filter(id__in=ids).order_by("id").select_for_update()}


def lock_head(programme_id: int, *, at: datetime) -> Head:
    """Lock the end of a programme's feed, made on first use."""
    heads = Head.objects.select_for_update().filter(programme_id=programme_id)
    head = heads.first()
    if head is None:
        Head.objects.bulk_create([Head(programme_id=programme_id, at=at)], ignore_conflicts=True)
        head = heads.get()
    return head


def take_positions(programme_id: int, ids: Sequence[UUID], *, kind: Kind, at: datetime) -> Taken:
    """Move these signals, locked by the caller, to the end of the feed in the order given, each a revision on.

    Locks the head until the caller's transaction ends. The new positions follow the head without a gap and their time
    is never before the head's.
    """
    head = lock_head(programme_id, at=at)
    at = max(at, head.at)
    parameters: dict[str, Any] = {
        "ids": list(ids),
        "after": head.position,
        "at": at,
        "kind": kind.value,
        "state": _STATE_AFTER[kind].value if kind in _STATE_AFTER else None,
        "removal": kind.value if kind in _REMOVALS else "",
    }
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, parameters)
        moved = sorted(cursor.fetchall(), key=lambda row: row[2])
    if len(moved) != len(ids):
        raise LookupError(f"{len(ids) - len(moved)} of {len(ids)} signals to move were not found.")
    taken = Taken(head.position, head.position + len(moved), at, root_of_pairs((row[0], row[1]) for row in moved))
    Head.objects.filter(programme_id=programme_id).update(position=taken.to, at=at)
    if kind.value in RECALLED:
        wake.notices()
    return taken


def mark_fall(programme_id: int, *, key_id: int, since: datetime | None, at: datetime) -> int:
    """Take one position for the fall of a key, so that pages before and after it can be told apart for ever."""
    head = lock_head(programme_id, at=at)
    at, position = max(at, head.at), head.position + 1
    fall = {"kind": Kind.KEY_FELL.value, "key_id": key_id, "key_since": since}
    Change.objects.create(programme_id=programme_id, position=position, at=at, **fall)
    Head.objects.filter(programme_id=programme_id).update(position=position, at=at)
    return position


_MOVE = """
WITH moved AS (
    UPDATE signals_signal AS signal
       SET position = %(after)s + place.n,
           revision = signal.revision + 1,
           changed_at = %(at)s,
           state = coalesce(%(state)s, signal.state),
           removal = %(removal)s,
           removed_at = CASE WHEN %(removal)s = '' THEN NULL ELSE coalesce(signal.removed_at, %(at)s) END,
           published_at = coalesce(signal.published_at, %(at)s)
      FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS place (id, n)
     WHERE signal.id = place.id
    RETURNING signal.id, signal.programme_id, signal.position, signal.revision, signal.statement_id,
              signal.weighed, signal.audience, signal.audience_partners
), routed AS (
    UPDATE signals_route AS route SET position = moved.position FROM moved
     WHERE moved.audience = 'only' AND route.signal_id = moved.id
)
INSERT INTO signals_change
       (programme_id, position, signal_id, revision, statement_id, kind, weighed, audience, audience_partners, at)
SELECT programme_id, position, id, revision, statement_id, %(kind)s, weighed, audience, audience_partners, %(at)s
  FROM moved
RETURNING signal_id, revision, position
"""
