"""Which channels were handed a signal's value: computed again from changes, walks and disclosures (0050, rule 11).

A disclosure held it if one of its changes lay in the disclosed range, was its latest up to the disclosure's head, was
no removal, admitted the reader and its filter, and no key under it had fallen by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from signals.core.notices import RECALLED

REMOVALS = ("withdrawn", "expired", "quarantined")
STANDS_ANEW = ("published", "restored")


@dataclass(frozen=True, slots=True)
class Holder:
    """One channel of a partner that was handed the value, and when first."""

    signal_id: UUID
    programme_id: int
    partner_id: int
    channel: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Showing:
    """From one change on, pages showed the value; until another change or a key's fall. To whom the audience says."""

    signal_id: UUID
    programme_id: int
    issuer_id: int
    audience: str
    audience_partners: Sequence[int]
    at: datetime
    until_at: datetime | None  # None: still

    def admits(self, partner_id: int) -> bool:
        """Whether that partner was in the audience; the issuer is asked of nothing."""
        if partner_id == self.issuer_id:
            return False
        if self.audience == "programme":
            return True
        return (partner_id in self.audience_partners) == (self.audience == "only")


def holders(signal_ids: Collection[UUID]) -> list[Holder]:
    """Every channel that was handed one of these signals, its issuer's apart; of recalled ones, before the recall.

    Two queries however many signals, walks and disclosures there are: the first says from when on the disclosures are
    to be looked at, so that days before it are not even planned for.
    """
    return _holders(signal_ids, _HOLDERS, {})


def holders_of(copies: Collection[tuple[UUID, int, str]]) -> list[Holder]:
    """Those of these (signal, partner, channel) that were handed the signal, by as many queries."""
    asked = {
        "of_signals": [copy[0] for copy in copies],
        "of_partners": [copy[1] for copy in copies],
        "of_channels": [copy[2] for copy in copies],
    }
    return _holders({copy[0] for copy in copies}, _HOLDERS_OF, asked)


@dataclass(frozen=True, slots=True)
class Handing:
    """One revision of a signal that a channel was handed with its value, and when first in the time asked for."""

    signal_id: UUID
    programme_id: int
    partner_id: int
    channel: str
    revision: int
    at: datetime


def handings(signal_ids: Collection[UUID], *, since: datetime | None = None) -> list[Handing]:
    """Every revision that every channel was handed, restricted ones too, at or after `since`; by two queries.

    Where `holders` tells a recall's board who must drop the value, this tells who received it, whatever came of it.
    """
    if not signal_ids:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SINCE, [list(signal_ids)])
        [first, until] = (cursor.fetchone() or (None, None))[:2]
        if first is None:
            return []
        # Served again under restrictions is served: only removals end what a signal showed.
        between = {"since": max(filter(None, (first, since))), "until": until}
        cursor.execute(_HANDINGS, {**_parameters(signal_ids), "recalled": list(REMOVALS), **between})
        return [Handing(*row) for row in cursor.fetchall()]


def _holders(signal_ids: Collection[UUID], query: str, asked: Mapping[str, Any]) -> list[Holder]:
    if not signal_ids:
        return []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_SINCE, [list(signal_ids)])
        [since, until] = (cursor.fetchone() or (None, None))[:2]
        if since is None:
            return []
        cursor.execute(query, {**_parameters(signal_ids), **asked, "since": since, "until": until})
        return [Holder(*row) for row in cursor.fetchall()]


def showings(signal_ids: Collection[UUID]) -> list[Showing]:
    """When each of these signals was served with its value, before its recall if there was one."""
    with connection.cursor() as cursor:
        cursor.execute(_SHOWINGS, _parameters(signal_ids))
        return [Showing(*row) for row in cursor.fetchall()]


def _parameters(signal_ids: Collection[UUID]) -> dict[str, Any]:
    return {
        "signals": list(signal_ids),
        "removals": list(REMOVALS),
        "recalled": list(RECALLED),
        "anew": list(STANDS_ANEW),
    }


# When the first of their changes was made, and until when anything can have been disclosed. For the rest of the
# transaction, each walk is asked by itself, through the index of each day: a plan that reads a day whole would read it
# once a walk.
_SINCE = """
SELECT min(at), greatest(now(), (SELECT max(at) FROM signals_head)) + interval '1 day',
       set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)
  FROM signals_change WHERE signal_id = ANY (%s)
"""

# The removal that stands of each signal, or the restriction: the latest that nothing has undone.
RECALL = """
recall AS (
    SELECT DISTINCT ON (change.signal_id) change.signal_id, change.programme_id, change.position, change.at, change.kind
      FROM signals_change AS change
     WHERE change.signal_id = ANY (%(signals)s) AND change.kind = ANY (%(recalled)s)
       AND NOT EXISTS (SELECT 1 FROM signals_change AS later WHERE later.signal_id = change.signal_id
                          AND later.position > change.position AND later.kind = ANY (%(anew)s))
     ORDER BY change.signal_id, change.position DESC
)"""

