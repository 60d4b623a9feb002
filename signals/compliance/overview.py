"""What compliance staff ask of a whole hub: what is due to be erased, what the hub's people were shown, one partner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Count

from hub.ledger import leaf
from hub.ledger.models import Reading
from partners import public
from partners.public import MembershipFacts, PartnerFacts
from signals.models import Endpoint, Signal

SOON = timedelta(days=30)
LATE = timedelta(hours=1)  # the purge runs every few minutes: longer than this is overdue
SHOWN = ("value.revealed", "value.searched", "attempt.read")  # actions that showed a person something sealed
MOST = 200  # leaves on a page


@dataclass(frozen=True, slots=True)
class Retention:
    """How the retention of one programme stands, in signals."""

    programme: str
    live: int
    ends_soon: int  # of the live ones, those whose time is up within SOON
    not_expired: int  # their time is up, and they are served still: overdue
    to_purge: int  # removed, with their content still there, as it should be until its time
    not_purged: int  # their content should have been erased: overdue
    held: int  # under legal hold, and kept whatever their time
    purged: int


def count_retention(*, at: datetime) -> list[tuple[int, ...]]:
    """A programme's id and its numbers in the order of `Retention`, by one query that reads every signal."""
    purged_before = at - timedelta(days=settings.PURGE_AFTER_DAYS) - LATE
    with connection.cursor() as cursor:
        cursor.execute(_RETENTION, {"at": at, "late": at - LATE, "soon": at + SOON, "purged_before": purged_before})
        return list(cursor.fetchall())


def retention(counted: Iterable[Sequence[int]]) -> list[Retention]:
    """How retention stands in every programme, by what was counted."""
    counts = {programme_id: numbers for programme_id, *numbers in counted}
    return [
        Retention(slug, *counts.get(programme_id, [0] * 7)) for programme_id, slug in public.programme_slugs().items()
    ]


def count_issued() -> list[tuple[int, str, int]]:
    """A partner's id, a state and how many of its signals are in it, by one query that reads every signal."""
    rows = Signal.objects.values("issuer_id", "state").annotate(many=Count("id")).order_by("issuer_id", "state")
    return list(rows.values_list("issuer_id", "state", "many"))


def holds() -> list[Signal]:
    """The signals under legal hold, the newest MOST."""
    return list(Signal.objects.filter(has_legal_hold=True).order_by("-arrival")[:MOST])


@dataclass(frozen=True, slots=True)
class Shown:
    """One time that somebody of the hub's people was shown, or looked for, something sealed."""

    at: datetime
    action: str
    actor: str
    signal_id: UUID | None
    facts: Mapping[str, object]
    index: int  # of its leaf


def shown_to_people(*, staff_id: int | None = None) -> list[Shown]:
    """The newest MOST reveals, searches and answers read, of one account or of all; from leaves, by one query."""
    rows = Reading.objects.filter(action__in=SHOWN)
    if staff_id is not None:
        rows = rows.filter(actor=f"staff:{staff_id}")
    return [_shown(row) for row in rows.order_by("-index")[:MOST]]


@dataclass(frozen=True, slots=True)
class About:
    """Everything about a partner on one page."""

    partner: PartnerFacts
    memberships: list[MembershipFacts]
    endpoints: Mapping[str, int]  # by state
    disclosed: int  # items of pages and bodies in the last 30 days
    leaves: list[Reading]  # the newest that mention it


def about(slug: str, *, at: datetime) -> About | None:
    """A partner by its slug, in a fixed number of queries; None if there is none."""
    partner = public.partners_by_slug([slug]).get(slug)
    if partner is None:
        return None
    endpoints = Endpoint.objects.filter(partner_id=partner.id).values("state").annotate(many=Count("id"))
    leaves = Reading.objects.filter(subjects__contains=[f"partner:{slug}"]).defer("entry", "leaf_hash")
    with connection.cursor() as cursor:
        cursor.execute(_DISCLOSED, [partner.id, at - SOON])
        disclosed = int(cursor.fetchone()[0])
    return About(
        partner,
        public.programmes_of(partner.id, at=at),
        {row["state"]: row["many"] for row in endpoints.order_by("state")},
        disclosed,
        list(leaves.order_by("-index")[:MOST]),
    )


def _shown(row: Reading) -> Shown:
    said = leaf.decode(bytes(row.entry))
    named = [mention.id.partition(":")[2] for mention in said.subjects if mention.id.startswith("signal:")]
    return Shown(row.at, row.action, row.actor, UUID(named[0]) if named else None, said.facts, row.index)


_RETENTION = """
SELECT programme_id,
       count(*) FILTER (WHERE removal = '' AND state IN ('verified', 'held', 'published', 'restricted')),
       count(*) FILTER (WHERE removal = '' AND state IN ('verified', 'held', 'published', 'restricted')
                          AND expires_at BETWEEN %(late)s AND %(soon)s),
       count(*) FILTER (WHERE removal = '' AND state IN ('verified', 'held', 'published', 'restricted')
                          AND expires_at < %(late)s),
       count(*) FILTER (WHERE removed_at >= %(purged_before)s AND state <> 'purged' AND NOT has_legal_hold),
       count(*) FILTER (WHERE removed_at < %(purged_before)s AND state <> 'purged' AND NOT has_legal_hold),
       count(*) FILTER (WHERE has_legal_hold),
       count(*) FILTER (WHERE state = 'purged')
  FROM signals_signal GROUP BY programme_id
"""

_DISCLOSED = """
SELECT coalesce(sum(disclosure.count), 0)
  FROM signals_walk AS walk JOIN signals_disclosure AS disclosure ON disclosure.walk_id = walk.id
 WHERE walk.partner_id = %s AND disclosure.at >= %s
"""
