"""Bring endpoints up to the head of their feed: claim, render after the cursor, POST, advance on 2xx.

The endpoint's row is the queue. A batch is rendered anew for every attempt, never kept: what it holds may have been
withdrawn meanwhile. A 2xx settles only the attempt whose lease is still on the row.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, transaction

from hub.ledger.mirror import current_epoch
from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from partners.public import MembershipFacts
from signals.core.backoff import wait_after
from signals.delivery import payload, signing
from signals.delivery.loop import process_loop
from signals.delivery.outcome import Failure, Outcome, Request
from signals.delivery.sender import Sender
from signals.delivery.urls import Egress
from signals.lifecycle.disclose import read_page, reader_of
from signals.lifecycle.walk import Place, is_over, start_walk
from signals.models import Attempt, Endpoint

CONCURRENCY = 100
ROUND = timedelta(seconds=20)  # after it a round claims nothing more, so that a worker can be asked to stop
_POLL_SECONDS = 0.1
_SUSPENDED_WAIT = timedelta(minutes=1)
_TOO_LARGE = 413
_jitter = random.Random()  # noqa: S311  spreads retries; nothing secret


@dataclass(frozen=True, slots=True)
class Batch:
    """One body on its way to one endpoint."""

    endpoint: Endpoint
    token: UUID
    webhook_id: str
    body: bytes
    to: int
    count: int
    is_farewell: bool = False  # the membership has ended: after this the endpoint is closed


def deliver_due(*, clock: Callable[[], datetime], for_at_most: timedelta = ROUND) -> int:
    """Deliver until no endpoint is due or the time is up; returns how many POSTs were made.

    Endpoints are independent: a slow one holds its own place, and the others go on being claimed beside it.
    """
    until = time.monotonic() + for_at_most.total_seconds()
    flying: dict[Future[Outcome], Batch] = {}
    posted = 0
    while True:
        claimed = claim_due(limit=CONCURRENCY - len(flying)) if time.monotonic() < until else []
        for endpoint, token in claimed:
            batch = render(endpoint, token=token, at=clock())
            if batch is not None:
                flying[process_loop.submit(_sender().post(_request(batch, at=clock())))] = batch
        if not claimed and not flying:
            return posted
        for future in wait(flying, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED).done:
            settle(flying.pop(future), future.result(), at=clock())
            posted += 1


def claim_due(*, limit: int) -> list[tuple[Endpoint, UUID]]:
    """Lease endpoints that are behind their feed and whose time has come, longest due first."""
    token = uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        parameters: dict[str, Any] = {
            "token": token,
            "lease": settings.LEASE_SECONDS,
            "limit": limit,
            "epoch": current_epoch(),
        }
        cursor.execute(_CLAIM, parameters)
        ids = [row[0] for row in cursor.fetchall()]
    return [(endpoint, token) for endpoint in Endpoint.objects.select_related("walk").filter(id__in=ids)]


def render(endpoint: Endpoint, *, token: UUID, at: datetime) -> Batch | None:
    """What to POST to a claimed endpoint now, recorded as disclosed; None, its lease returned, if there is nothing."""
    programme = public.programme_by_id(endpoint.programme_id)
    member = public.membership(endpoint.partner_id, programme.slug, at=at)
    if member is None or member.state == "ended":
        return _farewell(endpoint, token, programme.slug)
    if not member.may_receive:
        _release(endpoint, token, next_attempt_at=at + _SUSPENDED_WAIT)
        return None
    with transaction.atomic():
        place = _place(endpoint, member, at=at)
        page = read_page(
            place, reader=reader_of(member, at=at), limit=endpoint.batch_size, at=at, up_to=endpoint.in_flight_to
        )
        to = page.place.position
        rows = Endpoint.objects.filter(id=endpoint.id, lease_token=token)
        if page.is_silent:
            rows.update(walk=place.walk, position=to, in_flight_to=None, lease_token=None, lease_until=None)
            return None
        rows.update(walk=place.walk, position=place.position, in_flight_to=to)
    body = payload.batch(
        programme=programme.slug,
        channel=channel_of(endpoint),
        epoch=place.walk.epoch,
        walk=place.walk.pk,
        listed=page.listed,
        items=page.items,
    )
    return Batch(endpoint, token, _webhook_id(endpoint, programme.slug, place), body, to, len(page.items))


def settle(batch: Batch, outcome: Outcome, *, at: datetime) -> None:
    """Write down what came of a POST; an attempt that lost its lease changes nothing."""
    endpoint = batch.endpoint
    rows = Endpoint.objects.filter(id=endpoint.id, lease_token=batch.token)
    free: dict[str, object] = {"lease_token": None, "lease_until": None, "next_attempt_at": at}
    with transaction.atomic():
        if outcome.delivered and batch.is_farewell:
            updated = rows.update(**free, state="disabled", state_reason="membership-ended", last_success_at=at)
        elif outcome.delivered:
            grown = min(endpoint.max_batch_size, endpoint.batch_size * 2)
            updated = rows.update(
                **free, position=batch.to, in_flight_to=None, failures=0, last_success_at=at, batch_size=grown
            )
        elif outcome.gone:
            updated = rows.update(**free, state="disabled", state_reason="gone", failures=endpoint.failures + 1)
            if updated:
                record("endpoint.disabled", actor="system:deliverer", at=at, subjects=[f"endpoint:{endpoint.id}"])
        else:
            free["next_attempt_at"] = at + wait_after(
                endpoint.failures + 1, rng=_jitter, retry_after=outcome.retry_after
            )
            shrinks = outcome.status == _TOO_LARGE or outcome.failure == Failure.TOTAL_TIMEOUT
            size = max(1, endpoint.batch_size // 2) if shrinks else endpoint.batch_size
            updated = rows.update(**free, failures=endpoint.failures + 1, batch_size=size)
        _note(batch, outcome, settled=bool(updated), at=at)


def channel_of(endpoint: Endpoint) -> str:
    """The name of an endpoint's channel: one local copy at the partner per channel."""
    return f"endpoint:{endpoint.id}"


