"""What the report counts, leaf by leaf: bounded by the number of days, actions, codes and partners, not of leaves."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hub.ledger.leaf import Leaf

# Seconds from what happened to its leaf: upper bounds; whatever took longer is counted last.
DELAYS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 600, 3600)
DECISIONS = frozenset(
    {
        *("hold.approved", "hold.refused", "signal.quarantined", "signal.restored", "signal.restricted"),
        *("signal.withdrawn", "key.revoked", "legal-hold.placed", "legal-hold.lifted"),
        *("approval.granted", "approval.refused"),
    }
)
_LARGEST = 5_000  # different keys of one count: beyond, they are summed up as "others"
OTHERS = "others"


class Tally(msgspec.Struct):
    """Counts by key; `delays` has one number per bound of DELAYS and one for what took longer."""

    days: dict[str, int] = {}
    actions: dict[str, int] = {}
    actors: dict[str, int] = {}
    refusals: dict[str, int] = {}  # by the stable code
    decisions: dict[str, int] = {}
    disclosures: dict[str, int] = {}  # partner → leaves that say it was sent something
    disclosed: dict[str, int] = {}  # partner → entries in them: signals, tombstones, notices
    delays: list[int] = msgspec.field(default_factory=lambda: [0] * (len(DELAYS) + 1))
    first: str = ""
    last: str = ""

    def add(self, leaf: Leaf) -> None:
        """Count one leaf."""
        self.first = self.first or leaf.sequenced_at
        self.last = leaf.sequenced_at
        _count(self.days, leaf.sequenced_at[:10])
        _count(self.actions, leaf.action)
        _count(self.actors, leaf.actor)
        code = leaf.facts.get("code")
        if leaf.action == "statement.refused" and isinstance(code, str):
            _count(self.refusals, code)
        if leaf.action in DECISIONS:
            _count(self.decisions, leaf.action)
        if leaf.action.endswith(".disclosed"):
            self._add_disclosure(leaf)
        self.delays[_bucket(_seconds(leaf))] += 1

    def _add_disclosure(self, leaf: Leaf) -> None:
        count = leaf.facts.get("count")
        for mention in leaf.subjects:
            kind, _, slug = mention.id.partition(":")
            if kind == "partner":
                _count(self.disclosures, slug)
                if isinstance(count, int):
                    _count(self.disclosed, slug, count)

    @property
    def total(self) -> int:
        """How many leaves were counted."""
        return sum(self.delays)

    def within(self, share: float) -> float | None:
        """The bound within which this share of the leaves came; None where some took longer than the last bound."""
        wanted, seen = share * self.total, 0
        for bound, count in zip(DELAYS, self.delays, strict=False):
            seen += count
            if seen >= wanted:
                return bound
        return None


def _count(counts: dict[str, int], key: str, by: int = 1) -> None:
    known = key if key in counts or len(counts) < _LARGEST else OTHERS
    counts[known] = counts.get(known, 0) + by


def _seconds(leaf: Leaf) -> float:
    return (datetime.fromisoformat(leaf.sequenced_at) - datetime.fromisoformat(leaf.at)).total_seconds()


def _bucket(seconds: float) -> int:
    return next((number for number, bound in enumerate(DELAYS) if seconds <= bound), len(DELAYS))
