"""Read a page of a partner's notices, in the order in which they were posted, and record that it was told.

The rules are the programme feed's (signals.lifecycle.walk, signals.lifecycle.disclose) with less to them: everything
in it is the partner's own, nothing moves, and what was posted more than 90 days ago is gone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Min

from hub.ledger.mirror import current_epoch
from partners import public
from signals.core.notices import RECALLED
from signals.core.refusals import CursorExpired
from signals.lifecycle.disclose import Shown, record_shown
from signals.lifecycle.moves import root_of_pairs
from signals.lifecycle.recalls import MAY_HAVE_HAD
from signals.lifecycle.walk import START, Place, unseal_cursor
from signals.models import Notice, NoticeHead, Walk

CHANNEL = "notices"  # of those who pull
MAX_SIGNALS = 1000  # told by the recalls of one page, if more than one recall is on it
_FORGOTTEN = "Notices are kept for 90 days, and some after this cursor are gone; start again without it."


@dataclass(frozen=True, slots=True)
class NoticePage:
    """What one page holds, where it ends, and whether it reaches what was the end when the walk began."""

    place: Place
    items: list[bytes]  # JSON objects
    more: bool
    listed: bool

    @property
    def count(self) -> int:
        """How many notices it holds."""
        return len(self.items)

    @property
    def is_silent(self) -> bool:
        """Nothing to say."""
        return not self.items and not self.listed


def start_notices(partner_id: int, *, channel: str, at: datetime, floor: int | None = None) -> Place:
    """Begin a new walk from the oldest notice that is kept; its floor is the head, unless it never lists all."""
    walk = Walk.objects.create(
        partner_id=partner_id,
        programme_id=None,
        channel=channel,
        epoch=current_epoch(),
        generation=0,
        filter={},
        floor=_head(partner_id) if floor is None else floor,
        started_at=at,
    )
    return Place(walk, START)


def start_or_share_notices(partner_id: int, *, at: datetime) -> Place:
    """The start of a walk for a reader that keeps its own cursor: a new one, or the newest that would be the same."""
    walks = Walk.objects.filter(partner_id=partner_id, programme_id=None, channel=CHANNEL, epoch=current_epoch())
    walk = walks.filter(floor=_head(partner_id)).order_by("-id").first()
    return Place(walk, START) if walk is not None else start_notices(partner_id, channel=CHANNEL, at=at)


def open_notice_cursor(text: str, *, partner_id: int) -> Place:
    """The place a cursor of `read_notices` stands for. Refuses CursorInvalid and CursorExpired."""
    place = unseal_cursor(text, partner_id=partner_id, programme_id=None, channel=CHANNEL)
    if place.walk.epoch != current_epoch():
        raise CursorExpired(_FORGOTTEN)
    return place


def is_behind(place: Place) -> bool:
    """Whether a walk must be begun anew: another epoch, or notices after the place have been forgotten."""
    heads = NoticeHead.objects.filter(partner_id=place.walk.partner_id)
    purged_to = heads.values_list("purged_to", flat=True).first() or 0
    return place.walk.epoch != current_epoch() or START < place.position < purged_to


def notice_position_at(partner_id: int, moment: datetime) -> int:
    """The last place posted before a moment, START if there is none that is kept."""
    posted = Notice.objects.filter(partner_id=partner_id, posted_at__lt=moment)
    return posted.order_by("-position").values_list("position", flat=True).first() or START


def notices_waiting(partner_id: int, *, after: int) -> tuple[int, datetime | None]:
    """How many notices stand after a place, and since when the oldest of them does."""
    waiting = Notice.objects.filter(partner_id=partner_id, position__gt=after)
    found = waiting.aggregate(count=Count("number"), oldest=Min("posted_at"))
    return found["count"], found["oldest"]


def read_notices(place: Place, *, limit: int, at: datetime, up_to: int | None = None) -> NoticePage:
    """The next at most `limit` notices after a place, none beyond position `up_to`; recorded unless silent.

    Refuses CursorExpired when notices after the place have been forgotten. A page ends early before a recall that
    would bring it beyond MAX_SIGNALS.
    """
    walk = place.walk
    with transaction.atomic():
        head, head_at, purged_to, rows = _rows(place, limit=limit + 1, up_to=up_to)
        if START < place.position < purged_to:
            raise CursorExpired(_FORGOTTEN)
        end = head if up_to is None else min(head, up_to)
        fitting = _fitting(rows, limit)
        more = len(rows) > fitting
        rows = rows[:fitting]
        to = rows[-1].position if more else max(end, place.position)
        listed = place.position < walk.floor <= to
        if rows or listed:
            at = max(at, head_at or at)  # whatever this process's clock says: never before what it tells
            _record(place, to=to, head=head, rows=rows, at=at)
        items = _items(rows)
    return NoticePage(Place(walk, to), items, more, listed)


def _head(partner_id: int) -> int:
    return NoticeHead.objects.filter(partner_id=partner_id).values_list("position", flat=True).first() or 0


class _Row(NamedTuple):
    position: int
    number: int
    id: UUID
    kind: str
    at: datetime
    facts: str  # JSON
    programme_id: int | None
    signal_count: int


def _rows(place: Place, *, limit: int, up_to: int | None) -> tuple[int, datetime | None, int, list[_Row]]:
    """The head and its time, the last forgotten place and the rows after the walk's place, from one snapshot."""
    about = {"partner": place.walk.partner_id, "after": place.position, "up_to": up_to, "limit": limit}
    with connection.cursor() as cursor:
        cursor.execute(_PAGE, about)
        found = cursor.fetchall()
    head, head_at, purged_to = found[0][:3]
    return head, head_at, purged_to, [_Row._make(row[3:]) for row in found if row[3] is not None]


