"""Read a page of a feed as one partner may see it now, and record that it was disclosed before a byte leaves.

One statement reads the head and the rows up to it, so a page is one snapshot. Limits count visible rows: what a partner
may not see leaves no trace in a page, its length or its cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from django.db import connection, transaction

from hub.vault import keyring
from partners import public
from partners.public import MembershipFacts
from signals.core.refusals import CursorExpired
from signals.distrust import HAS_FALLEN
from signals.lifecycle.examine import SEALED_FOR
from signals.lifecycle.moves import root_of_packed
from signals.lifecycle.walk import FORGOTTEN, Place

_CHUNK = 100  # rows
_ID_BYTES = 16
MAX_PAGE_BYTES = 4 * 1024 * 1024  # of sealed items: one author's padding must not fill a reader's memory


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, under which names its issuers are known, and through which channel."""

    partner_id: int
    slug: str
    slugs: Mapping[int, str]  # of every partner in the programme, by id
    programme_slug: str

    @classmethod
    def known_as(cls, member: MembershipFacts, slugs: Mapping[int, str]) -> Reader:
        """The reader that a member is among others of these names."""
        return cls(member.partner_id, member.partner_slug, slugs, member.programme_slug)


def reader_of(member: MembershipFacts) -> Reader:
    """The reader that a member is; one query for the names of its fellow members."""
    return Reader.known_as(member, public.member_slugs(member.programme_id))


def read_page(place: Place, *, reader: Reader, limit: int, at: datetime, up_to: int | None = None) -> Page:
    """The next page after a place: at most `limit` items, none beyond position `up_to`; recorded unless silent.

    Refuses CursorExpired when tombstones after the place have been forgotten, which only the page's own snapshot knows.
    """
    opener, items = keyring.opener(), dict[int, bytes]()

    def render(row: Row) -> None:
        items[row.position] = _item(row, reader.slugs, opener)

    # Rendered within the transaction, while PostgreSQL looks for the rows after: it holds no lock meanwhile, and lasts
    # less long for it than the two took one after the other. What was rendered leaves when the commit has returned.
    with transaction.atomic():
        page = look(place, reader=reader, limit=limit, up_to=up_to, each=render)
        if not page.is_silent:
            record_shown([shown(place, page)], at=at)
    return replace(page, items=[items[row.position] for row in page.rows])


def look(
    place: Place,
    *,
    reader: Reader,
    limit: int,
    up_to: int | None = None,
    each: Callable[[Row], object] = id,
) -> Page:
    """The same page, neither rendered nor recorded: who shows it to anybody records it first.

    `each` is given every row as it comes, before it is known which of them make the page.
    """
    walk = place.walk
    head, purged_to, rows = _rows(place, reader=reader, limit=limit, up_to=up_to, each=each)
    if max(place.position, walk.floor) < purged_to:
        raise CursorExpired(FORGOTTEN)
    rows, to, more = cut(rows, limit=limit, end=head if up_to is None else min(head, up_to), after=place.position)
    return Page(Place(walk, to), rows, more, place.position < walk.floor <= to, reader, head)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is about to leave: so many items of (from, to] of a walk, as one snapshot had them."""

    place: Place  # before it
    to: int
    head: int
    count: int
    root: bytes


def shown(place: Place, page: Page) -> Shown:
    """The record of a page read after a place."""
    return Shown(place, page.place.position, page.head, page.count, page.root)


def record_shown(pages: Sequence[Shown], *, at: datetime) -> None:
    """Write down what is disclosed, in the caller's transaction and before the first byte leaves.

    The leaf that commits to it follows within two minutes (signals.lifecycle.roll_up): what waits for one is inserted
    by the same statement, so a page is never shown without its disclosure, nor disclosed without a leaf to come.
    """
    columns: list[list[Any]] = [
        [page.place.walk.pk for page in pages],
        [page.place.position for page in pages],
        [page.to for page in pages],
        [page.head for page in pages],
        [page.count for page in pages],
        [page.root for page in pages],
        [page.place.walk.programme_id for page in pages],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_DISCLOSED, [at, *columns])


class Row(NamedTuple):
    """Ids and times stay as PostgreSQL wrote them: reading and writing them again would cost half the page."""

    position: int
    id: str
    revision: int
    state: str
    removal: str
    issuer_id: int
    changed_at: str
    received_at: str
    permitted: str  # an array of closed words, such as {investigate,refer}
    statement_id: bytes
    weighed: str  # what the item says of the signal's standing, stamped by the move that showed it: JSON members
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class Page:
    """What one page holds, where it ends, and whether it completes the walk's listing."""

    place: Place  # where the reader stands after this page
    rows: list[Row]
    more: bool
    listed: bool
    reader: Reader
    head: int  # of the snapshot that it was read from
    items: list[bytes] = field(default_factory=list)  # as JSON, of a page that was rendered

    @property
    def root(self) -> bytes:
        """The Merkle root that its disclosure commits to."""
        return root_of_rows(self.rows)

    @property
    def count(self) -> int:
        """How many items it holds."""
        return len(self.rows)

    @property
    def is_silent(self) -> bool:
        """Nothing to say: the reader has seen everything there is for it."""
        return not self.rows and not self.listed


