"""Count what a partner sends by the hour, and say of each new signal whether it belongs to a burst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from signals.core.flood import ACTIVE_HOURS, HISTORY, TOO_FRESH, allowance_of, hourly_limit, in_the_last_hour
from signals.models import Inflow

KEPT = timedelta(days=91)
_FORGOTTEN_AT_ONCE = 10_000
_HOUR = timedelta(hours=1)

Stream = tuple[int, str]  # a programme, and a type of indicator


@dataclass(slots=True)
class _Hour:
    """One stream in this hour of the clock: what had come, and what this batch adds to it."""

    before: float  # in the last sixty minutes
    limit: int
    received: int = 0
    flooded: int = 0


class Counting:
    """What one batch adds to its partner's streams; the caller holds the partner's turn, so nobody counts beside it."""

    def __init__(self, partner_id: int, *, received_at: datetime, may_backfill: bool) -> None:
        self.partner_id, self.received_at, self.may_backfill = partner_id, received_at, may_backfill
        self.hour = received_at.replace(minute=0, second=0, microsecond=0)
        self._hours: dict[Stream, _Hour] = {}

    def begin(self, streams: Mapping[Stream, int], gates: Mapping[int, Mapping[str, object]]) -> None:
        """Look up the streams of a batch, each with how many signals it brings at most; `gates` by programme.

        One query; two where a stream may pass its floor, for only then does its history matter.
        """
        if not streams:
            return
        elapsed = (self.received_at - self.hour) / _HOUR
        counts = self._counts()
        wide = {stream: allowance_of(gates[stream[0]]) for stream in streams}
        for stream in streams:
            this_hour, hour_before = counts.get((*stream, self.hour), 0), counts.get((*stream, self.hour - _HOUR), 0)
            before = in_the_last_hour(this_hour, hour_before, elapsed=elapsed)
            self._hours[stream] = _Hour(before, min(wide[stream].floor, wide[stream].cap))
        high = [stream for stream, hour in self._hours.items() if hour.before + streams[stream] > hour.limit]
        busy = self._busy_hours(high) if high else {}
        for stream in high:
            limit = hourly_limit(busy.get(stream), wide[stream], may_backfill=self.may_backfill)
            self._hours[stream].limit = limit

    def is_burst(self, stream: Stream) -> bool:
        """Whether the next signal of the stream is one too many; it is counted either way."""
        hour = self._hours[stream]
        hour.received += 1
        return hour.before + hour.received > hour.limit

    def note_flood(self, stream: Stream) -> None:
        """The signal counted last is held as part of a flood."""
        self._hours[stream].flooded += 1

    def write(self) -> None:
        """Add the batch to the hour's rows."""
        rows = [
            (self.partner_id, self.hour, programme_id, kind, hour.received, hour.flooded)
            for (programme_id, kind), hour in sorted(self._hours.items())
            if hour.received
        ]
        if rows:
            with connection.cursor() as cursor:
                cursor.execute(_ADD, [list(column) for column in zip(*rows, strict=True)])

    def _counts(self) -> Counter[tuple[int, str, datetime]]:
        rows = Inflow.objects.filter(partner_id=self.partner_id, hour__in=[self.hour, self.hour - _HOUR])
        found = rows.values_list("programme_id", "indicator_type", "hour", "received")
        return Counter({(programme_id, kind, hour): received for programme_id, kind, hour, received in found})

    def _busy_hours(self, streams: Collection[Stream]) -> dict[Stream, int]:
        programmes = list({programme_id for programme_id, _ in streams})
        with connection.cursor() as cursor:
            since, until = self.hour - HISTORY, self.hour - TOO_FRESH
            cursor.execute(_BUSY_HOURS, [self.partner_id, since, until, programmes, ACTIVE_HOURS])
            return {(programme_id, kind): busy for programme_id, kind, busy in cursor.fetchall()}


def forget_inflow(*, at: datetime) -> int:
    """Drop up to 10,000 rows of hours that are looked at no more; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [at - KEPT, _FORGOTTEN_AT_ONCE])
        return int(cursor.rowcount)


_ADD = """
INSERT INTO signals_inflow AS inflow (partner_id, hour, programme_id, indicator_type, received, flooded)
SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::text[], %s::int[], %s::int[])
    ON CONFLICT (partner_id, hour, programme_id, indicator_type)
    DO UPDATE SET received = inflow.received + excluded.received, flooded = inflow.flooded + excluded.flooded
"""

# What was held for a flood is left out: else a flood would make the next one normal.
_BUSY_HOURS = """
SELECT programme_id, indicator_type, percentile_disc(0.9) WITHIN GROUP (ORDER BY received - flooded)
  FROM signals_inflow
 WHERE partner_id = %s AND hour >= %s AND hour < %s AND programme_id = ANY (%s) AND received > flooded
 GROUP BY 1, 2 HAVING count(*) >= %s
"""

_FORGET = """
DELETE FROM signals_inflow
 WHERE ctid = ANY (ARRAY (SELECT ctid FROM signals_inflow WHERE hour < %s ORDER BY hour LIMIT %s))
"""
