"""A reader's way through a feed: start a walk, and seal and open the cursors that are places in it."""

from __future__ import annotations

import base64
import binascii
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection

from hub.ledger.mirror import CURRENT_EPOCH, current_epoch
from hub.vault import keyring
from partners.public import MembershipFacts
from signals.core.refusals import CursorExpired, CursorFilterChanged, CursorInvalid
from signals.models import Change, Head, Walk

FORGOTTEN = "The feed no longer remembers everything since this cursor; walk again from the start."
NEVER_LISTED = -1  # the floor of a walk from a time: it brings no list of everything, so nothing may be dropped by it
START = -1  # a walk starts before position 0, so that even an empty feed has a first page that reaches its floor
_LAYOUT = struct.Struct(">BIqq")  # version, epoch, walk, position
_VERSION = 1
_NONCE_BYTES = 12

Filter = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a walk: everything up to `position` has been read."""

    walk: Walk
    position: int


def start_walk(member: MembershipFacts, *, channel: str, filter: Filter, at: datetime) -> Place:  # noqa: A002
    """Begin a new walk from the start of the programme's feed; its floor is the head at this moment."""
    floor = Head.objects.filter(programme_id=member.programme_id).values_list("position", flat=True).first() or 0
    walk = a_walk(member, channel=channel, filter=filter, floor=floor, at=at)
    walk.save(force_insert=True)
    return Place(walk, START)


def a_walk(
    member: MembershipFacts,
    *,
    channel: str,
    filter: Filter,  # noqa: A002
    floor: int,
    at: datetime,
    epoch: int | None = None,
) -> Walk:
    """A walk that is to be saved. Its floor is the head at this moment, or NEVER_LISTED for one from a time.

    `epoch` is for who has just asked for it.
    """
    return Walk(
        partner_id=member.partner_id,
        programme_id=member.programme_id,
        channel=channel,
        epoch=current_epoch() if epoch is None else epoch,
        generation=member.generation,
        filter=dict(filter),
        floor=floor,
        started_at=at,
    )


def position_at(programme_id: int, moment: datetime) -> int:
    """The last position before a moment, START if there is none: positions' times never run backwards.

    Found by halving, some twenty look-ups however long the feed: an index by time would cost every move.
    """
    low, high = 0, Head.objects.filter(programme_id=programme_id).values_list("position", flat=True).first() or 0
    while low < high:  # everything up to `low` lies before the moment; nothing after `high` does
        middle = (low + high + 1) // 2
        changes = Change.objects.filter(programme_id=programme_id, position__lte=middle).order_by("-position")
        at = changes.values_list("at", flat=True).first()
        low, high = (middle, high) if at is None or at < moment else (low, middle - 1)
    return low or START


