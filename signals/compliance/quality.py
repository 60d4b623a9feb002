"""How good a partner's signals have proved, by type: counted over its latest, by what partners said and did of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connection

from signals.core.opinions import ACTIONS, SIGNAL_ALONE
from signals.core.quality import Quality, Share, Tally, quality

SAMPLE = 5_000
"""Of a partner's signals, the latest so many are looked at, so that the question costs the same for everybody."""


def quality_of(partner_id: int, *, programme_ids: Collection[int], hidden: bool) -> dict[str, Quality]:
    """The figures of a partner's latest published signals, by indicator type, in these programmes.

    With `hidden` by everything that was said, as analysts may see it; without, by what members may count, for a figure
    that moves with a signal of one's own would tell what the hub hides.
    """
    columns = {"standing": "standing", "counts": "counts"} if hidden else _SHOWN
    query = _TALLY
    for name, column in columns.items():
        query = query.replace(f"/*{name}*/", column)
    parameters: dict[str, Any] = {
        "partner": partner_id,
        "programmes": list(programme_ids),
        "sample": SAMPLE,
        "hidden": hidden,
        "actions": [each.value for each in ACTIONS],
        "alone": SIGNAL_ALONE,
    }
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return {kind: quality(Tally(*tally)) for kind, *tally in cursor.fetchall()}


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
        }
        for kind, found in sorted(figures.items())
    ]


def _share(share: Share) -> dict[str, Any]:
    return {"of": share.of, "value": share.value, "low": share.low, "high": share.high}


_SHOWN = {"standing": "shown_standing", "counts": "shown_counts"}

# An action proves a signal right where it rested on the actor's own finding: some action was taken more often than
# anybody acted on the signal alone.
_TALLY = """
WITH sample AS (
    SELECT * FROM signals_signal
     WHERE issuer_id = %(partner)s AND published_at IS NOT NULL
       AND programme_id = ANY (%(programmes)s::bigint[])
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
)
SELECT indicator_type, count(*), count(*) FILTER (WHERE is_right AND NOT is_wrong), count(*) FILTER (WHERE is_wrong),
       count(*) FILTER (WHERE removal = 'withdrawn'), count(*) FILTER (WHERE is_echo),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM removed_at - published_at)::float)
           FILTER (WHERE removal = 'withdrawn')
  FROM judged GROUP BY 1 ORDER BY 1
"""
