"""Pages of a feed that many endpoints may see alike: read and rendered once, then handed to each of them.

What one partner may see differs from another's in three things only: its own signals, what is routed to it by name, and
what is routed to all but it. A page whose range holds none of these for a partner is the same for it as for everybody.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from signals.distrust import HAS_FALLEN
from signals.lifecycle.disclose import FILTERS, Row, cut, in_order, items_of, root_of_rows, thin_items_of
from signals.lifecycle.walk import Place

MAX_KEPT_BYTES: Final = 64 * 1024 * 1024  # of rendered items, in one round of deliveries


class Sheet(NamedTuple):
    """What a page is made of; endpoints of one sheet get one page."""

    programme_id: int
    after: int
    floor: int  # tombstones at or below it are not served
    limit: int
    up_to: int | None
    filter: str  # as JSON, for it is a key

    @classmethod
    def of(cls, place: Place, *, limit: int, up_to: int | None) -> Sheet:
        """The sheet of a reader's next page. A floor behind it hides nothing more, so all such floors are one."""
        walk = place.walk
        assert walk.programme_id is not None  # a walk of notices has pages of its own
        floor = max(walk.floor, place.position)
        return cls(walk.programme_id, place.position, floor, limit, up_to, json.dumps(walk.filter, sort_keys=True))


@dataclass(eq=False)
class SharedPage:
    """One page as a partner sees it whom nothing in its range concerns by name."""

    rows: list[Row]
    to: int
    more: bool
    head: int  # of the snapshot that it holds for
    purged_to: int
    issuers: frozenset[int]
    left_out: frozenset[int]  # partners whom something in it is routed away from
    slugs: Mapping[int, str]

    @cached_property
    def ids(self) -> list[UUID]:
        """The signals in it."""
        return [UUID(row.id) for row in self.rows]

    @cached_property
    def root(self) -> bytes:
        """The Merkle root that its disclosures commit to."""
        return root_of_rows(self.rows)

    @cached_property
    def full(self) -> bytes:
        """Its items, joined."""
        return b",".join(items_of(self.rows, self.slugs))

    @cached_property
    def thin(self) -> bytes:
        """Its items without what was said, joined."""
        return b",".join(thin_items_of(self.rows))

    @cached_property
    def size(self) -> int:
        """Bytes that keeping it costs, about."""
        return 2 * sum(len(row.sealed or b"") for row in self.rows) + 512 * len(self.rows)