def secret_context(endpoint_id: UUID) -> bytes:
    """What a sealed webhook secret is bound to."""
    return b"signals_endpoint.sealed_secret:" + endpoint_id.bytes


def _place(endpoint: Endpoint, member: MembershipFacts, *, at: datetime) -> Place:
    if endpoint.walk is not None:
        place = Place(endpoint.walk, endpoint.position)
        if not is_over(place, member=member):
            return place
    endpoint.in_flight_to = None
    return start_walk(member, channel=channel_of(endpoint), filter=endpoint.filter, at=at)


def _farewell(endpoint: Endpoint, token: UUID, programme_slug: str) -> Batch | None:
    """The last word to a partner that has left: erase everything of this channel."""
    if endpoint.walk is None:
        Endpoint.objects.filter(id=endpoint.id, lease_token=token).update(
            state="disabled", state_reason="membership-ended", lease_token=None, lease_until=None
        )
        return None
    walk = endpoint.walk
    body = payload.farewell(programme=programme_slug, channel=channel_of(endpoint), epoch=walk.epoch, walk=walk.pk)
    place = Place(walk, endpoint.position)
    webhook_id = _webhook_id(endpoint, f"{programme_slug} farewell", place)
    return Batch(endpoint, token, webhook_id, body, endpoint.position, 0, is_farewell=True)


def _release(endpoint: Endpoint, token: UUID, *, next_attempt_at: datetime) -> None:
    Endpoint.objects.filter(id=endpoint.id, lease_token=token).update(
        lease_token=None, lease_until=None, next_attempt_at=next_attempt_at
    )


def _webhook_id(endpoint: Endpoint, programme_slug: str, place: Place) -> str:
    return signing.webhook_id(
        keyring.secret("webhook-id"),
        endpoint=str(endpoint.id),
        programme=programme_slug,
        epoch=place.walk.epoch,
        walk=place.walk.pk,
        from_position=place.position,
    )


def _request(batch: Batch, *, at: datetime) -> Request:
    endpoint = batch.endpoint
    secret = keyring.open_sealed(bytes(endpoint.sealed_secret), context=secret_context(endpoint.id))
    headers = signing.sign(
        [signing.Secret.from_text(secret.decode("ascii"))], webhook_id=batch.webhook_id, at=at, body=batch.body
    )
    timeout = timedelta(seconds=min(settings.DELIVERY_TIMEOUT_SECONDS, settings.LEASE_SECONDS / 2 - 1))
    return Request(url=endpoint.url, body=batch.body, headers=headers, timeout=timeout)


def _note(batch: Batch, outcome: Outcome, *, settled: bool, at: datetime) -> None:
    excerpt = None
    if outcome.excerpt:
        sealer = keyring.sealer("hub", keyring.month_of(at))
        excerpt = sealer.seal(outcome.excerpt.encode("utf-8"), context=b"signals_attempt:" + batch.endpoint.id.bytes)
    Attempt.objects.create(
        endpoint_id=batch.endpoint.id,
        at=at,
        webhook_id=batch.webhook_id,
        signal_count=batch.count,
        is_delivered=outcome.delivered,
        status=outcome.status,
        error=outcome.failure.value if outcome.failure is not None else "",
        sealed_excerpt=excerpt,
        latency_ms=round(outcome.latency.total_seconds() * 1000),
        settled=settled,
    )


def egress() -> Egress:
    """Where webhooks may go in this deployment."""
    make = Egress.production if settings.IS_PRODUCTION else Egress.development
    return make(settings.EGRESS_ALLOWED_CIDRS)


def _sender() -> Sender:
    return _sender_of(os.getpid())


@cache
def _sender_of(_process: int) -> Sender:
    """One open sender per process; a forked child opens its own."""
    return process_loop.run(_open(), timeout=10)


async def _open() -> Sender:
    return await Sender(egress()).__aenter__()


_CLAIM = """
UPDATE signals_endpoint
   SET lease_token = %(token)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id IN (
    SELECT endpoint.id FROM signals_endpoint AS endpoint
      LEFT JOIN signals_head AS head ON head.programme_id = endpoint.programme_id
      LEFT JOIN signals_walk AS walk ON walk.id = endpoint.walk_id
     WHERE endpoint.state = 'active' AND endpoint.next_attempt_at <= clock_timestamp()
       AND (endpoint.lease_until IS NULL OR endpoint.lease_until < clock_timestamp())
       AND (walk.id IS NULL OR endpoint.position < coalesce(head.position, 0) OR walk.epoch <> %(epoch)s
            OR endpoint.is_leaving)
     ORDER BY endpoint.next_attempt_at LIMIT %(limit)s
       FOR UPDATE OF endpoint SKIP LOCKED)
RETURNING id
"""
