"""What to POST to endpoints that were claimed: batches after their cursors, rendered once for all who may see the same.

Everything shown is recorded as disclosed before a byte leaves, and nothing is shown whose lease is no longer held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import DatabaseError, connection, transaction

from hub.ledger.mirror import current_epoch
from partners import public
from signals.core.breaker import PROBE_SIZE, Breaker
from signals.core.endpoints import Letter, Payload, Stop
from signals.delivery import payload
from signals.lifecycle import letters
from signals.lifecycle.disclose import Reader, Shown, items_of, look, record_shown, shown, thin_items_of
from signals.lifecycle.letters import Post, channel_of
from signals.lifecycle.notices import tell_reset
from signals.lifecycle.render_notices import notice_posts
from signals.lifecycle.settle import hold, release, stuck, switch_off
from signals.lifecycle.shared_pages import SharedPage, SharedPages, Sheet
from signals.lifecycle.walk import START, Place, a_walk, is_spent
from signals.models import Departure, Endpoint, Head, Walk

_SUSPENDED_WAIT = timedelta(minutes=1)


def render(claimed: Sequence[Endpoint], *, token: UUID, at: datetime, pages: SharedPages | None = None) -> list[Post]:
    """What to send to endpoints claimed under one token; leases of those that need nothing are given back.

    What is wrong with one endpoint is noted and waits, and the others go on.
    """
    posts: list[Post] = []
    due: dict[int, list[Endpoint]] = {}
    for endpoint in claimed:
        if endpoint.verified_at is None and not endpoint.is_leaving:
            posts.append(letters.challenge(endpoint, token, at=at))
        elif endpoint.test_asked_at is not None and endpoint.verified_at is not None:
            posts.append(letters.test(endpoint, token, at=at))
        elif endpoint.programme_id is None:
            posts += notice_posts(endpoint, token, at=at)
        else:
            due.setdefault(endpoint.programme_id, []).append(endpoint)
    pages = pages or SharedPages()
    for programme_id, endpoints in due.items():
        posts += _Programme(programme_id, token, at, pages).posts(endpoints)
    return posts


@dataclass(slots=True)
class Range:
    """The next range of one endpoint's feed, and what is in it for its partner."""

    endpoint: Endpoint
    place: Place
    shown: Shown
    listed: bool
    items: Callable[[], bytes]

    @property
    def is_silent(self) -> bool:
        """Nothing to say: the partner has seen everything there is for it."""
        return self.shown.count == 0 and not self.listed


