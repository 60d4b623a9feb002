"""Tell one partner something, and give what was told its place in that partner's feed of notices.

`notify` only inserts, in the transaction of whatever it tells of: no lock, so nothing waits for it. `post_notices`
gives places under the partner's head, so that places follow each other in commit order and no late commit is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from hub.ledger.leaf import Json
from hub.ledger.mirror import current_epoch
from hub.ledger.record import record
from partners import public
from signals import wake
from signals.core.notices import NoticeKind
from signals.models import Notice, NoticeHead, Walk

BATCH = 1000


def notify(partner_id: int, kind: NoticeKind, facts: Mapping[str, Json], *, at: datetime) -> None:
    """Tell a partner something, once the caller's transaction commits. Raises outside a transaction.

    `facts` are ids and closed words: signals, jtis of the partner's own statements, endpoints, kids, programmes,
    revisions, states. Never a value, a note or whatever else a person wrote.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a notice belongs inside the transaction of what it tells")
    Notice.objects.create(partner_id=partner_id, kind=kind.value, facts=dict(facts), at=at)
    wake.notices()


def tell_restored(*, epoch: int, at: datetime) -> None:
    """Tell every partner that ever followed anything that the hub was restored: all its channels begin new walks."""
    for partner_id in Walk.objects.order_by("partner_id").values_list("partner_id", flat=True).distinct():
        notify(partner_id, NoticeKind.FEED_RESET, {"reason": "restored", "epoch": epoch}, at=at)


def tell_reset(walk: Walk, *, programme: str, generation: int, at: datetime) -> None:
    """Tell a partner that the walk of one of its endpoints is over, and that the endpoint's next batch begins another.

    A restore is told once for all channels, by `tell_restored`.
    """
    if walk.epoch == current_epoch():
        reason = "membership" if walk.generation != generation else "forgotten"
        facts: dict[str, Json] = {"reason": reason, "channel": walk.channel, "programme": programme}
        notify(walk.partner_id, NoticeKind.FEED_RESET, facts, at=at)


def post_notices(*, at: datetime) -> int:
    """Give up to 1,000 waiting notices their places, and return how many; the caller asks again until that is none.

    May run twice at once: whose partner's head is locked is left to whoever holds it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_WAITING, [BATCH])
        waiting = [row[0] for row in cursor.fetchall()]
    if not waiting:
        return 0
    known = set(NoticeHead.objects.filter(partner_id__in=waiting).values_list("partner_id", flat=True))
    fresh = [NoticeHead(partner_id=partner_id, at=at) for partner_id in waiting if partner_id not in known]
    NoticeHead.objects.bulk_create(fresh, ignore_conflicts=True)  # of those that exist a conflict would wait for a lock
    with transaction.atomic(), connection.cursor() as cursor:
        heads = NoticeHead.objects.select_for_update(skip_locked=True).filter(partner_id__in=waiting)
        locked = list(heads.order_by("partner_id").values_list("partner_id", flat=True))
        cursor.execute(_POST, {"partners": locked, "limit": BATCH, "at": at})
        posted = cursor.fetchall()
        for partner_id, head, _ in posted:
            wake.noticed(partner_id, head)
        if posted:
            wake.deliver()
    return sum(count for *_, count in posted)


def forget_notices(*, at: datetime) -> int:
    """Drop up to 1,000 notices of one partner that were posted longer ago than tombstones are kept; returns how many.

    Whoever had not read them by then is told to begin anew.
    """
    before = at - timedelta(days=settings.TOMBSTONE_DAYS)
    old = Notice.objects.filter(posted_at__lt=before)
    partner_id = old.order_by("posted_at").values_list("partner_id", flat=True).first()
    if partner_id is None:
        return 0
    with transaction.atomic():
        NoticeHead.objects.select_for_update().get(partner_id=partner_id)
        places = old.filter(partner_id=partner_id).order_by("position").values_list("position", flat=True)
        chosen = list(places[:BATCH])
        if not chosen:
            return 0
        NoticeHead.objects.filter(partner_id=partner_id).update(purged_to=chosen[-1])
        Notice.objects.filter(partner_id=partner_id, position__lte=chosen[-1]).delete()
        subjects = [f"partner:{public.partner(partner_id).slug}"]
        record("notices.forgotten", actor="system:purge", at=at, subjects=subjects, facts={"count": len(chosen)})
    return len(chosen)


_WAITING = """
SELECT DISTINCT partner_id
  FROM (SELECT partner_id FROM signals_notice WHERE position IS NULL ORDER BY number LIMIT %s) AS waiting
"""

# Read after the heads are locked, in a statement of its own: what others have committed meanwhile is seen, and nobody
# else can have given the same rows a place.
_POST = """
WITH waiting AS (
    SELECT number, partner_id FROM signals_notice
     WHERE position IS NULL AND partner_id = ANY (%(partners)s) ORDER BY number LIMIT %(limit)s
), placed AS (
    UPDATE signals_notice AS notice
       SET position = head.position + place.n, posted_at = greatest(head.at, %(at)s)
      FROM (SELECT number, partner_id, row_number() OVER (PARTITION BY partner_id ORDER BY number) AS n
              FROM waiting) AS place
      JOIN signals_noticehead AS head USING (partner_id)
     WHERE notice.number = place.number
    RETURNING notice.partner_id, notice.position, notice.posted_at
), ends AS (
    SELECT partner_id, max(position) AS position, max(posted_at) AS at, count(*) AS posted FROM placed GROUP BY 1
)
UPDATE signals_noticehead AS head SET position = ends.position, at = ends.at
  FROM ends WHERE ends.partner_id = head.partner_id
RETURNING head.partner_id, head.position, ends.posted
"""