def root_of_rows(rows: Sequence[Row]) -> bytes:
    """The RFC 6962 root over (signal, revision) pairs, in order of position."""
    ids = bytes.fromhex("".join([row.id for row in rows]).replace("-", ""))
    starts = range(0, len(ids), _ID_BYTES)
    pairs = zip(starts, rows, strict=True)
    return root_of_packed([ids[at : at + _ID_BYTES] + row.revision.to_bytes(8, "big") for at, row in pairs])


def items_of(rows: Sequence[Row], slugs: Mapping[int, str]) -> list[bytes]:
    """What a reader is shown of these rows, as JSON objects."""
    opener = keyring.opener()
    return [_item(row, slugs, opener) for row in rows]


def thin_items_of(rows: Sequence[Row]) -> list[bytes]:
    """The same with id, revision, state and time only; nothing sealed is opened."""
    return [_tombstone(row) for row in rows]


def page_query(place: Place, *, reader: Reader, limit: int, up_to: int | None) -> tuple[str, dict[str, Any]]:
    """The one statement that reads a page and one row more, with its parameters."""
    walk = place.walk
    wanted = walk.filter
    clauses = [clause for name, clause in FILTERS.items() if wanted.get(name)]
    if not wanted.get("own"):
        clauses.append("signal.issuer_id <> %(partner)s")
    if up_to is not None:
        clauses.append("signal.position <= %(up_to)s")
    return _PAGE.replace("/*filters*/", "".join(f" AND {clause}" for clause in clauses)), {
        "programme": walk.programme_id,
        "partner": reader.partner_id,
        "after": place.position,
        "floor": walk.floor,
        "limit": limit + 1,
        "up_to": up_to,
        **{name: wanted[name] for name in FILTERS if wanted.get(name)},
    }


def _rows(
    place: Place, *, reader: Reader, limit: int, up_to: int | None, each: Callable[[Row], object] = id
) -> tuple[int, int, list[Row]]:
    query, parameters = page_query(place, reader=reader, limit=limit, up_to=up_to)
    head = purged_to = 0
    rows = []
    with closing(in_order(query, parameters)) as found:
        for facts in found:
            head, purged_to = facts[:2]
            if facts[2] is not None:
                row = Row._make(facts[2:])
                each(row)
                rows.append(row)
    rows.sort()  # by position; PostgreSQL would sort them with all that is sealed in them
    return head or 0, purged_to or 0, rows


def in_order(query: str, parameters: Mapping[str, Any]) -> Generator[tuple[Any, ...]]:
    """What a query finds that reads a feed along its indexes, row by row; to be closed by who does not read it all."""
    # psycopg's own cursor, for it reads binary: as text, every sealed byte would be written and read as two.
    # In chunks: while PostgreSQL looks for the next rows, the last ones are taken over here.
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_IN_ORDER)
        yield from cursor.stream(query, parameters, binary=True, size=_CHUNK)


def cut(rows: list[Row], *, limit: int, end: int, after: int) -> tuple[list[Row], int, bool]:
    """What of `rows`, read one beyond the limit, makes a page; where the page ends, and whether more follows."""
    fitting = _fitting(rows, limit)
    more = len(rows) > fitting
    rows = rows[:fitting]
    return rows, rows[-1].position if more else max(end, after), more


def _fitting(rows: list[Row], limit: int) -> int:
    """How many of these rows make a page: at most `limit`, at most MAX_PAGE_BYTES, at least one if there is any."""
    size = 0
    for number, row in enumerate(rows[:limit]):
        size += len(row.sealed or b"")
        if size > MAX_PAGE_BYTES and number:
            return number
    return limit


# Every value spliced in below is from a closed set (ids, states, slugs, times, permitted actions): nothing to escape.


def _item(row: Row, slugs: Mapping[int, str], opener: keyring.Opener) -> bytes:
    if row.sealed is None:
        return _tombstone(row)
    return _live(row, slugs, opener.open(row.sealed, SEALED_FOR + row.statement_id))


def _tombstone(row: Row) -> bytes:
    facts = f'"revision":{row.revision},"state":"{row.removal or row.state}","changed_at":"{_time(row.changed_at)}"'
    return f'{{"id":"{row.id}",{facts}}}'.encode("ascii")