# From a change on, pages with a head before `until` showed the value: until the next change of the signal, or until a
# key fell that had signed what it says or who may see it, unless the signal was let stand after that.
# It is found once for each change: a plan that joins the walks first would find it again for each of those.
SHOWN = """
shown AS MATERIALIZED (
    SELECT change.signal_id, change.programme_id, change.position, change.revision, change.at, change.audience,
           change.audience_partners,
           signal.issuer_id, signal.indicator_type, signal.violation, ends.position AS until, ends.at AS until_at
      FROM signals_change AS change
      JOIN signals_signal AS signal ON signal.id = change.signal_id
      LEFT JOIN recall ON recall.signal_id = change.signal_id
      LEFT JOIN signals_statement AS said ON said.id = change.statement_id
      LEFT JOIN LATERAL (
          SELECT key_id, received_at FROM signals_statement
           WHERE signal_id = change.signal_id AND typ = 'routing+jws' AND received_at <= change.at
           ORDER BY received_at DESC LIMIT 1) AS routing ON true
      LEFT JOIN LATERAL (
          SELECT position, at FROM (
              (SELECT later.position, later.at FROM signals_change AS later
                WHERE later.signal_id = change.signal_id AND later.position > change.position
                ORDER BY later.position LIMIT 1)
              UNION ALL
              SELECT first.position, first.at FROM (
                  SELECT fall.position, fall.at FROM signals_change AS fall
                   WHERE fall.programme_id = change.programme_id AND fall.kind = 'key-fell'
                     AND (fall.key_id = said.key_id AND (fall.key_since IS NULL OR said.received_at >= fall.key_since)
                          OR fall.key_id = routing.key_id
                             AND (fall.key_since IS NULL OR routing.received_at >= fall.key_since))
                   ORDER BY fall.position LIMIT 1) AS first
               WHERE NOT EXISTS (SELECT 1 FROM signals_change AS anew
                                  WHERE anew.signal_id = change.signal_id AND anew.statement_id = change.statement_id
                                    AND anew.kind = ANY (%(anew)s) AND anew.position > first.position
                                    AND anew.position <= change.position)) AS end_
           ORDER BY position LIMIT 1) AS ends ON true
     WHERE change.signal_id = ANY (%(signals)s) AND change.kind <> ALL (%(removals)s)
       AND (recall.position IS NULL OR change.position < recall.position)
       AND (ends.position IS NULL OR ends.position > change.position)
)"""

# Whose walks could have been shown it: audience and filter.
MAY_SEE = """
       (shown.audience = 'programme'
        OR shown.audience = 'only' AND walk.partner_id = ANY (shown.audience_partners)
        OR shown.audience = 'except' AND walk.partner_id <> ALL (shown.audience_partners))
   AND walk.partner_id <> shown.issuer_id
   AND (shown.until IS NULL OR walk.floor < shown.until)
   AND (coalesce(jsonb_array_length(walk.filter -> 'types'), 0) = 0 OR walk.filter -> 'types' ? shown.indicator_type)
   AND (coalesce(jsonb_array_length(walk.filter -> 'violations'), 0) = 0
        OR walk.filter -> 'violations' ? shown.violation)
   AND (coalesce(jsonb_array_length(walk.filter -> 'issuers'), 0) = 0
        OR walk.filter -> 'issuers' @> to_jsonb(shown.issuer_id))"""

# The disclosures of a walk that held it. A disclosure's time is never before the change's; after the end, and after
# now, a day is allowed for clocks that run ahead.
_HELD_IT = """
    SELECT disclosure.at FROM signals_disclosure AS disclosure
     WHERE disclosure.walk_id = walk.id AND disclosure.at >= %(since)s
       AND disclosure.at >= greatest(shown.at, walk.started_at - interval '1 day')
       AND disclosure.at < coalesce(shown.until_at + interval '1 day', 'infinity')
       AND disclosure.from_position < shown.position AND disclosure.to_position >= shown.position
       AND (shown.until IS NULL OR disclosure.head < shown.until)"""

# The first of them. While each moment that is asked for lies in a day with a table of its own, these open in turn
# and none after the first that held it; hence `until`, for without an end all of them would be opened.
FIRST_DISCLOSED = f"{_HELD_IT} AND disclosure.at < %(until)s ORDER BY disclosure.at LIMIT 1"

_HOLDERS = f"""
WITH {RECALL}, {SHOWN}
SELECT shown.signal_id, shown.programme_id, walk.partner_id, walk.channel, min(first.at)
  FROM shown JOIN signals_walk AS walk ON walk.programme_id = shown.programme_id AND {MAY_SEE},
       LATERAL ({FIRST_DISCLOSED}) AS first
 GROUP BY 1, 2, 3, 4
 ORDER BY 5, 3, 4
"""  # noqa: S608  constants

_HANDINGS = f"""
WITH {RECALL}, {SHOWN}
SELECT shown.signal_id, shown.programme_id, walk.partner_id, walk.channel, shown.revision, min(first.at)
  FROM shown JOIN signals_walk AS walk ON walk.programme_id = shown.programme_id AND {MAY_SEE},
       LATERAL ({FIRST_DISCLOSED}) AS first
 GROUP BY 1, 2, 3, 4, 5
 ORDER BY 6, 3, 4
"""  # noqa: S608  constants

_HOLDERS_OF = f"""
WITH {RECALL}, {SHOWN}, asked AS (
    SELECT * FROM unnest(%(of_signals)s::uuid[], %(of_partners)s::bigint[], %(of_channels)s::text[])
                  AS copy (signal_id, partner_id, channel))
SELECT shown.signal_id, shown.programme_id, walk.partner_id, walk.channel, min(first.at)
  FROM asked JOIN shown ON shown.signal_id = asked.signal_id
  JOIN signals_walk AS walk ON walk.programme_id = shown.programme_id AND walk.partner_id = asked.partner_id
   AND walk.channel = asked.channel AND {MAY_SEE},
       LATERAL ({FIRST_DISCLOSED}) AS first
 GROUP BY 1, 2, 3, 4
 ORDER BY 5, 3, 4
"""  # noqa: S608  constants

_SHOWINGS = f"""
WITH {RECALL}, {SHOWN}
SELECT signal_id, programme_id, issuer_id, audience, audience_partners, at, until_at FROM shown ORDER BY at
"""  # noqa: S608  constants
