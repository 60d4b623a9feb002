"""Bring endpoints up to the head of their feed: claim, render after the cursor, POST, advance on 2xx.

The endpoint's row is the queue. A batch is rendered anew for every attempt, never kept: what it holds may have been
withdrawn meanwhile. A 2xx settles only the attempt whose lease is still on the row.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Least

from hub.ledger.mirror import current_epoch
from hub.ledger.record import record
from hub.vault import keyring
from partners import public
from partners.public import MembershipFacts
from signals.core.backoff import wait_after
from signals.core.endpoints import STATE_OF, Stop
from signals.core.refusals import CursorExpired
from signals.delivery import payload, signing
from signals.delivery.flights import Courier, Flights
from signals.delivery.outcome import Failure, Outcome, Request
from signals.delivery.sender import Sender
from signals.delivery.urls import Egress
from signals.lifecycle.disclose import read_page, reader_of
from signals.lifecycle.walk import START, Place, is_over, start_walk
from signals.models import Attempt, Endpoint, Walk

logger = logging.getLogger(__name__)

CONCURRENCY = 100
ROUND = timedelta(seconds=20)  # after it a round claims nothing more, so that a worker can be asked to stop
_POLL = timedelta(seconds=0.1)
_SUSPENDED_WAIT = timedelta(minutes=1)
_STUCK_WAIT = timedelta(minutes=1)
_TOO_LARGE = 413
_OURS = {Failure.HOST_BUSY, Failure.PROXY}  # the receiver was never asked: nothing counts against it
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
    batches: dict[int, Batch] = {}  # in the air, by their number
    started = 0
    with Flights[int](_courier) as flights:
        while True:
            claimed = claim_due(limit=CONCURRENCY - len(batches)) if time.monotonic() < until else []
            for endpoint, token in claimed:
                prepared = _prepare(endpoint, token, at=clock())
                if prepared is not None:
                    started += 1
                    batches[started], request = prepared
                    flights.start(started, request)
            if not claimed and not batches:
                return started
            for number, outcome in flights.landed(within=_POLL):
                settle(batches.pop(number), outcome, at=clock())


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
        return _farewell(endpoint, token, programme.slug, at=at)
    rows = Endpoint.objects.filter(id=endpoint.id, lease_token=token)
    if endpoint.is_leaving:
        rows.update(is_leaving=False)  # it is back before the last word was said
    if not member.may_receive:
        _release(endpoint, token, next_attempt_at=at + _SUSPENDED_WAIT)
        return None
    reader = reader_of(member)
    try:
        with transaction.atomic():
            place = _place(endpoint, member, at=at)
            page = read_page(place, reader=reader, limit=endpoint.batch_size, at=at, up_to=endpoint.in_flight_to)
            to = page.place.position
            if page.is_silent:
                rows.update(walk=place.walk, position=to, in_flight_to=None, lease_token=None, lease_until=None)
                return None
            if not rows.update(walk=place.walk, position=place.position, in_flight_to=to):
                transaction.set_rollback(True)  # paused, changed or overtaken meanwhile: nothing is shown
                return None
    except CursorExpired:  # what it needed was forgotten between two looks: it walks anew at once
        _release(endpoint, token, next_attempt_at=at)
        return None
    body = payload.batch(
        programme=programme.slug,
        channel=channel_of(endpoint),
        epoch=place.walk.epoch,
        walk=place.walk.pk,
        listed=page.listed,
        items=page.items,
    )
    return Batch(endpoint, token, _webhook_id(endpoint, programme.slug, place), body, to, page.count)


def settle(batch: Batch, outcome: Outcome, *, at: datetime) -> None:
    """Write down what came of a POST; an attempt that lost its lease changes nothing."""
    endpoint = batch.endpoint
    rows = Endpoint.objects.filter(id=endpoint.id, lease_token=batch.token)
    free: dict[str, object] = {"lease_token": None, "lease_until": None, "next_attempt_at": at}
    with transaction.atomic():
        if outcome.delivered and batch.is_farewell:
            updated = rows.update(**free, last_success_at=at) and _close(endpoint, Stop.MEMBERSHIP_ENDED, at=at)
        elif outcome.delivered:
            grown = Least(F("max_batch_size"), F("batch_size") * 2)
            updated = rows.update(
                **free, position=batch.to, in_flight_to=None, failures=0, last_success_at=at, batch_size=grown
            )
        elif outcome.gone:
            updated = rows.update(**free, failures=F("failures") + 1) and _close(endpoint, Stop.GONE, at=at)
        elif outcome.failure in _OURS:
            free["next_attempt_at"] = at + wait_after(1, rng=_jitter)
            updated = rows.update(**free)
        else:
            free["next_attempt_at"] = at + wait_after(
                endpoint.failures + 1, rng=_jitter, retry_after=outcome.retry_after
            )
            shrinks = outcome.status == _TOO_LARGE or outcome.failure == Failure.TOTAL_TIMEOUT
            size = Greatest(1, F("batch_size") / 2) if shrinks else F("batch_size")
            updated = rows.update(**free, failures=F("failures") + 1, batch_size=size)
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


def _prepare(endpoint: Endpoint, token: UUID, *, at: datetime) -> tuple[Batch, Request] | None:
    """Render one endpoint's batch; what goes wrong with it is noted and waits, and the others go on."""
    try:
        batch = render(endpoint, token=token, at=at)
        return None if batch is None else (batch, _request(batch, at=at))
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  whatever is wrong with one endpoint is not the others' affair
        logger.error("delivery.stuck", extra={"endpoint": str(endpoint.id), "reason": type(error).__name__})
        _release(endpoint, token, next_attempt_at=at + _STUCK_WAIT)
        return None


def _close(endpoint: Endpoint, reason: Stop, *, at: datetime) -> int:
    """Switch it off. Should its partner switch it on again, it walks from the start: its copy has been erased."""
    change: dict[str, Any] = {"state": STATE_OF[reason], "state_reason": reason.value}
    change |= {"lease_token": None, "lease_until": None}
    if reason is Stop.MEMBERSHIP_ENDED:
        change |= {"walk": None, "position": START, "in_flight_to": None, "is_leaving": False}
    facts = {"state": STATE_OF[reason], "reason": reason.value}
    record("endpoint.disabled", actor="system:deliverer", at=at, subjects=[f"endpoint:{endpoint.id}"], facts=facts)
    return Endpoint.objects.filter(id=endpoint.id).update(**change)


def _farewell(endpoint: Endpoint, token: UUID, programme_slug: str, *, at: datetime) -> Batch | None:
    """The last word to a partner that has left: erase everything that this channel brought, by whatever walk."""
    channel = {"partner_id": endpoint.partner_id, "programme_id": endpoint.programme_id}
    walk = Walk.objects.filter(**channel, channel=channel_of(endpoint)).order_by("-id").first()
    if walk is None:
        with transaction.atomic():
            if Endpoint.objects.filter(id=endpoint.id, lease_token=token).update(lease_token=None):
                _close(endpoint, Stop.MEMBERSHIP_ENDED, at=at)
        return None
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


_courier = Courier(lambda: Sender(egress()))


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
