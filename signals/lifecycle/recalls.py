"""Every removal is told at once to those who may have had the signal, ahead of the programme's feed.

Movers write nothing for it: the change log says what was removed, in order of commit, and a place per programme says
how far it has been told. A recall names a stretch of that log, so one small row tells a partner up to 1,000 removals.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection, transaction

from hub.ledger.mirror import current_epoch
from hub.ledger.record import record
from partners import public
from signals import wake
from signals.core.notices import RECALLED, NoticeKind
from signals.models import Notice, RecallPlace

BATCH = 1000  # removals told by one notice


def tell_recalls(*, at: datetime) -> int:
    """Write the recalls of up to 1,000 removals of one programme, and return how many removals those were.

    The caller asks again until that is none. May run twice at once: one at a time reads a programme's log.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEHIND, {"recalled": list(RECALLED)})
        behind = [row[0] for row in cursor.fetchall()]
    return next((told for told in (_tell(programme_id, at=at) for programme_id in behind) if told), 0)


def _tell(programme_id: int, *, at: datetime) -> int:
    members = public.members(programme_id, at=at)
    if not RecallPlace.objects.filter(programme_id=programme_id).exists():  # asked first: a conflict would wait
        RecallPlace.objects.bulk_create([RecallPlace(programme_id=programme_id)], ignore_conflicts=True)
    with transaction.atomic():
        places = RecallPlace.objects.select_for_update(skip_locked=True)
        place = places.filter(programme_id=programme_id).first()
        if place is None:
            return 0
        stretch: dict[str, Any] = {"programme": programme_id, "after": place.position, "recalled": list(RECALLED)}
        with connection.cursor() as cursor:
            cursor.execute(_NEXT, stretch | {"limit": BATCH})
            row = cursor.fetchone()
            if row is None or row[0] == 0:
                return 0
            count, up_to, since = row
            readers = {
                "readers": [member.partner_id for member in members],
                "is_reading": [member.may_receive for member in members],
            }
            cursor.execute(_TOLD, stretch | readers | {"up_to": up_to})
            told = cursor.fetchall()
        Notice.objects.bulk_create(
            Notice(
                partner_id=partner_id,
                kind=NoticeKind.RECALL.value,
                facts={"epoch": current_epoch()},  # revisions count within it: a restore may use some again
                programme_id=programme_id,
                after=place.position,
                up_to=up_to,
                shown_to=shown_to,
                signal_count=signal_count,
                at=since,
            )
            for partner_id, shown_to, signal_count in told
        )
        record(
            "signal.recalled",
            actor="system:publisher",
            at=at,
            subjects=[f"programme:{public.programme_by_id(programme_id).slug}"],
            facts={"count": count, "after": place.position, "up_to": up_to, "partners": len(told)},
        )
        place.position = up_to
        place.save(update_fields=["position"])
        wake.notices()
    return int(count)


_BEHIND = """
SELECT head.programme_id
  FROM signals_head AS head LEFT JOIN signals_recallplace AS place USING (programme_id)
 WHERE EXISTS (SELECT 1 FROM signals_change AS change
                WHERE change.programme_id = head.programme_id AND change.position > coalesce(place.position, 0)
                  AND change.kind = ANY (%(recalled)s))
 ORDER BY 1
"""

_NEXT = """
SELECT count(*), max(position), max(at)
  FROM (SELECT position, at FROM signals_change
         WHERE programme_id = %(programme)s AND position > %(after)s AND kind = ANY (%(recalled)s)
         ORDER BY position LIMIT %(limit)s) AS next
"""

# Who may have had a removed signal. A member that reads may see every signal it was in the audience of, so it may be
# told of each. One that is suspended or has left is told only of what was out, with it in the audience, before the last
# page or body it was sent: what was said since is none of its business. Its own signals interest nobody but an author
# who follows them too.
MAY_HAVE_HAD = """
    (change.audience = 'programme'
     OR change.audience = 'only' AND reader.id = ANY (change.audience_partners)
     OR change.audience = 'except' AND NOT reader.id = ANY (change.audience_partners))
    AND (signal.issuer_id <> reader.id OR EXISTS (
            SELECT 1 FROM signals_walk AS own WHERE own.partner_id = reader.id
               AND own.programme_id = change.programme_id AND own.filter @> '{"own": true}'))
    AND (reader.shown_to IS NULL OR EXISTS (
            SELECT 1 FROM signals_change AS shown
             WHERE shown.signal_id = change.signal_id AND shown.position <= reader.shown_to
               AND shown.kind <> ALL (%(recalled)s)
               AND (shown.audience = 'programme'
                    OR shown.audience = 'only' AND reader.id = ANY (shown.audience_partners)
                    OR shown.audience = 'except' AND NOT reader.id = ANY (shown.audience_partners))))
"""

_TOLD = """
WITH reader AS (
    SELECT member.id, CASE WHEN NOT member.is_reading THEN coalesce(
               (SELECT max(disclosure.head) FROM signals_walk AS walk JOIN signals_disclosure AS disclosure
                    ON disclosure.walk_id = walk.id
                 WHERE walk.partner_id = member.id AND walk.programme_id = %(programme)s), -1) END AS shown_to
      FROM unnest(%(readers)s::bigint[], %(is_reading)s::boolean[]) AS member (id, is_reading)
     WHERE EXISTS (SELECT 1 FROM signals_walk AS walk
                    WHERE walk.partner_id = member.id AND walk.programme_id = %(programme)s)
)
SELECT reader.id, reader.shown_to, count(*)
  FROM reader, signals_change AS change JOIN signals_signal AS signal ON signal.id = change.signal_id
 WHERE change.programme_id = %(programme)s AND change.position > %(after)s AND change.position <= %(up_to)s
   AND change.kind = ANY (%(recalled)s) AND /*may have had*/
 GROUP BY 1, 2 ORDER BY 1
""".replace("/*may have had*/", MAY_HAVE_HAD)
