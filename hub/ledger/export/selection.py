"""The leaves of a query, in pieces, read through the view that shows leaves and lets nobody touch them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
from django.db import connection

from hub.ledger.export.query import Kind, Query
from hub.ledger.leaf import Leaf

Found: TypeAlias = "tuple[int, bytes]"  # a leaf's index and its exact bytes
_PAGE = 1_000  # rows held at a time: of the largest leaves, 64 MB


class _Sequenced(msgspec.Struct):
    sequenced_at: str


_when = msgspec.json.Decoder(_Sequenced)
_mentions = msgspec.json.Decoder(Leaf)


def first_since(time: str, size: int) -> int:
    """The index of the first of `size` leaves that was sequenced at `time` or later; `size` where there is none.

    Sequencing never runs backwards, so this is a binary search of a few dozen look-ups, whatever the size. Leaves that
    retention has parted with are the oldest.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        entry = one(middle)
        if entry is None or _when.decode(entry).sequenced_at < time:
            low = middle + 1
        else:
            high = middle
    return low


def span(query: Query, size: int) -> tuple[int, int]:
    """The indices [first, end) of the leaves within a query's time, in a tree of `size` leaves."""
    first = first_since(query.since, size) if query.since is not None else 0
    end = first_since(query.until, size) if query.until is not None else size
    return first, end


def chosen(query: Query, start: int, end: int) -> Iterator[Found]:
    """The leaves with an index in [start, end) that belong into the bundle, in order, a page in memory at a time."""
    condition, values = _condition(query)
    after = start - 1
    with connection.cursor() as cursor:
        while after < end - 1:
            cursor.execute(
                f"SELECT index, entry FROM ledger_reading WHERE index > %s AND index < %s{condition}"  # noqa: S608  ours
                f" ORDER BY index LIMIT {_PAGE}",
                [after, end, *values],
            )
            rows = cursor.fetchall()
            for index, entry in rows:
                yield index, bytes(entry)
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]


def neighbours(query: Query, first: int, end: int, size: int) -> tuple[int | None, int | None]:
    """The leaves just outside the span that show where it begins and ends: before `first`, and from `end` on.

    Of a complete range they are the leaves beside it; of one about a single subject, the nearest about that subject.
    Only where a time bounds that side.
    """
    subject = query.numbered_subject
    if query.kind is Kind.COMPLETE:
        before, after = (first - 1 if first > 0 else None), (end if end < size else None)
    elif subject is not None:
        before = _nearest("SELECT max(index) FROM ledger_reading WHERE subjects @> %s AND index < %s", subject, first)
        after = _nearest(
            "SELECT min(index) FROM ledger_reading WHERE subjects @> %s AND index >= %s AND index < %s",
            *(subject, end, size),
        )
    else:
        before = after = None
    return (before if query.since is not None else None), (after if query.until is not None else None)


def is_kept(query: Query, first: int, before: int | None, size: int, *, minimum: int) -> bool:
    """Whether no leaf below `minimum`, with which retention has parted, is one that the bundle must have.

    `before` is the neighbour before the span's `first`. About a single subject, numbers must begin with it or with 1.
    """
    subject = query.numbered_subject
    if query.kind is Kind.COMPLETE:
        return (first if before is None else before) >= minimum
    if minimum == 0 or subject is None or before is not None:
        return True
    nearest = _nearest(
        "SELECT min(index) FROM ledger_reading WHERE subjects @> %s AND index >= %s AND index < %s",
        *(subject, first, size),
    )
    entry = one(nearest) if nearest is not None else None
    return entry is None or any(each.id == subject and each.n == 1 for each in _mentions.decode(entry).subjects)


def _nearest(statement: str, subject: str, *bounds: int) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [[subject], *bounds])
        index = cursor.fetchone()[0]
    return None if index is None else int(index)


def one(index: int) -> bytes | None:
    """The exact bytes of one leaf; None where retention has parted with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry FROM ledger_reading WHERE index = %s", [index])
        row = cursor.fetchone()
    return None if row is None else bytes(row[0])


def _condition(query: Query) -> tuple[str, list[Any]]:
    """What PostgreSQL may leave out; of a complete range nothing."""
    if query.kind is Kind.COMPLETE:
        return "", []
    parts: list[str] = []
    values: list[Any] = []
    for subject in query.subjects:
        is_partner = subject == f"partner:{query.partner}"
        parts.append("(subjects @> %s OR actor = %s)" if is_partner else "subjects @> %s")
        values += [[subject], subject] if is_partner else [[subject]]
    if query.actor is not None:
        parts.append("actor = %s")
        values.append(query.actor)
    if query.actions:
        parts.append("action = ANY(%s)")
        values.append(list(query.actions))
    return "".join(f" AND {part}" for part in parts), values
