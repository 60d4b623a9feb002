"""The states of a signal's life and the table of moves between them: the one place that says what may follow what."""

from __future__ import annotations

from enum import StrEnum

from signals.core.refusals import CannotMove


class State(StrEnum):
    """Where a signal stands; stored as text with a check constraint."""

    RECEIVED = "received"  # kept, not yet judged
    REFUSED = "refused"  # judged and turned down; its bytes are erased with the submission
    VERIFIED = "verified"  # sound and waiting: for its turn, or for its routing
    HELD = "held"  # sound, and a person should look first
    PUBLISHED = "published"
    RESTRICTED = "restricted"  # disputed or appealed: still served, permitted action lowered to *investigate*
    QUARANTINED = "quarantined"  # under a compromised key or legal risk: served as a tombstone
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    PURGED = "purged"  # value, note and JWS erased; (issuer, jti, digest) and commitments stay


UNPUBLISHED = frozenset({State.RECEIVED, State.REFUSED, State.VERIFIED, State.HELD})
"""Nobody but the author and the staff knows of it, unless it was published before."""

LIVE = frozenset({State.PUBLISHED, State.RESTRICTED})
"""Served with its value."""

REMOVED = frozenset({State.QUARANTINED, State.WITHDRAWN, State.EXPIRED})
"""Served as a tombstone to everyone in its audience, if it was ever published."""

_REINSTATED = {State.VERIFIED, State.HELD, State.PUBLISHED, State.RESTRICTED}

MOVES: dict[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.REFUSED, State.VERIFIED, State.HELD, State.QUARANTINED, State.WITHDRAWN}),
    State.REFUSED: frozenset({State.HELD, State.PURGED}),  # a review's refusal is undone within its window
    State.VERIFIED: frozenset({State.PUBLISHED, State.HELD, State.REFUSED, *REMOVED}),
    State.HELD: frozenset({State.VERIFIED, State.REFUSED, *REMOVED}),
    State.PUBLISHED: frozenset({State.RESTRICTED, *REMOVED}),
    State.RESTRICTED: frozenset({State.PUBLISHED, *REMOVED}),
    # A lifted quarantine returns a signal to where it was; one that ran out meanwhile expires.
    State.QUARANTINED: frozenset({*_REINSTATED, State.WITHDRAWN, State.EXPIRED, State.PURGED}),
    # A withdrawal signed with a compromised key is undone, and what lies under such a key is quarantined, withdrawn
    # or not.
    State.WITHDRAWN: frozenset({*_REINSTATED, State.QUARANTINED, State.EXPIRED, State.PURGED}),
    State.EXPIRED: frozenset({State.QUARANTINED, State.PURGED}),
    State.PURGED: frozenset(),
}


def may_move(old: State, new: State) -> bool:
    """Tell whether the table allows this move. Staying in a state is no move."""
    return new in MOVES[old]


def require_move(old: State, new: State) -> None:
    """Raise `CannotMove` unless the table allows this move."""
    if not may_move(old, new):
        raise CannotMove(f"A signal that is {old} cannot become {new}.", state=str(old))


def takes_position(old: State, new: State, *, was_published: bool) -> bool:
    """Tell whether a move shows in the feed: `was_published` says whether anyone was ever served the signal.

    A change between removed states takes no position: those who were told to drop it need not hear why again.
    """
    if new in LIVE:
        return True
    return was_published and old in LIVE and new in REMOVED
