"""What members of staff keep for themselves: how much they were shown, what they do not work on, their saved filters.

These verbs change nothing of the hub's and record nothing: it is nobody else's business (docs/decisions/0089).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection

from partners import public
from signals.cases.refusals import InvalidDecision
from signals.models import Exposure, OptOut, SavedFilter

KEPT: Final = timedelta(days=30)  # of counts, whosever they are
MOST_FILTERS: Final = 20  # of one page
_NAME = re.compile(r"[\w ,.&()+'-]{1,40}")  # no @, slash or colon: a name is no place for a value


@dataclass(frozen=True, slots=True)
class Today:
    """How much somebody was shown today, by the day in UTC."""

    revealed: int
    looked_at: int


def note_shown(person_id: int, *, revealed: int = 0, looked_at: int = 0, at: datetime) -> None:
    """Count values shown to this person, and sensitive signals they looked at; forget what is older than KEPT."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [person_id, at.date(), revealed, looked_at, at.date() - KEPT])


def is_sensitive(violation: str) -> bool:
    """Whether looking at a signal of this violation counts: HELIOGRAPH_SENSITIVE_VIOLATIONS, "*" for every one."""
    return "*" in settings.SENSITIVE_VIOLATIONS or violation in settings.SENSITIVE_VIOLATIONS


def today(person_id: int, *, at: datetime) -> Today:
    """What was counted today."""
    row = Exposure.objects.filter(person_id=person_id, day=at.date()).first()
    return Today(row.revealed, row.looked_at) if row is not None else Today(0, 0)


def by_day(person_id: int, *, days: int, at: datetime) -> list[tuple[date, Today]]:
    """The last so many days, the oldest first, today included."""
    rows = Exposure.objects.filter(person_id=person_id, day__gt=at.date() - timedelta(days=days))
    found = {row.day: Today(row.revealed, row.looked_at) for row in rows}
    each = [at.date() - timedelta(days=ago) for ago in range(days - 1, -1, -1)]
    return [(day, found.get(day, Today(0, 0))) for day in each]


def opted_out(person_id: int) -> frozenset[str]:
    """The violations that this person is not given cases about."""
    return frozenset(OptOut.objects.filter(person_id=person_id).values_list("violation", flat=True))


def opt_out(person_id: int, violations: Collection[str]) -> None:
    """From now on exactly these. Refuses InvalidDecision for what no programme knows, and for all of them."""
    known = public.violations()
    if not set(violations) <= known:
        raise InvalidDecision("No programme has this violation.")
    if known and set(violations) == known:
        raise InvalidDecision("Leave yourself one kind of case; whoever can work on none says so to an operator.")
    OptOut.objects.filter(person_id=person_id).exclude(violation__in=violations).delete()
    OptOut.objects.bulk_create(
        [OptOut(person_id=person_id, violation=each) for each in sorted(violations)], ignore_conflicts=True
    )


def save_filter(person_id: int, page: str, name: str, asked: Mapping[str, str]) -> SavedFilter:
    """Keep what a list is narrowed to under a name, in place of what had it. Refuses InvalidDecision.

    The caller has checked that `asked` holds nothing but words that the list's filters know.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise InvalidDecision("A filter's name has 1 to 40 letters, digits and spaces; it is no place for a value.")
    if not asked:
        raise InvalidDecision("Choose a filter first.")
    mine = SavedFilter.objects.filter(person_id=person_id, page=page)
    if mine.exclude(name=name).count() >= MOST_FILTERS:
        raise InvalidDecision(f"{MOST_FILTERS} filters are kept for one list; delete one first.")
    kept, _ = mine.update_or_create(name=name, defaults={"asked": dict(asked), "person_id": person_id, "page": page})
    return kept


def saved_filters(person_id: int, page: str) -> list[SavedFilter]:
    """Those of this person for this page, by name."""
    return list(SavedFilter.objects.filter(person_id=person_id, page=page).order_by("name")[:MOST_FILTERS])


def forget_filter(person_id: int, page: str, filter_id: int) -> None:
    """Delete one's own; somebody else's is not there."""
    SavedFilter.objects.filter(person_id=person_id, page=page, pk=filter_id).delete()


_COUNT = """
WITH counted AS (
    INSERT INTO signals_exposure AS mine (person_id, day, revealed, looked_at) VALUES (%s, %s, %s, %s)
    ON CONFLICT (person_id, day) DO UPDATE
       SET revealed = mine.revealed + excluded.revealed, looked_at = mine.looked_at + excluded.looked_at)
DELETE FROM signals_exposure WHERE day < %s
"""
