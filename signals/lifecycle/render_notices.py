"""What to POST to an endpoint of notices: the batch after its cursor, for one partner alone, suspended or not.

A suspension stops pages and batches of signals; that what is held must go is still told.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, transaction

from signals.core.breaker import PROBE_SIZE, Breaker
from signals.core.endpoints import Letter
from signals.delivery import payload
from signals.lifecycle import letters
from signals.lifecycle.letters import Post, channel_of
from signals.lifecycle.notice_feed import NoticePage, is_behind, read_notices, start_notices
from signals.lifecycle.settle import stuck
from signals.lifecycle.walk import Place
from signals.models import Endpoint


def notice_posts(endpoint: Endpoint, token: UUID, *, at: datetime) -> list[Post]:
    """The next batch for an endpoint claimed under this token; none, its lease given back, if there is none."""
    try:
        page, place = _take_off(endpoint, token, at=at)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  whatever is wrong with one endpoint is not the others' affair
        stuck(endpoint, token, error)
        return []
    if page is None:
        return []
    body = payload.notices(
        channel=channel_of(endpoint),
        epoch=place.walk.epoch,
        walk=place.walk.pk,
        listed=page.listed,
        items=b",".join(page.items),
    )
    webhook_id = letters.batch_id(endpoint, "notices", place)
    return [Post(endpoint, token, Letter.BATCH, webhook_id, body, at, to=page.place.position, count=page.count)]


def _take_off(endpoint: Endpoint, token: UUID, *, at: datetime) -> tuple[NoticePage | None, Place]:
    """The page that goes out, recorded as told, with the place it begins at; None when nothing goes out."""
    rows = Endpoint.objects.filter(id=endpoint.id, lease_token=token)
    limit = endpoint.batch_size
    if endpoint.breaker == Breaker.HALF_OPEN.value:
        limit = min(limit, PROBE_SIZE)
    with transaction.atomic():
        place = _place(endpoint, at=at)
        page = read_notices(place, limit=limit, at=at, up_to=endpoint.in_flight_to)
        to = page.place.position
        if page.is_silent:
            breaker = Breaker.OPEN.value if endpoint.breaker == Breaker.HALF_OPEN.value else endpoint.breaker
            free = {"in_flight_to": None, "lease_token": None, "lease_until": None, "breaker": breaker}
            rows.update(walk=place.walk, position=to, **free)
            return None, place
        if not rows.update(walk=place.walk, position=place.position, in_flight_to=to):
            transaction.set_rollback(True)  # paused, changed or overtaken meanwhile: nothing is told
            return None, place
    return page, place


def _place(endpoint: Endpoint, *, at: datetime) -> Place:
    if endpoint.walk is not None:
        place = Place(endpoint.walk, endpoint.position)
        if not is_behind(place):
            return place
    endpoint.in_flight_to = None
    return start_notices(endpoint.partner_id, channel=channel_of(endpoint), at=at)
