"""The times that a restored backup forgot: what was disclosed in them is unknown, so everybody of then counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection

from hub.ledger import leaf
from hub.ledger.models import Epoch, Reading
from partners import public
from signals.compliance.holders import Showing, showings

_ALWAYS = datetime.min.replace(tzinfo=UTC)
PULL = "pull"


@dataclass(frozen=True, slots=True)
class LostTime:
    """Between the last event that the backup held and the moment the hub was put back."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class PossibleHolder:
    """One channel of a partner that may have been handed the value in a time that was lost."""

    signal_id: UUID
    programme_id: int
    partner_id: int
    channel: str


def lost_times() -> list[LostTime]:
    """One for every restore, in order; usually none, by one query."""
    restored = list(Epoch.objects.filter(reason="restored").order_by("number").values_list("started_at", flat=True))
    if not restored:
        return []
    kept = _last_events_kept()
    return [LostTime(kept.get(until, _ALWAYS), until) for until in restored]


def possible_holders(signal_ids: Collection[UUID]) -> list[PossibleHolder]:
    """Every member in the audience of one of these signals while it was served in a lost time, by each of its channels.

    A member without a channel of that time counts with the one it would have pulled by.
    """
    times = lost_times()
    if not times or not signal_ids:
        return []
    found = {holder for showing in showings(signal_ids) for time in times for holder in _in(time, showing)}
    return sorted(found, key=lambda holder: (holder.partner_id, holder.channel, holder.signal_id))


def _in(time: LostTime, showing: Showing) -> Iterator[PossibleHolder]:
    if showing.at > time.until or (showing.until_at is not None and showing.until_at < time.since):
        return
    members = public.members_between(showing.programme_id, since=time.since, until=time.until)
    readers = [partner_id for partner_id in members if showing.admits(partner_id)]
    channels = _channels(showing.programme_id, readers, until=time.until)
    for partner_id in readers:
        for channel in channels.get(partner_id, [PULL]):
            yield PossibleHolder(showing.signal_id, showing.programme_id, partner_id, channel)


def _channels(programme_id: int, partner_ids: Sequence[int], *, until: datetime) -> dict[int, list[str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT partner_id, channel FROM signals_walk"
            " WHERE programme_id = %s AND partner_id = ANY (%s) AND started_at <= %s ORDER BY 1, 2",
            [programme_id, list(partner_ids), until],
        )
        channels: dict[int, list[str]] = {}
        for partner_id, channel in cursor.fetchall():
            channels.setdefault(partner_id, []).append(channel)
    return channels


def _last_events_kept() -> dict[datetime, datetime]:
    """By the time of each restore, that of the last event in the backup, as far as the ledger has leaves of it."""
    sizes = {
        row.at: int(str(leaf.decode(bytes(row.entry)).facts["restored_size"]))
        for row in Reading.objects.filter(action="database.restored")
    }
    ends = dict(Reading.objects.filter(index__in=[size - 1 for size in sizes.values()]).values_list("index", "at"))
    return {at: ends[size - 1] for at, size in sizes.items() if size - 1 in ends}