class _Programme:
    """The batches of one programme's feed, for the endpoints of one claim."""

    def __init__(self, programme_id: int, token: UUID, at: datetime, pages: SharedPages) -> None:
        self.token, self.at, self.pages = token, at, pages
        self.epoch = current_epoch()
        self.slug = public.programme_by_id(programme_id).slug
        self.members = {member.partner_id: member for member in public.members(programme_id, at=at)}
        self.slugs = {member.partner_id: member.partner_slug for member in self.members.values()}
        head = Head.objects.filter(programme_id=programme_id).first()
        self.head, self.purged_to = (head.position, head.purged_to) if head is not None else (0, 0)

    def posts(self, endpoints: Sequence[Endpoint]) -> list[Post]:
        """What goes out now; the leases of the others are given back."""
        leaving = [each for each in endpoints if self._has_left(each)]
        posts = [post for each in leaving if (post := self._last_word(each)) is not None]
        staying = [each for each in endpoints if not self._has_left(each)]
        back = [each.id for each in staying if each.is_leaving]
        if back:  # before the last word was said
            Endpoint.objects.filter(id__in=back, lease_token=self.token).update(is_leaving=False)
        unverified = [each for each in staying if each.verified_at is None]  # claimed for a last word, and not left
        if unverified:
            release(unverified, self.token)
        verified = [each for each in staying if each.verified_at is not None]
        suspended = [each for each in verified if not self.members[each.partner_id].may_receive]
        if suspended:
            release(suspended, self.token, wait=_SUSPENDED_WAIT)
        served = [each for each in verified if self.members[each.partner_id].may_receive]
        return posts + (self._batches(served) if served else [])

    def _has_left(self, endpoint: Endpoint) -> bool:
        member = self.members.get(endpoint.partner_id)
        return member is None or member.state == "ended"

    def _last_word(self, endpoint: Endpoint) -> Post | None:
        channel = {"partner_id": endpoint.partner_id, "programme_id": endpoint.programme_id}
        walk = Walk.objects.filter(**channel, channel=channel_of(endpoint)).order_by("-id").first()
        if walk is not None and endpoint.verified_at is not None:  # an address that never answered is told nothing
            departure = Departure.objects.filter(**channel).order_by("-generation").first()
            return letters.farewell(endpoint, self.token, self.slug, walk, departure, at=self.at)
        with transaction.atomic():
            if Endpoint.objects.filter(id=endpoint.id, lease_token=self.token).update(lease_token=None):
                switch_off(endpoint, Stop.MEMBERSHIP_ENDED, at=self.at)
        return None

    def _batches(self, served: Sequence[Endpoint]) -> list[Post]:
        try:
            with transaction.atomic():
                going = self._take_off(self._look(served))
        except DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001  whatever is wrong with one programme is not the others' affair
            for endpoint in served:
                stuck(endpoint, self.token, error)
            return []
        posts = []
        for each in going:
            try:
                posts.append(self._post(each))
            except Exception as error:  # noqa: BLE001  nor what is wrong with one endpoint
                stuck(each.endpoint, self.token, error)
        return posts

    def _look(self, served: Sequence[Endpoint]) -> list[Range]:
        """Every endpoint's next range: one reading for all that may see the same, one more for each that may not."""
        sheets: dict[Sheet, list[tuple[Endpoint, Place]]] = {}
        for endpoint, place in self._places(served):
            limit = endpoint.batch_size
            if endpoint.breaker == Breaker.HALF_OPEN.value:
                limit = min(limit, PROBE_SIZE)
            sheet = Sheet.of(place, limit=limit, up_to=endpoint.in_flight_to)
            sheets.setdefault(sheet, []).append((endpoint, place))
        found: list[Range] = []
        forgotten = []  # between the look at the head and the page; they walk anew at once
        for sheet, group in sheets.items():
            page, others = self.pages.page(sheet, {each.partner_id for each, _ in group}, slugs=self.slugs)
            for endpoint, place in group:
                if self._is_spent(endpoint, place, purged_to=page.purged_to):
                    forgotten.append(endpoint)
                elif endpoint.partner_id in others:
                    found.append(self._own(endpoint, place, sheet))
                else:
                    found.append(self._shared(endpoint, place, page))
        if forgotten:
            release(forgotten, self.token)
        return found

    def _is_spent(self, endpoint: Endpoint, place: Place, *, purged_to: int = 0) -> bool:
        member = self.members[endpoint.partner_id]
        return is_spent(place, member=member, purged_to=max(self.purged_to, purged_to), epoch=self.epoch)

    def _places(self, served: Sequence[Endpoint]) -> list[tuple[Endpoint, Place]]:
        """Where each stands; who has no walk, or one that is over, begins a new one."""
        standing, walks = [], []
        for endpoint in served:
            member = self.members[endpoint.partner_id]
            walk = endpoint.walk
            if walk is None or self._is_spent(endpoint, Place(walk, endpoint.position)):
                walk = a_walk(
                    member,
                    channel=channel_of(endpoint),
                    filter=endpoint.filter,
                    floor=self.head,
                    at=self.at,
                    epoch=self.epoch,
                )
                walks.append(walk)
                if endpoint.walk is not None:
                    tell_reset(endpoint.walk, programme=self.slug, generation=member.generation, at=self.at)
                endpoint.in_flight_to, endpoint.position = None, START
            standing.append((endpoint, Place(walk, endpoint.position)))
        Walk.objects.bulk_create(walks)
        return standing

    def _shared(self, endpoint: Endpoint, place: Place, page: SharedPage) -> Range:
        disclosed = Shown(place, page.to, page.head, len(page.rows), page.root)
        listed = place.position < place.walk.floor <= page.to
        is_thin = endpoint.payload == Payload.THIN.value
        return Range(endpoint, place, disclosed, listed, lambda: page.thin if is_thin else page.full)

    def _own(self, endpoint: Endpoint, place: Place, sheet: Sheet) -> Range:
        reader = Reader(endpoint.partner_id, self.slugs[endpoint.partner_id], self.slugs, self.slug)
        page = look(place, reader=reader, limit=sheet.limit, up_to=sheet.up_to)
        if endpoint.payload == Payload.THIN.value:
            items = partial(thin_items_of, page.rows)
        else:
            items = partial(items_of, page.rows, self.slugs)
        return Range(endpoint, place, shown(place, page), page.listed, lambda: b",".join(items()))

    def _take_off(self, found: Sequence[Range]) -> list[Range]:
        """Write down where each stands and what it is shown; without its lease (paused, changed, overtaken) nothing."""
        hold([each.endpoint.id for each in found])
        columns: list[list[Any]] = [
            [each.endpoint.id for each in found],
            [each.place.walk.pk for each in found],
            [each.shown.to if each.is_silent else each.place.position for each in found],
            [None if each.is_silent else each.shown.to for each in found],
            [each.is_silent for each in found],
        ]
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_OFF, [*columns, self.token])
            held = {row[0] for row in cursor.fetchall()}
        going = [each for each in found if each.endpoint.id in held and not each.is_silent]
        record_shown([each.shown for each in going], at=self.at)
        return going

    def _post(self, found: Range) -> Post:
        endpoint, place = found.endpoint, found.place
        body = payload.batch(
            programme=self.slug,
            channel=channel_of(endpoint),
            epoch=place.walk.epoch,
            walk=place.walk.pk,
            listed=found.listed,
            items=found.items(),
            is_thin=endpoint.payload == Payload.THIN.value,
        )
        webhook_id = letters.batch_id(endpoint, self.slug, place)
        return Post(
            endpoint, self.token, Letter.BATCH, webhook_id, body, self.at, to=found.shown.to, count=found.shown.count
        )


_TAKE_OFF = """
UPDATE signals_endpoint AS endpoint
   SET walk_id = found.walk, position = found.position, in_flight_to = found.in_flight_to,
       lease_token = CASE WHEN found.is_silent THEN NULL ELSE endpoint.lease_token END,
       lease_until = CASE WHEN found.is_silent THEN NULL ELSE endpoint.lease_until END,
       breaker = CASE WHEN found.is_silent AND endpoint.breaker = 'half-open' THEN 'open' ELSE endpoint.breaker END
  FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::boolean[])
       AS found (id, walk, position, in_flight_to, is_silent)
 WHERE endpoint.id = found.id AND endpoint.lease_token = %s
RETURNING endpoint.id
"""
