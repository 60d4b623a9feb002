"""How good a partner's signals have proved, by type: counted over its latest, by what partners said and did of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection

from signals.core.opinions import ACTIONS, DISPUTES, SIGNAL_ALONE
from signals.core.quality import LATE_AFTER, Quality, Share, Tally, added_up, quality
from signals.core.standing import Ruling
from signals.models import QualityCount

WEEKS = timedelta(weeks=12)
FRESH = timedelta(days=1)  # after which a count is shown no more
SAMPLE = 5_000
"""Of a partner's signals, the latest so many are looked at, so that the question costs the same for everybody."""


def quality_of(partner_id: int, *, programme_ids: Collection[int], hidden: bool, at: datetime) -> dict[str, Quality]:
    """The figures of a partner's latest published signals, by indicator type, in these programmes.

    With `hidden` by everything that was said, as analysts may see it; without, by what members may count, for a figure
    that moves with a signal of one's own would tell what the hub hides.
    """
    rows = _tallies("indicator_type", partner_id, programme_ids=programme_ids, hidden=hidden, at=at)
    return {kind: quality(Tally(*tally)) for kind, *tally in rows}


@dataclass(frozen=True, slots=True)
class Counted:
    """The figures of a partner as analysts see them, by type and by type and week, and when they were counted.

    A week begins on Monday and is UTC's; weeks come oldest first, and none that is empty. Younger weeks were judged for
    less long.
    """

    at: datetime
    by_type: dict[str, Quality]
    by_week: dict[str, list[tuple[date, Quality]]]


def counted_quality(partner_id: int, *, programme_ids: Collection[int], at: datetime) -> Counted:
    """What was counted last, within the day, or counts now where that was not; the counts of programmes are added up.

    The sweep counts a partner that sends every quarter of an hour, and one that was silent for a week twice a day.
    """
    kept = QualityCount.objects.filter(partner_id=partner_id, programme_id__in=programme_ids, at__gt=at - FRESH)
    rows = list(kept.order_by("programme_id"))
    known = {row.programme_id for row in rows}
    missing = sorted(_programmes_of(partner_id, set(programme_ids) - known))
    rows += [count_quality(partner_id, programme_id, at=at) for programme_id in missing]
    return as_counted(rows, at=at)


def as_counted(rows: Sequence[QualityCount], *, at: datetime) -> Counted:
    """What these counts of one partner come to together; `at` where there are none."""
    by_type: dict[str, list[Tally]] = {}
    by_week: dict[str, dict[date, list[Tally]]] = {}
    for row in rows:
        for kind, *tally in row.by_type:
            by_type.setdefault(kind, []).append(Tally(*tally))
        for kind, week, *tally in row.by_week:
            by_week.setdefault(kind, {}).setdefault(date.fromisoformat(week), []).append(Tally(*tally))
    return Counted(
        at=min((row.at for row in rows), default=at),
        by_type={kind: quality(added_up(tallies)) for kind, tallies in sorted(by_type.items())},
        by_week={
            kind: [(week, quality(added_up(tallies))) for week, tallies in sorted(weeks.items())]
            for kind, weeks in by_week.items()
        },
    )


def count_quality(partner_id: int, programme_id: int, *, at: datetime) -> QualityCount:
    """Count anew what pages show of a partner in one programme; keeping it is for the sweep."""

    def rows(by: str, since: datetime | None = None) -> list[list[Any]]:
        found = _tallies(by, partner_id, programme_ids=[programme_id], hidden=True, at=at, since=since)
        return [[str(each) if isinstance(each, date) else each for each in row] for row in found]

    by_week = rows(_BY_WEEK, at - WEEKS)
    return QualityCount(
        partner_id=partner_id, programme_id=programme_id, at=at, by_type=rows("indicator_type"), by_week=by_week
    )


