"""How an endpoint fares: its attempts, how far it is behind, its rates of the last day, in numbers and as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from hub.vault import keyring
from partners import public
from signals.delivery.drawing import Hour, hours_drawn
from signals.lifecycle.disclose import page_query, reader_of
from signals.lifecycle.letters import answer_context
from signals.lifecycle.notice_feed import notices_waiting
from signals.lifecycle.walk import START, Place, a_walk
from signals.models import Attempt, Endpoint

COUNTED: Final = 10_000  # changes that wait are counted so far, and then said to be more
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lag:
    """What waits for an endpoint, counting only what its partner may see."""

    signals: int
    is_more: bool  # than were counted
    seconds: float  # the age of the oldest of them


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint fares; rates and times are of the last 24 hours, in milliseconds."""

    lag: Lag
    attempts: int
    success_rate: float | None
    p50_ms: int | None
    p99_ms: int | None
    breaker: str
    breaker_since: datetime | None
    failures: int
    failing_since: datetime | None
    is_failing: bool
    next_attempt_at: datetime


def attempts(endpoint: Endpoint, *, before: datetime | None = None, limit: int) -> list[Attempt]:
    """Its attempts, newest first."""
    rows = Attempt.objects.filter(endpoint=endpoint)
    return list((rows if before is None else rows.filter(at__lt=before)).order_by("-at")[:limit])


def excerpt(attempt: Attempt) -> str:
    """The beginning of what the receiver answered; empty once its month's key has been destroyed."""
    if attempt.sealed_excerpt is None:
        return ""
    try:
        opened = keyring.open_sealed(bytes(attempt.sealed_excerpt), context=answer_context(attempt.endpoint_id))
    except keyring.KeyDestroyed:
        return ""
    return opened.decode("utf-8")


def health(endpoint: Endpoint, *, at: datetime) -> Health:
    """Everything there is to say of it at this moment."""
    with connection.cursor() as cursor:
        cursor.execute(_RATES, {"endpoint": endpoint.id, "since": at - _DAY})
        count, rate, p50, p99 = cursor.fetchone()
    return Health(
        lag=lag(endpoint, at=at),
        attempts=count,
        success_rate=None if rate is None else round(float(rate), 4),
        p50_ms=None if p50 is None else round(p50),
        p99_ms=None if p99 is None else round(p99),
        breaker=endpoint.breaker,
        breaker_since=endpoint.breaker_since,
        failures=endpoint.failures,
        failing_since=endpoint.failing_since,
        is_failing=endpoint.failing_told_at is not None,
        next_attempt_at=endpoint.next_attempt_at,
    )


def lag(endpoint: Endpoint, *, at: datetime) -> Lag:
    """What waits for it. Positions would tell its partner how much is hidden from it, so they are never the measure."""
    if endpoint.programme_id is None:
        waiting, oldest = notices_waiting(endpoint.partner_id, after=endpoint.position)
        return Lag(waiting, is_more=False, seconds=_seconds_since(oldest, at=at))
    programme = public.programme_by_id(endpoint.programme_id)
    member = public.membership(endpoint.partner_id, programme.slug, at=at)
    if member is None or member.state == "ended":
        return Lag(0, is_more=False, seconds=0.0)
    walk = endpoint.walk or a_walk(member, channel="", filter=endpoint.filter, floor=0, at=at)
    place = Place(walk, endpoint.position if endpoint.walk is not None else START)
    query, parameters = page_query(place, reader=reader_of(member), limit=COUNTED, up_to=None)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_WAITING.replace("/*page*/", query), parameters)
        count, oldest = cursor.fetchone()
    return Lag(min(count, COUNTED), is_more=count > COUNTED, seconds=_seconds_since(oldest, at=at))


def _seconds_since(moment: datetime | None, *, at: datetime) -> float:
    return round(max(0.0, (at - moment).total_seconds()), 1) if moment is not None else 0.0


def hours(endpoint: Endpoint, *, at: datetime) -> list[Hour]:
    """Its attempts of the last 24 hours, hour by hour, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, {"endpoint": endpoint.id, "at": at})
        return [Hour(*row) for row in cursor.fetchall()]


def drawing(endpoint: Endpoint, *, at: datetime) -> str:
    """The last 24 hours as an SVG."""
    return hours_drawn(hours(endpoint, at=at), at=at)


_WAITING = """
SELECT count(position), min(changed_at::timestamptz)
  FROM (/*page*/) AS page (head, purged_to, position, id, revision, state, removal, issuer_id, changed_at)
"""

_RATES = """
SELECT count(*), avg(is_delivered::int),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms)
  FROM signals_attempt WHERE endpoint_id = %(endpoint)s AND at > %(since)s
"""

_HOURS = """
SELECT hour.n, count(attempt.endpoint_id) FILTER (WHERE attempt.is_delivered),
       count(attempt.endpoint_id) FILTER (WHERE NOT attempt.is_delivered),
       coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY attempt.latency_ms), 0)::int
  FROM generate_series(23, 0, -1) AS hour (n)
  LEFT JOIN signals_attempt AS attempt
    ON attempt.endpoint_id = %(endpoint)s
   AND attempt.at > %(at)s - make_interval(hours => hour.n + 1)
   AND attempt.at <= %(at)s - make_interval(hours => hour.n)
 GROUP BY hour.n ORDER BY hour.n DESC
"""
