"""What came of POSTs: the cursor advances or the endpoint waits, the breaker moves, and every attempt is noted.

A 2xx settles only the attempt whose lease is still on the row. All that landed together is written together.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from signals.core.backoff import Schedule, wait_after
from signals.core.breaker import Breaker, after_failure
from signals.core.endpoints import STATE_OF, Letter, Stop
from signals.core.notices import NoticeKind
from signals.delivery.outcome import Failure, Outcome
from signals.lifecycle.letters import Post, answer_context
from signals.lifecycle.notices import notify
from signals.lifecycle.walk import START
from signals.models import Endpoint

logger = logging.getLogger(__name__)

Landed = tuple[Post, Outcome]

_STUCK_WAIT: Final = timedelta(minutes=1)
_TOO_LARGE: Final = 413
_OVERLOADED: Final = frozenset({429, 502, 504})
_OURS: Final = frozenset({Failure.HOST_BUSY, Failure.PROXY})  # the receiver was never asked: nothing counts against it
_jitter = random.Random()  # noqa: S311  spreads retries; nothing secret


def settle(landed: Sequence[Landed], *, at: datetime) -> None:
    """Write down what came of these POSTs; an attempt that lost its lease changes nothing but the list of attempts."""
    if not landed:
        return
    landed = [(post, _answered(post, outcome)) for post, outcome in landed]
    steps = [_step(post, outcome, at=at) for post, outcome in landed]
    with transaction.atomic():
        hold([step.endpoint_id for step in steps])
        held = _apply(steps, at=at)
        for post, outcome in landed:
            if post.endpoint.id in held:
                _mark(post, outcome, at=at)
        _note(landed, held, at=at)


def hold(endpoint_ids: Sequence[UUID]) -> None:
    """Lock these rows by id, as whoever changes several does: two in other orders would wait for each other."""
    if len(endpoint_ids) > 1:
        rows = Endpoint.objects.select_for_update(no_key=True).filter(id__in=endpoint_ids).order_by("id")
        list(rows.values_list("id"))


def release(endpoints: Sequence[Endpoint], token: UUID, *, wait: timedelta = timedelta()) -> None:
    """Give leases back unused; the endpoints wait for so long by the database's clock, as do all waits here."""
    ids = [endpoint.id for endpoint in endpoints]
    with transaction.atomic():
        hold(ids)
        rows = Endpoint.objects.filter(id__in=ids, lease_token=token)
        rows.update(lease_token=None, lease_until=None, next_attempt_at=Now() + wait)


def stuck(endpoint: Endpoint, token: UUID, error: Exception) -> None:
    """Note that something of the hub's own is wrong with an endpoint, and let it wait."""
    logger.error("delivery.stuck", extra={"endpoint": str(endpoint.id), "reason": type(error).__name__})
    release([endpoint], token, wait=_STUCK_WAIT)


def switch_off(endpoint: Endpoint, reason: Stop, *, at: datetime) -> None:
    """Stop its POSTs. After an end of its membership it would walk from the start: its partner's copy is erased."""
    change: dict[str, Any] = {"state": STATE_OF[reason], "state_reason": reason.value}
    change |= {"lease_token": None, "lease_until": None}
    if reason is Stop.MEMBERSHIP_ENDED:
        change |= {"walk": None, "position": START, "in_flight_to": None, "is_leaving": False}
    facts = {"state": STATE_OF[reason], "reason": reason.value}
    record("endpoint.disabled", actor="system:deliverer", at=at, subjects=[f"endpoint:{endpoint.id}"], facts=facts)
    notify(endpoint.partner_id, NoticeKind.ENDPOINT_DISABLED, {"endpoint": str(endpoint.id), **facts}, at=at)
    Endpoint.objects.filter(id=endpoint.id).update(**change)