def _live(row: Row, slugs: Mapping[int, str], said: bytes) -> bytes:
    """A live signal: what moves, and the members that `examine` rendered and sealed when it came."""
    _, identity, revision, state, _, issuer, changed_at, received_at, permitted, _, weighed, _ = row
    facts = _facts(state, changed_at, slugs[issuer], received_at, permitted, weighed)
    return f'{{"id":"{identity}","revision":{revision},{facts}'.encode("ascii") + said + b"}"


@lru_cache(maxsize=4096)  # alike in all that came and moved together
def _facts(state: str, changed_at: str, issuer: str, received_at: str, permitted: str, weighed: str) -> str:
    allowed = '"investigate"' if state == "restricted" else _words(permitted)
    return (
        f'"state":"{state}","changed_at":"{_time(changed_at)}","issuer":"{issuer}",'
        f'"received_at":"{_time(received_at)}","permitted":[{allowed}],{weighed or _UNREVIEWED},'
    )


_UNREVIEWED = '"standing":"unreviewed"'


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _words(array: str) -> str:
    return ",".join(f'"{word}"' for word in array[1:-1].split(",") if word)


# Never before the head they were read at, whatever this process's clock says: questions about a change look at the
# disclosures from its time on.
_DISCLOSED = """
WITH disclosed AS (
INSERT INTO signals_disclosure (walk_id, from_position, to_position, head, count, root, at)
SELECT page.walk_id, page.from_position, page.to_position, page.head, page.count, page.root,
       greatest(%s, (SELECT at FROM signals_head WHERE programme_id = page.programme_id))
  FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::int[], %s::bytea[], %s::bigint[])
       AS page (walk_id, from_position, to_position, head, count, root, programme_id)
RETURNING id, at)
INSERT INTO signals_unsummed (disclosure_id, at) SELECT id, at FROM disclosed
"""

FILTERS = {
    "types": "signal.indicator_type = ANY(%(types)s)",
    "violations": "signal.violation = ANY(%(violations)s)",
    "issuers": "signal.issuer_id = ANY(%(issuers)s)",
}

# Before autovacuum has counted a fresh table, the planner takes a feed for a handful of rows and would sort all that is
# left of it for every page.
_IN_ORDER = "SET LOCAL enable_sort = off"

# A signal under a fallen key is a tombstone from the moment of the fall, moved or not; tombstones at or below the floor
# are not served. `only` signals are found by the reader's routes, so their number and not the feed's length counts.
_PAGE = """
WITH head AS (SELECT position, purged_to FROM signals_head WHERE programme_id = %(programme)s),
shown AS (
    (SELECT signal.position, signal.id, signal.revision, signal.state, signal.removal, signal.issuer_id,
            signal.changed_at, signal.received_at, signal.permitted, signal.statement_id, signal.weighed, fall.has_come
       FROM signals_signal AS signal, LATERAL (SELECT /*has fallen*/ AS has_come) AS fall
      WHERE signal.programme_id = %(programme)s AND signal.position > %(after)s AND signal.audience <> 'only'
        AND NOT (signal.audience = 'except' AND %(partner)s = ANY (signal.audience_partners))
        AND ((signal.removal = '' AND NOT fall.has_come) OR signal.position > %(floor)s)/*filters*/
      ORDER BY signal.position LIMIT %(limit)s)
    UNION ALL
    (SELECT signal.position, signal.id, signal.revision, signal.state, signal.removal, signal.issuer_id,
            signal.changed_at, signal.received_at, signal.permitted, signal.statement_id, signal.weighed, fall.has_come
       FROM signals_route AS route
       JOIN signals_signal AS signal ON signal.id = route.signal_id AND signal.audience = 'only',
            LATERAL (SELECT /*has fallen*/ AS has_come) AS fall
      WHERE route.partner_id = %(partner)s AND route.programme_id = %(programme)s AND route.position > %(after)s
        AND ((signal.removal = '' AND NOT fall.has_come) OR signal.position > %(floor)s)/*filters*/
      ORDER BY route.position LIMIT %(limit)s)
    ORDER BY position LIMIT %(limit)s
)
SELECT head.position, head.purged_to, shown.position, shown.id::text, shown.revision, shown.state,
       CASE WHEN shown.removal = '' AND shown.has_come THEN 'quarantined' ELSE shown.removal END,
       shown.issuer_id, shown.changed_at::text, shown.received_at::text, shown.permitted::text,
       uuid_send(shown.statement_id), shown.weighed,
       CASE WHEN shown.removal = '' AND NOT shown.has_come THEN statement.sealed END
  FROM (SELECT 1) AS always
  LEFT JOIN head ON true
  LEFT JOIN shown ON true
  LEFT JOIN signals_statement AS statement ON statement.id = shown.statement_id
""".replace("/*has fallen*/", HAS_FALLEN)