def _programmes_of(partner_id: int, programme_ids: Collection[int]) -> list[int]:
    """Those of these in which the partner has a signal: one question, whatever it has there."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_SIGNALS, [list(programme_ids), partner_id])
        return [row[0] for row in cursor.fetchall()]


def _tallies(
    by: str,
    partner_id: int,
    *,
    programme_ids: Collection[int],
    hidden: bool,
    at: datetime,
    since: datetime | None = None,
) -> list[tuple[Any, ...]]:
    query = _TALLY.replace("/*by*/", by)
    for name, column in ({"standing": "standing", "counts": "counts"} if hidden else _SHOWN).items():
        query = query.replace(f"/*{name}*/", column)
    parameters: dict[str, Any] = {
        "partner": partner_id,
        "programmes": list(programme_ids),
        "sample": SAMPLE,
        "hidden": hidden,
        "actions": [each.value for each in ACTIONS],
        "alone": SIGNAL_ALONE,
        "disputes": [each.value for each in DISPUTES],
        "rulings": [Ruling.DISPUTED.value, Ruling.REFUTED.value],
        "at": at,
        "late": LATE_AFTER,
        "since": since,
    }
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def quality_document(figures: dict[str, Quality]) -> list[dict[str, Any]]:
    """The figures as JSON, a member of the list for each type."""
    return [
        {
            "type": kind,
            "signals": found.tally.signals,
            "right": found.tally.right,
            "wrong": found.tally.wrong,
            "withdrawn": found.tally.withdrawn,
            "seconds_to_withdraw": found.tally.seconds_to_withdraw,
            "precision": _share(found.precision),
            "dispute_rate": _share(found.dispute_rate),
            "echo_share": _share(found.echo_share),
            "late_share": _share(found.late_share),
        }
        for kind, found in sorted(figures.items())
    ]


def _share(share: Share) -> dict[str, Any]:
    return {"of": share.of, "value": share.value, "low": share.low, "high": share.high}


_HAS_SIGNALS = """
SELECT programme_id FROM unnest(%s::bigint[]) AS among (programme_id)
 WHERE EXISTS (SELECT FROM signals_signal AS signal
                WHERE signal.issuer_id = %s AND signal.programme_id = among.programme_id)
"""
_BY_WEEK = "indicator_type, date_trunc('week', published_at AT TIME ZONE 'UTC')::date"
_SHOWN = {"standing": "shown_standing", "counts": "shown_counts"}

# An action proves a signal right where it rested on the actor's own finding: some action was taken more often than
# anybody acted on the signal alone.
_TALLY = """
WITH sample AS (
    SELECT * FROM signals_signal
     WHERE issuer_id = %(partner)s AND published_at IS NOT NULL
       AND programme_id = ANY (%(programmes)s::bigint[])
       AND (%(since)s::timestamptz IS NULL OR published_at >= %(since)s)
     ORDER BY arrival DESC LIMIT %(sample)s
), judged AS (
    SELECT sample.*, coalesce(weight./*standing*/ IN ('disputed', 'refuted'), false) AS is_wrong,
           coalesce(jsonb_exists_any(weight./*counts*/ -> 'opinions', ARRAY['confirm-own', 'own-signal'])
               OR EXISTS (SELECT 1 FROM jsonb_each_text(weight./*counts*/ -> 'outcomes') AS did (what, times)
                           WHERE did.what = ANY (%(actions)s) AND did.times::int
                               > coalesce((weight./*counts*/ -> 'outcomes' ->> %(alone)s)::int, 0)), false) AS is_right,
           sample.origin = 'derived' OR EXISTS (
               SELECT 1 FROM signals_signal AS earlier
                WHERE earlier.value_index = sample.value_index AND earlier.programme_id = sample.programme_id
                  AND earlier.issuer_id <> sample.issuer_id AND earlier.published_at < sample.received_at
                  AND (%(hidden)s OR earlier.audience = 'programme')) AS is_echo
      FROM sample LEFT JOIN signals_weight AS weight ON weight.signal_id = sample.id
), dated AS (
    SELECT judged.*,
           CASE WHEN is_wrong THEN least(
               (SELECT min(received_at) FROM signals_opinion AS opinion
                 WHERE opinion.signal_id = judged.id AND opinion.held = ANY (%(disputes)s)),
               (SELECT min(ruling.at) FROM signals_ruling AS ruling
                 WHERE ruling.signal_id = judged.id AND ruling.ruled = ANY (%(rulings)s))) END AS disputed_at
      FROM judged
), timed AS (
    SELECT dated.*,
           disputed_at IS NOT NULL AND (removal = 'withdrawn' OR removal = '' AND disputed_at <= %(at)s - %(late)s)
               AS is_known_wrong,
           coalesce(removed_at, %(at)s) - disputed_at > %(late)s AS is_late
      FROM dated
)
SELECT /*by*/, count(*), count(*) FILTER (WHERE is_right AND NOT is_wrong), count(*) FILTER (WHERE is_wrong),
       count(*) FILTER (WHERE removal = 'withdrawn'), count(*) FILTER (WHERE is_echo),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM removed_at - published_at)::float)
           FILTER (WHERE removal = 'withdrawn'),
       count(*) FILTER (WHERE is_known_wrong), count(*) FILTER (WHERE is_known_wrong AND is_late)
  FROM timed GROUP BY /*by*/ ORDER BY /*by*/
"""
