"""What a monitor asks: how overdue each step is, how far endpoints are behind, and how deliveries fare."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from partners import public
from signals import queries


def overdue() -> dict[str, float]:
    """The age in seconds of the oldest row that each step should have taken up by now; 0 where nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute(_OVERDUE)
        names = [column.name for column in cursor.description or ()]
        row = cursor.fetchone()
    return {name: max(0.0, float(age or 0)) for name, age in zip(names, row or (), strict=True)}


@dataclass(frozen=True, slots=True)
class Lag:
    """How far an active endpoint is behind its feed's head, in positions and in seconds since it last kept up."""

    endpoint_id: UUID
    positions: int
    seconds: float


def endpoint_lags() -> list[Lag]:
    """Every active endpoint's lag."""
    with connection.cursor() as cursor:
        cursor.execute(_LAGS)
        return [Lag(identity, int(behind), float(seconds)) for identity, behind, seconds in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Endpoints by state and by breaker, and the attempts of the last five minutes by what came of them."""

    states: dict[str, int]
    breakers: dict[str, int]
    failing: int
    outcomes: dict[str, int]  # "delivered", or the word of the failure
    p50_ms: float
    p99_ms: float


def deliveries() -> Deliveries:
    """How deliveries fare."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDINGS)
        rows = cursor.fetchall()
        cursor.execute(_OUTCOMES)
        came = cursor.fetchall()
        cursor.execute(_LATENCIES)
        p50, p99 = cursor.fetchone()
    states: Counter[str] = Counter()
    breakers: Counter[str] = Counter()
    for state, breaker, count, _ in rows:
        states[state] += count
        if state == "active":
            breakers[breaker] += count
    outcomes = {error or "delivered": count for error, count in came}
    return Deliveries(dict(states), dict(breakers), sum(row[3] for row in rows), outcomes, p50 or 0.0, p99 or 0.0)


def heads_by_slug() -> dict[str, int]:
    """The end of every programme's feed, by the programme's slug."""
    return {public.programme_by_id(programme_id).slug: head for programme_id, head in queries.heads().items()}


# Every endpoint with the end of its feed: a programme's, or its partner's notices.
_ENDPOINTS = """
signals_endpoint AS endpoint
  LEFT JOIN signals_head AS head ON head.programme_id = endpoint.programme_id
  LEFT JOIN signals_noticehead AS noticed
    ON endpoint.programme_id IS NULL AND noticed.partner_id = endpoint.partner_id
  CROSS JOIN LATERAL (SELECT coalesce(head.position, noticed.position) AS position,
                             coalesce(head.at, noticed.at) AS at) AS feed
"""

_OVERDUE = """
SELECT
  (SELECT extract(epoch FROM clock_timestamp() - min(greatest(next_attempt_at, coalesce(lease_until, next_attempt_at))))
     FROM signals_submission WHERE state = 'pending') AS verify,
  (SELECT extract(epoch FROM clock_timestamp() - min(verified_at))
     FROM signals_signal WHERE state = 'verified' AND NOT is_awaiting_routing) AS publish,
  (SELECT extract(epoch FROM clock_timestamp() - min(greatest(endpoint.next_attempt_at, feed.at,
                                                             coalesce(endpoint.lease_until, feed.at))))
     FROM /*endpoints*/
    WHERE endpoint.state = 'active' AND endpoint.position < feed.position) AS deliver,
  (SELECT extract(epoch FROM clock_timestamp() - min(expires_at))
     FROM signals_signal WHERE state IN ('verified', 'held', 'published', 'restricted')) AS expire,
  (SELECT extract(epoch FROM clock_timestamp() - min(at)) FROM signals_distrust WHERE NOT is_settled) AS quarantine,
  (SELECT extract(epoch FROM clock_timestamp() - min(at)) FROM signals_notice WHERE position IS NULL) AS notices,
  (SELECT extract(epoch FROM clock_timestamp() - min(change.at))
     FROM signals_head AS head LEFT JOIN signals_recallplace AS place USING (programme_id),
          LATERAL (SELECT at FROM signals_change
                    WHERE programme_id = head.programme_id AND position > coalesce(place.position, 0)
                      AND kind IN ('withdrawn', 'expired', 'quarantined', 'restricted')
                    ORDER BY position LIMIT 1) AS change) AS recalls,
  (SELECT extract(epoch FROM clock_timestamp() - date_trunc('minute', min(waits_since)) - interval '1 minute')
     FROM signals_unsummed) AS roll_up,
  (SELECT extract(epoch FROM clock_timestamp() - max(swept_at)) FROM signals_sweep) AS sweep
""".replace("/*endpoints*/", _ENDPOINTS)

_STANDINGS = """
SELECT state, breaker, count(*), count(*) FILTER (WHERE state = 'active' AND failing_told_at IS NOT NULL)
  FROM signals_endpoint WHERE state <> 'deleted' GROUP BY state, breaker
"""

_OUTCOMES = """
SELECT error, count(*) FROM signals_attempt WHERE at > clock_timestamp() - interval '5 minutes' GROUP BY error
"""

_LATENCIES = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms)
  FROM signals_attempt WHERE is_delivered AND at > clock_timestamp() - interval '5 minutes'
"""

_LAGS = """
SELECT endpoint.id, greatest(0, feed.position - greatest(endpoint.position, 0)),
       CASE WHEN endpoint.position < feed.position
            THEN extract(epoch FROM clock_timestamp() - coalesce(endpoint.last_success_at, endpoint.created_at))
            ELSE 0 END
  FROM /*endpoints*/
 WHERE endpoint.state = 'active' AND feed.position IS NOT NULL
""".replace("/*endpoints*/", _ENDPOINTS)
