"""Make one leaf of what a partner's channel was shown in a minute: it commits to the disclosures' Merkle root.

A leaf for every page would make the ledger grow faster than what it tells. What waits to be summed is found by set
membership, never by a place in a sequence, so what a slow transaction commits late is summed late: its minute then has
a second leaf.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import connection, transaction

from hub.ledger import leaf
from hub.ledger.record import Event, record_many
from partners import public
from signals.compliance.minutes import Disclosed, read_row, root_of_disclosures
from signals.models import DisclosedMinute

BATCH = 5_000  # disclosures in one transaction
SUBJECT = "disclosures"
PULLED, PUSHED, NOTICES = "feed.disclosed", "delivery.disclosed", "notices.disclosed"
_LOCK = 0x68656C696F05  # one process at a time sums, so that a minute is not split between two
_PULLS = {"pull", "notices"}  # the channels of those who come for it themselves


def roll_up_past_minutes(*, at: datetime) -> int:
    """Sum what has waited since before this minute began, at most BATCH disclosures; returns how many. A sweep's step.

    By the database's clock, which also says since when something waits: a process whose clock is wrong changes nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT date_trunc('minute', clock_timestamp())")
        until = cursor.fetchone()[0]
    return roll_up(until=until, at=at)


def roll_up(*, until: datetime, at: datetime) -> int:
    """Make leaves of at most BATCH disclosures that wait since before `until`; returns how many there were.

    None while another process is at it.
    """
    with transaction.atomic():
        groups: dict[tuple[int, int | None, str, datetime], list[Disclosed]] = {}
        waiting = _take(until)
        for row in waiting:
            groups.setdefault((row.partner_id, row.programme_id, row.channel, row.minute), []).append(row)
        if not groups:
            return 0
        slugs = {each: public.partner(each).slug for each in {key[0] for key in groups}}
        programmes = public.programme_slugs()
        minutes = [_minute(group) for group in groups.values()]
        DisclosedMinute.objects.bulk_create(minutes)
        record_many(
            [
                _event(minute, group, slugs[minute.partner_id], programmes.get(minute.programme_id or 0), at=at)
                for minute, group in zip(minutes, groups.values(), strict=True)
            ]
        )
    return len(waiting)


def _take(until: datetime) -> list[Disclosed]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(_WAITING, [until, BATCH])
        return sorted(read_row(row) for row in cursor.fetchall())


def _minute(group: list[Disclosed]) -> DisclosedMinute:
    first = group[0]
    return DisclosedMinute(
        id=uuid.uuid4(),
        partner_id=first.partner_id,
        programme_id=first.programme_id,
        channel=first.channel,
        minute=first.minute,
        disclosure_ids=[row.id for row in group],
        root=root_of_disclosures(group),
        at=max(row.at for row in group),
    )


def _event(
    minute: DisclosedMinute, group: list[Disclosed], partner: str, programme: str | None, *, at: datetime
) -> Event:
    is_pull = minute.channel in _PULLS
    action = NOTICES if programme is None else PULLED if is_pull else PUSHED
    about = (f"partner:{partner}", f"{SUBJECT}:{minute.id}")
    return Event(
        action,
        actor=f"partner:{partner}" if is_pull else "system:deliverer",
        at=max(at, minute.at),
        subjects=about if programme is None else (*about, f"programme:{programme}"),
        facts={
            "channel": minute.channel,
            "minute": leaf.timestamp(minute.minute),
            "disclosures": len(group),
            "count": sum(row.item_count for row in group),
            "root": bytes(minute.root).hex(),
        },
    )


# The day of each disclosure is known, so none but it is looked into.
_WAITING = """
WITH waiting AS (
    DELETE FROM signals_unsummed
     WHERE disclosure_id = ANY (ARRAY(SELECT disclosure_id FROM signals_unsummed
                                       WHERE waits_since < %s ORDER BY waits_since LIMIT %s))
    RETURNING disclosure_id, at)
SELECT disclosure.id, disclosure.at, disclosure.walk_id, from_position, to_position, head, count, root,
       walk.partner_id, walk.programme_id, walk.channel
  FROM waiting JOIN signals_disclosure AS disclosure ON disclosure.id = waiting.disclosure_id
                                                    AND disclosure.at = waiting.at
  JOIN signals_walk AS walk ON walk.id = disclosure.walk_id
"""
