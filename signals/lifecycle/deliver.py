"""Bring endpoints up to the head of their feed: claim, render after the cursor, POST, advance on 2xx.

The endpoint's row is the queue. A batch is rendered anew for every attempt, never kept: what it holds may have been
withdrawn meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from hub.ledger.mirror import current_epoch
from signals.delivery.flights import Courier, Flights
from signals.delivery.outcome import Request
from signals.delivery.sender import Sender
from signals.delivery.urls import Egress
from signals.due import DUE_FROM, IS_DUE
from signals.lifecycle.letters import Post, former_secrets, request_of
from signals.lifecycle.render import render
from signals.lifecycle.settle import settle, stuck
from signals.lifecycle.shared_pages import SharedPages
from signals.models import Endpoint

CONCURRENCY: Final = 200
SUSPECTS: Final = 40  # places for those that failed last: however many hang, the others have the rest
ROUND = timedelta(seconds=20)  # after it a round claims nothing more, so that a worker can be asked to stop
_POLL = 0.02  # seconds between looks at what is due while something is in the air
_SHARE = 4  # of the time, at most one in so many goes into looking: with very many endpoints a look takes long


def deliver_due(*, clock: Callable[[], datetime], for_at_most: timedelta = ROUND) -> int:
    """Deliver until no endpoint is due or the time is up; returns how many POSTs were made.

    Endpoints are independent: a slow one holds its own place, and the others go on being claimed beside it.
    """
    until = time.monotonic() + for_at_most.total_seconds()
    air: dict[int, Post] = {}  # by number
    pages = SharedPages()
    started = 0
    with Flights[int](_courier) as flights:
        pause = _POLL
        while True:
            claimed: Sequence[Endpoint] = []
            looked = time.monotonic()
            if looked < until:
                suspects = sum(post.endpoint.failures > 0 for post in air.values())
                claimed, token = claim_due(limit=CONCURRENCY - len(air), suspects=SUSPECTS - suspects)
                pause = max(_POLL, (_SHARE - 1) * (time.monotonic() - looked))
                for post, request in _requests(render(claimed, token=token, at=clock(), pages=pages), at=clock()):
                    started += 1
                    air[started] = post
                    flights.start(started, request)
            if not claimed and not air:
                return started
            within = timedelta(seconds=pause)
            settle([(air.pop(number), outcome) for number, outcome in flights.landed(within=within)], at=clock())


def claim_due(*, limit: int, suspects: int = SUSPECTS) -> tuple[list[Endpoint], UUID]:
    """Lease endpoints that something is due for, and the token that they are leased under.

    Those of notices come first, for recalls are among them, then who is due longest.
    At most `suspects` of them are such as failed the last time. One whose breaker is open gets its probe: half-open.
    """
    token = uuid4()
    parameters: dict[str, Any] = {
        "token": token,
        "lease": settings.LEASE_SECONDS,
        "limit": limit,
        "suspects": max(0, min(limit, suspects)),
        "epoch": current_epoch(),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, parameters)
        ids = [row[0] for row in cursor.fetchall()]
    return (list(Endpoint.objects.select_related("walk").filter(id__in=ids)) if ids else []), token


def egress() -> Egress:
    """Where webhooks may go in this deployment."""
    make = Egress.production if settings.IS_PRODUCTION else Egress.development
    return make(settings.EGRESS_ALLOWED_CIDRS)


def _requests(posts: Sequence[Post], *, at: datetime) -> Iterator[tuple[Post, Request]]:
    """Each post with its signed request; one that cannot be signed waits, and the others go.

    One by one, so that the first is on its way while the next is signed.
    """
    former = former_secrets((post.endpoint.id for post in posts), at=at) if posts else {}
    for post in posts:
        try:
            request = request_of(post, former)
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  a damaged secret is not the others' affair
            stuck(post.endpoint, post.token, error)
        else:
            yield post, request


_courier = Courier(lambda: Sender(egress(), proxy=settings.EGRESS_PROXY or None))

_CLAIM = f"""
WITH sound AS (
    SELECT endpoint.id {DUE_FROM} WHERE endpoint.failures = 0 AND {IS_DUE}
     ORDER BY endpoint.programme_id IS NULL DESC, endpoint.next_attempt_at
     LIMIT %(limit)s FOR UPDATE OF endpoint SKIP LOCKED),
suspect AS (
    SELECT endpoint.id {DUE_FROM} WHERE endpoint.failures > 0 AND {IS_DUE}
     ORDER BY endpoint.programme_id IS NULL DESC, endpoint.next_attempt_at
     LIMIT least(%(suspects)s, %(limit)s - (SELECT count(*) FROM sound))
       FOR UPDATE OF endpoint SKIP LOCKED)
UPDATE signals_endpoint
   SET lease_token = %(token)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
       breaker = replace(breaker, 'open', 'half-open')
 WHERE id IN (SELECT id FROM sound UNION ALL SELECT id FROM suspect)
RETURNING id
"""  # noqa: S608  constants
