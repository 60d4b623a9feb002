"""Which signals share a tie with one: asked of the blind keys by their index, bounded however many there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

CROWD: Final = 1000  # signals that are looked at for one key


def sharing(keys: Collection[int], *, besides: bytes, limit: int) -> list[tuple[int, UUID, bool]]:
    """For each key the `limit` newest of up to 1,000 signals that have it: (key, signal, is a crowd). One query.

    Of a crowd, which is as many as are looked at or more, the newest of all may be missing. Left out are those whose
    value has the blind index `besides`: the subject itself, and who said the same.
    """
    rows = _by_index(_EQUAL, {"keys": list(keys), "besides": besides, "crowd": CROWD, "limit": limit})
    return [(key, identity, looked_at >= CROWD) for key, identity, looked_at in rows]


def with_most_in_common(keys: Collection[int], *, limit: int) -> list[UUID]:
    """The signals that have most of these keys, most first. One query."""
    rows = _by_index(_MOST, {"keys": list(keys), "crowd": CROWD, "limit": limit})
    return [identity for (identity,) in rows]


def _by_index(question: str, given: Mapping[str, list[int] | int | bytes]) -> list[tuple[Any, ...]]:
    """Whatever the planner guesses: it takes 272 rare keys for a common one, and would read every row."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(question, given)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


# OFFSET 0 has each of the crowd looked up by its id: else the planner may walk all signals by arrival instead.
_EQUAL = """
SELECT wanted.key, found.signal_id, found.looked_at
  FROM unnest(%(keys)s::bigint[]) AS wanted (key),
       LATERAL (SELECT crowd.signal_id, crowd.looked_at
                  FROM (SELECT signal_id, count(*) OVER () AS looked_at
                          FROM (SELECT signal_id FROM signals_ties
                                 WHERE keys @> ARRAY[wanted.key] LIMIT %(crowd)s) AS met) AS crowd,
                       LATERAL (SELECT arrival, value_index FROM signals_signal
                                 WHERE id = crowd.signal_id OFFSET 0) AS signal
                 WHERE signal.value_index IS DISTINCT FROM %(besides)s
                 ORDER BY signal.arrival DESC LIMIT %(limit)s) AS found
"""

# At a distance of 31 bits, spread by chance, seven of sixteen bands are in common, and by mere chance one.
_MOST = """
SELECT found.signal_id
  FROM unnest(%(keys)s::bigint[]) AS band (key),
       LATERAL (SELECT signal_id FROM signals_ties WHERE keys @> ARRAY[band.key] LIMIT %(crowd)s) AS found
 GROUP BY found.signal_id ORDER BY count(*) DESC LIMIT %(limit)s
"""
