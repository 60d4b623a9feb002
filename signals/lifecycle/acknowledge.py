"""A partner that pulls says that it has applied everything up to a cursor: what a 2xx is for an endpoint."""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction

from hub.ledger.record import record
from partners.public import MembershipFacts
from signals.core.refusals import CursorExpired, CursorInvalid
from signals.lifecycle.walk import FORGOTTEN, is_over, unseal_cursor
from signals.models import Walk

CHANNEL = "pull"


def acknowledge(member: MembershipFacts, cursor: str, *, actor: str, at: datetime) -> Walk:
    """Note that the channel has applied its feed up to `cursor`, and return the cursor's walk.

    Within a walk the place only rises, and a newer walk takes the older one's place: an old cursor changes nothing and
    is no error, so that saying it twice or out of order does no harm.

    Refuses CursorInvalid (not ours, another partner's, another programme's) and CursorExpired, as the feed does.
    """
    try:
        place = unseal_cursor(cursor, partner_id=member.partner_id, programme_id=member.programme_id, channel=CHANNEL)
    except CursorInvalid as refusal:
        raise CursorInvalid(refusal.detail, pointer="/cursor") from None
    if is_over(place, member=member):
        raise CursorExpired(FORGOTTEN)
    with transaction.atomic():
        with connection.cursor() as row:
            row.execute(_SAID, [member.partner_id, member.programme_id, CHANNEL, place.walk.pk, place.position, at])
            is_news = row.rowcount == 1
        if is_news:
            record(
                "feed.acknowledged",
                actor=actor,
                at=at,
                subjects=[f"partner:{member.partner_slug}", f"programme:{member.programme_slug}"],
                facts={"channel": CHANNEL, "walk": place.walk.pk},
            )
    return place.walk


_SAID = """
INSERT INTO signals_acknowledgement AS known (partner_id, programme_id, channel, walk_id, position, at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (partner_id, programme_id, channel)
   DO UPDATE SET walk_id = excluded.walk_id, position = excluded.position, at = greatest(known.at, excluded.at)
   WHERE (excluded.walk_id, excluded.position) > (known.walk_id, known.position)
"""