def start_or_share_walk(member: MembershipFacts, *, channel: str, filter: Filter, at: datetime) -> Place:  # noqa: A002
    """The start of a walk, for a reader that keeps its own cursor: a new one, or the newest that would be the same.

    That is one of the same filter, epoch and generation whose floor is still the head: whatever was read in it, nothing
    has moved since it began, so its entries and its `listed` mean what a new walk's would. Never for an endpoint: its
    webhook-ids are made of walk and place, and a receiver would take what it asked for again as known.
    """
    wanted: dict[str, int | str] = {
        "partner": member.partner_id,
        "programme": member.programme_id,
        "channel": channel,
        "generation": member.generation,
        "filter": msgspec.json.encode(dict(filter)).decode(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SAME, wanted)
        row = cursor.fetchone()
    if row is None:
        return start_walk(member, channel=channel, filter=filter, at=at)
    identity, *facts = row
    return Place(_walk(identity, member.partner_id, member.programme_id, channel, *facts), START)


def is_over(place: Place, *, member: MembershipFacts) -> bool:
    """Whether a walk must be begun anew: another epoch or membership, or tombstones it needed have been forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(_NOW, [place.walk.programme_id])
        epoch, purged_to = cursor.fetchone()
    return is_spent(place, member=member, purged_to=purged_to or 0, epoch=epoch)


def is_spent(place: Place, *, member: MembershipFacts, purged_to: int, epoch: int) -> bool:
    """The same for a reader that knows the epoch, and where its feed's memory of tombstones begins."""
    walk = place.walk
    if walk.epoch != epoch or walk.generation != member.generation:
        return True
    return max(place.position, walk.floor) < purged_to


def seal_cursor(place: Place) -> str:
    """The opaque form of a place that the partner keeps: AES-256-GCM bound to partner and programme, base64url."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    plain = _LAYOUT.pack(_VERSION, place.walk.epoch, place.walk.pk, place.position)
    sealed = nonce + _cipher().encrypt(nonce, plain, _bound_to(place.walk.partner_id, place.walk.programme_id))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def open_cursor(text: str, *, member: MembershipFacts, channel: str, filter: Filter) -> Place:  # noqa: A002
    """The place a cursor stands for.

    Refuses CursorInvalid (not ours, another partner's, another programme's), CursorFilterChanged (a new filter is
    a new walk) and CursorExpired (walk again).
    """
    place = unseal_cursor(text, partner_id=member.partner_id, programme_id=member.programme_id, channel=channel)
    if is_over(place, member=member):
        raise CursorExpired(FORGOTTEN)
    if place.walk.filter != dict(filter):
        raise CursorFilterChanged("The filter differs from the walk's; start a new walk without `after`.")
    return place


def unseal_cursor(text: str, *, partner_id: int, programme_id: int | None, channel: str) -> Place:
    """What a cursor was sealed from, whether or not one may still go on from there; without a programme, of notices.

    Refuses CursorInvalid, and CursorExpired when the walk is one of before a restore.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        plain = _cipher().decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(partner_id, programme_id))
        version, epoch, walk_id, position = _LAYOUT.unpack(plain)
    except (binascii.Error, ValueError, InvalidTag, struct.error):
        raise CursorInvalid("The cursor is not one that this hub gave you here.", parameter="after") from None
    walk = _find(walk_id, partner_id=partner_id, programme_id=programme_id, channel=channel)
    if version != _VERSION or walk is None or walk.epoch != epoch:  # numbers of walks are used again after a restore
        raise CursorExpired("The cursor belongs to a time before the hub was restored; walk again from the start.")
    return Place(walk, position)


def _find(walk_id: int, *, partner_id: int, programme_id: int | None, channel: str) -> Walk | None:
    with connection.cursor() as cursor:
        cursor.execute(_WALK, [walk_id, partner_id, programme_id, channel])
        row = cursor.fetchone()
    return None if row is None else _walk(walk_id, partner_id, programme_id, channel, *row)


def _walk(
    walk_id: int,
    partner_id: int,
    programme_id: int | None,
    channel: str,
    epoch: int,
    generation: int,
    filter_: str,
    floor: int,
    started_at: datetime,
) -> Walk:
    return Walk(
        id=walk_id,
        partner_id=partner_id,
        programme_id=programme_id,
        channel=channel,
        epoch=epoch,
        generation=generation,
        filter=msgspec.json.decode(filter_),
        floor=floor,
        started_at=started_at,
    )


# Every page asks one of these two, and composing it anew would cost more than asking it.
_SAME = f"""
SELECT id, epoch, generation, filter, floor, started_at FROM signals_walk
 WHERE partner_id = %(partner)s AND programme_id = %(programme)s AND channel = %(channel)s
   AND floor = coalesce((SELECT position FROM signals_head WHERE programme_id = %(programme)s), 0)
   AND epoch = {CURRENT_EPOCH} AND generation = %(generation)s AND filter = %(filter)s::jsonb
 ORDER BY id DESC LIMIT 1
"""  # noqa: S608  constant
_WALK = """
SELECT epoch, generation, filter, floor, started_at FROM signals_walk
 WHERE id = %s AND partner_id = %s AND programme_id IS NOT DISTINCT FROM %s AND channel = %s
"""


_NOW = f"SELECT {CURRENT_EPOCH}, (SELECT purged_to FROM signals_head WHERE programme_id = %s)"  # noqa: S608  constant


def _bound_to(partner_id: int, programme_id: int | None) -> bytes:
    return f"cursor:{partner_id}:{'notices' if programme_id is None else programme_id}".encode("ascii")


@cache
def _cipher() -> AESGCM:
    return AESGCM(keyring.secret("cursor"))