def schedule() -> Schedule:
    """When a failing endpoint is tried again, in this deployment."""
    return Schedule(
        quick=tuple(timedelta(seconds=seconds) for seconds in settings.RETRY_QUICK_SECONDS),
        probe=timedelta(seconds=settings.RETRY_PROBE_SECONDS),
        later=timedelta(seconds=settings.RETRY_LATER_SECONDS),
        jitter=settings.RETRY_JITTER_PERCENT / 100,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """What an attempt does to its endpoint's row."""

    endpoint_id: UUID
    token: UUID
    wait: timedelta | None  # until the next attempt; None: as it was
    position: int | None = None  # where it stands from now on; None: where it stood
    failures: int = 0  # in a row, this one included
    size: int = 0  # of batches: 1 may grow, -1 shrinks
    refused: int | None = None  # so many signals were too large
    is_success: bool = False
    is_test: bool = False
    breaker: Breaker = Breaker.CLOSED
    failing_since: datetime | None = None


def _step(post: Post, outcome: Outcome, *, at: datetime) -> _Step:
    if outcome.delivered:
        return _forward(post, at=at)
    if outcome.failure in _OURS:
        return _stay(post, wait_after(1, rng=_jitter, schedule=schedule()))
    if post.letter is Letter.TEST:  # it says nothing of the feed, whose schedule goes on as it was
        return _stay(post, None)
    return _wait(post, outcome, at=at)


def _pause_after(post: Post, *, at: datetime) -> timedelta:
    """How long from now on no other POST may follow this one."""
    rate = post.endpoint.posts_per_minute
    pause = timedelta(minutes=1) / rate if rate else timedelta()
    return min(pause, max(timedelta(), post.at + pause - at))


def _forward(post: Post, *, at: datetime) -> _Step:
    is_batch = post.letter is Letter.BATCH
    return _Step(
        post.endpoint.id,
        post.token,
        _pause_after(post, at=at),
        position=post.to if is_batch else None,
        size=1 if is_batch else 0,
        is_success=True,
        is_test=post.letter is Letter.TEST,
    )


def _stay(post: Post, wait: timedelta | None) -> _Step:
    endpoint = post.endpoint
    breaker = Breaker(endpoint.breaker)
    return _Step(
        endpoint.id,
        post.token,
        wait,
        failures=endpoint.failures,
        is_test=post.letter is Letter.TEST,
        breaker=Breaker.OPEN if breaker is Breaker.HALF_OPEN else breaker,  # nobody was asked
        failing_since=endpoint.failing_since,
    )


def _wait(post: Post, outcome: Outcome, *, at: datetime) -> _Step:
    endpoint, failures = post.endpoint, post.endpoint.failures + 1
    is_overloaded = outcome.status in _OVERLOADED
    wait = wait_after(
        failures, rng=_jitter, retry_after=outcome.retry_after, is_overloaded=is_overloaded, schedule=schedule()
    )
    is_too_large = outcome.status == _TOO_LARGE
    shrinks = is_overloaded or is_too_large or outcome.failure == Failure.TOTAL_TIMEOUT
    return _Step(
        endpoint.id,
        post.token,
        max(wait, _pause_after(post, at=at)),
        failures=failures,
        size=-1 if shrinks and post.letter is Letter.BATCH else 0,
        refused=max(2, post.count) if is_too_large and post.letter is Letter.BATCH else None,
        breaker=after_failure(failures, schedule=schedule()),
        failing_since=endpoint.failing_since or at,
    )


def _answered(post: Post, outcome: Outcome) -> Outcome:
    """A challenge is answered only by who repeats it."""
    if outcome.delivered and post.expects and post.expects not in outcome.excerpt:
        return Outcome(failure=Failure.NO_ECHO, latency=outcome.latency, status=outcome.status, excerpt=outcome.excerpt)
    return outcome


def _apply(steps: Sequence[_Step], *, at: datetime) -> set[UUID]:
    columns: list[list[Any]] = [
        [step.endpoint_id for step in steps],
        [step.token for step in steps],
        [step.wait for step in steps],
        [step.position for step in steps],
        [step.failures for step in steps],
        [step.size for step in steps],
        [step.refused for step in steps],
        [step.is_success for step in steps],
        [step.is_test for step in steps],
        [step.breaker.value for step in steps],
        [step.failing_since for step in steps],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_APPLY, [at, at, *columns])
        return {row[0] for row in cursor.fetchall()}


def _mark(post: Post, outcome: Outcome, *, at: datetime) -> None:
    """The rare things that come of an attempt; each has its leaf."""
    endpoint = post.endpoint
    if outcome.gone:
        switch_off(endpoint, Stop.GONE, at=at)
    elif outcome.delivered and post.letter is Letter.FAREWELL and _has_left(endpoint, at=at):
        switch_off(endpoint, Stop.MEMBERSHIP_ENDED, at=at)
    elif outcome.delivered and post.letter is Letter.CHALLENGE:
        Endpoint.objects.filter(id=endpoint.id).update(verified_at=at)
        _tell("endpoint.verified", NoticeKind.ENDPOINT_VERIFIED, endpoint, at=at)
    if outcome.delivered and endpoint.failing_told_at is not None:
        _tell("endpoint.recovered", NoticeKind.ENDPOINT_RECOVERED, endpoint, at=at)


def _has_left(endpoint: Endpoint, *, at: datetime) -> bool:
    """Whether its partner is still gone: one that came back while the last word was in the air walks anew by itself."""
    members = public.programmes_of(endpoint.partner_id, at=at)
    return all(member.programme_id != endpoint.programme_id or member.state == "ended" for member in members)


def _tell(action: str, kind: NoticeKind, endpoint: Endpoint, *, at: datetime) -> None:
    record(action, actor="system:deliverer", at=at, subjects=[f"endpoint:{endpoint.id}"])
    notify(endpoint.partner_id, kind, {"endpoint": str(endpoint.id)}, at=at)


def _note(landed: Sequence[Landed], held: set[UUID], *, at: datetime) -> None:
    sealer = keyring.sealer("hub", keyring.month_of(at))

    def sealed(post: Post, outcome: Outcome) -> bytes | None:
        context = answer_context(post.endpoint.id)
        return sealer.seal(outcome.excerpt.encode("utf-8"), context=context) if outcome.excerpt else None

    columns: list[list[Any]] = [
        [post.endpoint.id for post, _ in landed],
        [post.letter.value for post, _ in landed],
        [post.webhook_id for post, _ in landed],
        [post.count for post, _ in landed],
        [outcome.delivered for _, outcome in landed],
        [outcome.status for _, outcome in landed],
        [outcome.failure.value if outcome.failure is not None else "" for _, outcome in landed],
        [sealed(post, outcome) for post, outcome in landed],
        [round(outcome.latency.total_seconds() * 1000) for _, outcome in landed],
        [post.endpoint.id in held for post, _ in landed],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, [at, *columns])


_NOTE = """
INSERT INTO signals_attempt (at, endpoint_id, kind, webhook_id, signal_count, is_delivered, status, error,
                             sealed_excerpt, latency_ms, settled)
SELECT %s, attempt.* FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int[], %s::boolean[], %s::int[], %s::text[],
                                 %s::bytea[], %s::int[], %s::boolean[]) AS attempt
"""

_APPLY = """
UPDATE signals_endpoint AS endpoint
   SET lease_token = NULL, lease_until = NULL,
       next_attempt_at = coalesce(clock_timestamp() + step.wait, endpoint.next_attempt_at),
       test_asked_at = CASE WHEN step.is_test THEN NULL ELSE endpoint.test_asked_at END,
       position = coalesce(step.position, endpoint.position),
       in_flight_to = CASE WHEN step.position IS NULL THEN endpoint.in_flight_to END,
       failures = step.failures,
       batch_size = CASE step.size
           WHEN 1 THEN greatest(endpoint.batch_size, least(endpoint.max_batch_size, endpoint.batch_size * 2,
                                                           endpoint.refused_size - 1))
           WHEN -1 THEN greatest(1, least(endpoint.batch_size, step.refused) / 2)
           ELSE endpoint.batch_size END,
       refused_size = least(endpoint.refused_size, step.refused),
       last_success_at = CASE WHEN step.is_success THEN %s ELSE endpoint.last_success_at END,
       breaker_since = CASE WHEN step.breaker = replace(endpoint.breaker, 'half-open', 'open')
                            THEN endpoint.breaker_since ELSE %s END,
       breaker = step.breaker,
       failing_since = step.failing_since,
       failing_told_at = CASE WHEN step.is_success THEN NULL ELSE endpoint.failing_told_at END,
       failing_mailed_at = CASE WHEN step.is_success THEN NULL ELSE endpoint.failing_mailed_at END
  FROM unnest(%s::uuid[], %s::uuid[], %s::interval[], %s::bigint[], %s::int[], %s::int[], %s::int[],
              %s::boolean[], %s::boolean[], %s::text[], %s::timestamptz[])
       AS step (id, token, wait, position, failures, size, refused, is_success, is_test, breaker, failing_since)
 WHERE endpoint.id = step.id AND endpoint.lease_token = step.token
RETURNING endpoint.id
"""
