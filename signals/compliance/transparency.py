"""Counts for a transparency report: derived from leaves alone, small numbers hidden so that nobody works them out.

Whoever has the leaves of the time, from the ledger or from an export of the complete range, gets the same document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from hub.ledger.leaf import Json, Leaf, timestamp
from signals.core.government import Decision

THRESHOLD = 5  # smaller counts than this could be somebody
HUB = "hub"  # the row of what belongs to no programme
HIDDEN = "suppressed"
DECIDED = "government-request.decided"

# How a measure is counted: the action, and which of its facts holds a number (none: each leaf is one).
MEASURES: Mapping[str, tuple[str, str]] = {
    "statements accepted": ("statement.accepted", ""),
    "statements held for a person": ("statement.held", ""),
    "statements refused": ("statement.refused", ""),
    "signals published": ("signal.published", "count"),
    "signals revised": ("signal.revised", "count"),
    "signals withdrawn": ("signal.withdrawn", ""),
    "signals expired": ("signal.expired", "count"),
    "signals quarantined": ("signal.quarantined", "count"),
    "holds approved": ("hold.approved", ""),
    "holds refused": ("hold.refused", ""),
    "items pulled": ("feed.disclosed", "count"),
    "items delivered": ("delivery.disclosed", "count"),
    "memberships begun": ("membership.began", ""),
    "memberships ended": ("membership.ended", ""),
    "keys revoked as compromised": ("key.revoked", ""),
    "values revealed to the hub's people": ("value.revealed", ""),
    "searches for a value": ("value.searched", ""),
    "legal holds placed": ("legal-hold.placed", ""),
    "government requests received": ("government-request.received", ""),
    **{f"government requests {each.value}": (f"{DECIDED} {each.value}", "") for each in Decision if each},
}
_BY_ACTION = {action: (measure, number) for measure, (action, number) in MEASURES.items()}


@dataclass(frozen=True, slots=True)
class Counted:
    """Exact counts: for the hub's own eyes. `document` makes of them what may be published."""

    rows: Mapping[str, Mapping[str, int]]  # by measure, then by programme or HUB
    programmes: frozenset[str]  # that any leaf of the time names
    leaves: int


def count(leaves: Iterable[Leaf], *, since: datetime, until: datetime) -> Counted:
    """Count the leaves that were sequenced in [since, until), by measure and programme."""
    first, end = timestamp(since), timestamp(until)
    rows: dict[str, Counter[str]] = {measure: Counter() for measure in MEASURES}
    programmes: set[str] = set()
    seen = 0
    for leaf in leaves:
        if not first <= leaf.sequenced_at < end:
            continue
        seen += 1
        where = _programme(leaf)
        programmes.add(where)
        known = _BY_ACTION.get(f"{DECIDED} {leaf.facts['decision']}" if leaf.action == DECIDED else leaf.action)
        if known is not None:
            measure, number = known
            told = leaf.facts.get(number, 1) if number else 1
            rows[measure][where] += told if isinstance(told, int) else 1
    return Counted({measure: dict(row) for measure, row in rows.items()}, frozenset(programmes - {HUB}), seen)


def document(counted: Counted, *, hub: str, since: datetime, until: datetime) -> dict[str, Json]:
    """What may be published: every measure by programme with its total, small numbers hidden.

    Its canonical JSON is what the hub signs: the same leaves always give the same bytes.
    """
    measures: dict[str, Json] = {
        measure: _column({name: row.get(name, 0) for name in sorted(counted.programmes | row.keys())})
        for measure, row in counted.rows.items()
    }
    return {
        "from": timestamp(since),
        "hub": hub,
        "leaves": counted.leaves,
        "measures": measures,
        "threshold": THRESHOLD,
        "until": timestamp(until),
        "v": 1,
    }


def hidden_in(cells: Mapping[str, int]) -> tuple[frozenset[str], bool]:
    """Which cells of a column are hidden, and whether its total is.

    First the small ones. Then, smallest first, as many others as it takes that what is hidden cannot be worked out from
    the total: at least two cells, that together reach the threshold. Where there are not so many, the total goes too.
    """
    hidden = {name for name, number in cells.items() if 0 < number < THRESHOLD}
    if not hidden:
        return frozenset(), False
    others = sorted(cells.keys() - hidden, key=lambda name: (cells[name], name))
    while (len(hidden) < 2 or sum(cells[name] for name in hidden) < THRESHOLD) and others:
        hidden.add(others.pop(0))
    is_open = len(hidden) < 2 or sum(cells[name] for name in hidden) < THRESHOLD
    return frozenset(hidden), is_open


def _column(cells: Mapping[str, int]) -> dict[str, Json]:
    hidden, is_total_hidden = hidden_in(cells)
    shown: dict[str, Json] = {name: HIDDEN if name in hidden else number for name, number in cells.items()}
    return {"by": shown, "total": HIDDEN if is_total_hidden else sum(cells.values())}


def _programme(leaf: Leaf) -> str:
    named = [mention.id.partition(":")[2] for mention in leaf.subjects if mention.id.startswith("programme:")]
    return named[0] if len(named) == 1 else HUB
