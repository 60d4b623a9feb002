"""What the hub knows already of the values that a batch brings: disputed elsewhere, met by many, said over and over."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from signals.core.flood import PARTNERS_WITHIN, REPEATS_WITHIN
from signals.core.opinions import Did, Opinion
from signals.core.standing import Standing
from signals.models.copying import array

Value = tuple[int, bytes]  # a programme, and a blind index of the value


@dataclass(slots=True)
class Known:
    """What is known of one value; `partners` leaves out the one who asks, `repeats` counts only that one's signals."""

    is_contested: bool = False
    partners: int = 0
    repeats: int = 0


def known_of(values: Collection[Value], *, partner_id: int, at: datetime) -> dict[Value, Known]:
    """Those of these values that were said before, and what is known of them. One query for a whole batch.

    A value is contested while a signal of it that is out is disputed, and for as long as one that was refuted is
    remembered: withdrawing what was found wrong and saying it anew does not make it right.
    """
    if not values:
        return {}
    parameters: dict[str, Any] = {
        "programmes": list({programme_id for programme_id, _ in values}),
        "values": array({digest for _, digest in values}),
        "partner": partner_id,
        "hour": at - PARTNERS_WITHIN,
        "day": at - REPEATS_WITHIN,
        "refuted": Standing.REFUTED.value,
        "disputed": Standing.DISPUTED.value,
        "unmet": [Opinion.NEED_MORE.value, Opinion.CONFIRM_DERIVED.value],
        "not_found": [Did.NOT_FOUND.value],
    }
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, parameters)
        return {(programme_id, bytes(digest)): Known(*known) for programme_id, digest, *known in cursor.fetchall()}


# Whoever says of a signal that it met it: all opinions but those of who only agrees or asks, all outcomes but the one
# that found nothing. Which of a partner's words counts in a standing is another question; here each is a meeting.
_KNOWN = """
WITH same AS (
    SELECT id, programme_id, value_index, issuer_id, received_at, removal
      FROM signals_signal
     WHERE value_index = ANY (%(values)s::bytea[]) AND programme_id = ANY (%(programmes)s::bigint[])
), met AS (
    SELECT programme_id, value_index, issuer_id AS partner_id FROM same WHERE received_at > %(hour)s
     UNION
    SELECT same.programme_id, same.value_index, opinion.partner_id
      FROM same JOIN signals_opinion AS opinion ON opinion.signal_id = same.id
     WHERE opinion.received_at > %(hour)s AND opinion.held <> ALL (%(unmet)s)
     UNION
    SELECT same.programme_id, same.value_index, outcome.partner_id
      FROM same JOIN signals_outcome AS outcome ON outcome.signal_id = same.id
     WHERE outcome.received_at > %(hour)s AND NOT outcome.did <@ %(not_found)s::varchar[]
)
SELECT same.programme_id, same.value_index,
       coalesce(bool_or(weight.standing = %(refuted)s OR weight.standing = %(disputed)s AND same.removal = ''), false),
       (SELECT count(*) FROM met WHERE met.programme_id = same.programme_id AND met.value_index = same.value_index
           AND met.partner_id <> %(partner)s),
       count(*) FILTER (WHERE same.issuer_id = %(partner)s AND same.received_at > %(day)s)
  FROM same LEFT JOIN signals_weight AS weight ON weight.signal_id = same.id
 GROUP BY 1, 2
"""