class SharedPages:
    """The pages of one round of deliveries. Kept no longer, for they hold what partners said in clear."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Sheet, SharedPage] = OrderedDict()
        self._bytes = 0

    def page(
        self, sheet: Sheet, partner_ids: Collection[int], *, slugs: Mapping[int, str]
    ) -> tuple[SharedPage, frozenset[int]]:
        """The page of a sheet, and those of these partners who see another one and must be shown their own.

        Inside a transaction. A kept page is used again only when nothing in it has moved, no key has fallen, and
        nothing could have been added to it: then reading it again would give the same.
        """
        kept = self._kept.get(sheet)
        if kept is not None:
            others = self._still_stands(kept, sheet, partner_ids)
            if others is not None:
                self._kept.move_to_end(sheet)
                return kept, others | kept.issuers | kept.left_out
            self._forget(sheet)
        made, others = self._read(sheet, partner_ids, slugs)
        self._keep(sheet, made)
        return made, others | made.issuers | made.left_out

    def _still_stands(self, page: SharedPage, sheet: Sheet, partner_ids: Collection[int]) -> frozenset[int] | None:
        parameters = {
            **_named(sheet),
            "partners": list(partner_ids),
            "to": page.to,
            "known": page.head,
            "ids": page.ids,
        }
        with connection.cursor() as cursor:
            cursor.execute(_STANDS, parameters)
            found = cursor.fetchone()
        if found is None:  # nothing has ever been published, so there is no head and nothing to be out of date
            return frozenset()
        head, purged_to, is_touched, others = found
        if purged_to != page.purged_to or is_touched or (head != page.head and not page.more):
            return None
        page.head = head
        return frozenset(others or ())

    @staticmethod
    def _read(
        sheet: Sheet, partner_ids: Collection[int], slugs: Mapping[int, str]
    ) -> tuple[SharedPage, frozenset[int]]:
        wanted = json.loads(sheet.filter)
        clauses = [clause for name, clause in FILTERS.items() if wanted.get(name)]
        if sheet.up_to is not None:
            clauses.append("signal.position <= %(up_to)s")
        query = _SHARED.replace("/*filters*/", "".join(f" AND {clause}" for clause in clauses))
        parameters = {
            **_named(sheet),
            "limit": sheet.limit + 1,
            "partners": list(partner_ids),
            **{name: wanted[name] for name in FILTERS if wanted.get(name)},
        }
        found = list(in_order(query, parameters))
        head, purged_to, others = found[0][:3]
        head = head or 0
        pairs = sorted((Row._make(row[4:]), row[3]) for row in found if row[4] is not None)
        end = head if sheet.up_to is None else min(head, sheet.up_to)
        rows, to, more = cut([row for row, _ in pairs], limit=sheet.limit, end=end, after=sheet.after)
        left_out = frozenset(partner for _, partners in pairs[: len(rows)] for partner in partners or ())
        issuers = frozenset(row.issuer_id for row in rows)
        page = SharedPage(rows, to, more, head, purged_to or 0, issuers, left_out, slugs)
        return page, frozenset(others or ())

    def _keep(self, sheet: Sheet, page: SharedPage) -> None:
        self._kept[sheet] = page
        self._bytes += page.size
        while self._bytes > MAX_KEPT_BYTES and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))

    def _forget(self, sheet: Sheet) -> None:
        self._bytes -= self._kept.pop(sheet).size


def _named(sheet: Sheet) -> dict[str, Any]:
    return {
        "programme": sheet.programme_id,
        "after": sheet.after,
        "floor": sheet.floor,
        "up_to": sheet.up_to,
    }


# Whom something in the range is routed to by name, among those who ask: one look at the routes of each.
_OTHERS = """(SELECT array_agg(asks.partner) FROM unnest(%(partners)s::bigint[]) AS asks (partner)
    WHERE EXISTS (SELECT 1 FROM signals_route AS route
                   WHERE route.partner_id = asks.partner AND route.programme_id = %(programme)s
                     AND route.position > %(after)s AND route.position <= /*end*/))"""

_STANDS = f"""
SELECT head.position, head.purged_to,
       EXISTS (SELECT 1 FROM signals_change AS change
                WHERE change.programme_id = %(programme)s AND change.position > %(known)s
                  AND (change.signal_id IS NULL OR change.signal_id = ANY(%(ids)s))),
       {_OTHERS.replace("/*end*/", "%(to)s")}
  FROM signals_head AS head WHERE head.programme_id = %(programme)s
"""  # noqa: S608  constants

_SHARED = """
WITH head AS (SELECT position, purged_to FROM signals_head WHERE programme_id = %(programme)s),
shown AS (
    SELECT signal.position, signal.id, signal.revision, signal.state, signal.removal, signal.issuer_id,
           signal.changed_at, signal.received_at, signal.permitted, signal.statement_id, signal.weighed,
           fall.has_come,
           CASE WHEN signal.audience = 'except' THEN signal.audience_partners END AS left_out
      FROM signals_signal AS signal, LATERAL (SELECT /*has fallen*/ AS has_come) AS fall
     WHERE signal.programme_id = %(programme)s AND signal.position > %(after)s AND signal.audience <> 'only'
       AND ((signal.removal = '' AND NOT fall.has_come) OR signal.position > %(floor)s)/*filters*/
     ORDER BY signal.position LIMIT %(limit)s),
reach AS (
    SELECT CASE WHEN count(*) < %(limit)s THEN coalesce(%(up_to)s, (SELECT position FROM head)) ELSE max(position) END
           AS until FROM shown)
SELECT head.position, head.purged_to, /*others*/, shown.left_out,
       shown.position, shown.id::text, shown.revision, shown.state,
       CASE WHEN shown.removal = '' AND shown.has_come THEN 'quarantined' ELSE shown.removal END,
       shown.issuer_id, shown.changed_at::text, shown.received_at::text, shown.permitted::text,
       uuid_send(shown.statement_id), shown.weighed,
       CASE WHEN shown.removal = '' AND NOT shown.has_come THEN statement.sealed END
  FROM (SELECT 1) AS always
  LEFT JOIN head ON true
  LEFT JOIN shown ON true
  LEFT JOIN signals_statement AS statement ON statement.id = shown.statement_id
""".replace("/*has fallen*/", HAS_FALLEN).replace("/*others*/", _OTHERS.replace("/*end*/", "(SELECT until FROM reach)"))