def _fitting(rows: list[_Row], limit: int) -> int:
    """How many of these rows make a page: at most `limit`, at most MAX_SIGNALS recalled, at least one if any."""
    told = 0
    for number, row in enumerate(rows[:limit]):
        told += row.signal_count
        if told > MAX_SIGNALS and number:
            return number
    return limit


def _record(place: Place, *, to: int, head: int, rows: list[_Row], at: datetime) -> None:
    """The same as for a page of a feed; a notice counts as a pair of its id and the number of signals it recalls."""
    root = root_of_pairs((row.id, row.signal_count) for row in rows)
    record_shown([Shown(place, to, head, len(rows), root)], at=at)


def _items(rows: list[_Row]) -> list[bytes]:
    recalled = _recalled([row.number for row in rows if row.kind == "recall"])
    programmes = public.programme_slugs() if recalled else {}
    return [_item(row, recalled.get(row.number), programmes) for row in rows]


def _recalled(numbers: list[int]) -> dict[int, list[dict[str, Any]]]:
    """What each of these recalls tells, in order of the changes."""
    told: dict[int, list[dict[str, Any]]] = {number: [] for number in numbers}
    if numbers:
        with connection.cursor() as cursor:
            cursor.execute(_RECALLED, {"numbers": numbers, "recalled": list(RECALLED)})
            for number, signal_id, revision, state in cursor.fetchall():
                told[number].append({"id": str(signal_id), "revision": revision, "state": state})
    return told


def _item(row: _Row, recalled: list[dict[str, Any]] | None, programmes: dict[int, str]) -> bytes:
    facts: dict[str, Any] = json.loads(row.facts)
    if recalled is not None and row.programme_id is not None:
        facts |= {"programme": programmes[row.programme_id], "signals": recalled}
    at = row.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return msgspec.json.encode({"id": str(row.id), "kind": row.kind, "at": at, "facts": facts})


_PAGE = """
WITH head AS (SELECT position, at, purged_to FROM signals_noticehead WHERE partner_id = %(partner)s)
SELECT coalesce(head.position, 0), head.at, coalesce(head.purged_to, 0), notice.position, notice.number, notice.id,
       notice.kind, notice.at, notice.facts::text, notice.programme_id, notice.signal_count
  FROM (SELECT 1) AS always
  LEFT JOIN head ON true
  LEFT JOIN LATERAL (SELECT * FROM signals_notice
                      WHERE partner_id = %(partner)s AND position > %(after)s AND position <= head.position
                        AND (%(up_to)s::bigint IS NULL OR position <= %(up_to)s)
                      ORDER BY position LIMIT %(limit)s) AS notice ON true
 ORDER BY notice.position
"""

_RECALLED = """
SELECT notice.number, change.signal_id, change.revision, change.kind
  FROM signals_notice AS notice
  CROSS JOIN LATERAL (SELECT notice.partner_id AS id, notice.shown_to) AS reader
  JOIN signals_change AS change ON change.programme_id = notice.programme_id
       AND change.position > notice.after AND change.position <= notice.up_to
  JOIN signals_signal AS signal ON signal.id = change.signal_id
 WHERE notice.number = ANY (%(numbers)s) AND change.kind = ANY (%(recalled)s) AND /*may have had*/
 ORDER BY notice.number, change.position
""".replace("/*may have had*/", MAY_HAVE_HAD)
