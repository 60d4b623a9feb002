"""Part with old leaves, whole partitions at a time: their hashes stay for ever, and the published minimum index rises.

Nothing is deleted: a partition whose leaves lie in the tile store, each checked against the tree, is detached from the
table and stays as a table of its own that nobody may read, until its owner dumps and drops it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connections, transaction

from hub.ledger import checkpoints, tree
from hub.ledger.leaf import Json
from hub.ledger.record import record
from hub.ledger.tile_store import TileLacking, TileStore, tile_store
from hub.ledger.tlog import tiles
from hub.ledger.tlog.merkle import leaf_hash, root_of
from hub.ledger.tlog.tiles import TILE_WIDTH

_OWNER = "owner"
_BOUNDS = re.compile(r"FOR VALUES FROM \('(\d+)'\) TO \('(\d+)'\)")
_LOCK_TIMEOUT = "3s"  # the table is closed to the sequencer for a moment, and nobody waits longer for that moment


class CannotPart(RuntimeError):
    """These leaves must stay for now; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of the leaves: its table, its range of indexes (the end not included), and its newest event."""

    table: str
    start: int
    end: int
    newest: datetime | None
    bytes: int


def partitions() -> list[Partition]:
    """Those that are attached, the oldest first; as the tables' owner."""
    with connections[_OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), pg_total_relation_size(c.oid) FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'public.ledger_leaf'::regclass"
        )
        found = []
        for table, bounds, size in cursor.fetchall():
            match = _BOUNDS.fullmatch(bounds)
            assert match is not None, "the leaves are partitioned by ranges"
            cursor.execute(f'SELECT max(at) FROM public."{table}"')  # noqa: S608  a name from the catalogue
            found.append(Partition(table, int(match[1]), int(match[2]), cursor.fetchone()[0], int(size)))
    return sorted(found, key=lambda each: each.start)


def what_would_go(*, below: int | None = None, before: datetime | None = None) -> list[Partition]:
    """The partitions that lie wholly below an index, or whose events all happened before a moment; the oldest first.

    Only what a published checkpoint covers, and never the partition that the log is growing in.
    """
    signed = checkpoints.latest()
    covered = signed.size if signed else 0
    going = []
    for each in partitions():
        is_old = (below is not None and each.end <= below) or (
            before is not None and each.newest is not None and each.newest < before
        )
        if not is_old or each.end >= covered:
            break
        going.append(each)
    return going


def lying_below(minimum: int) -> list[Partition]:
    """The attached partitions below a minimum index that was published already: a backup had them still."""
    return [each for each in partitions() if each.end <= minimum] if minimum else []


def check(partition: Partition, *, size: int, store: TileStore | None = None) -> None:
    """Make sure that the store has every leaf of a partition, as the tree of `size` leaves commits to it.

    Raises CannotPart, StoreAway.
    """
    store = store or tile_store()
    nodes = tree.nodes(size, store)
    for n, hashes in _hashes(partition):
        try:
            entries = tiles.decode_bundle(store.bundle(n))
        except (TileLacking, tiles.NotATile) as why:
            raise CannotPart(f"{tiles.entries_path(n)} is not in the tile store: put it back first. ({why})") from why
        archived = [leaf_hash(entry) for entry in entries]
        if archived != hashes or [root_of(archived)] != list(nodes([(tiles.TILE_HEIGHT, n)])):
            raise CannotPart(
                f"{tiles.entries_path(n)} in the tile store does not hold the leaves that the log commits to:"
                " put it back from the store's backup first."
            )


def part_with(going: list[Partition], *, reason: str, actor: str, at: datetime) -> int:
    """Record it, raise the minimum index, detach the partitions; returns the new minimum index.

    Check them first. What was recorded and not done is done by the next run. Raises CannotPart where the partitions do
    not begin at the minimum index, and OperationalError where the leaves are in use for more than three seconds.
    """
    before = checkpoints.minimum_index()
    if not going or going[0].start > before:
        raise CannotPart(f"The leaves from {before} on go first, and a whole partition of them is wanted.")
    minimum = max(before, going[-1].end)
    with transaction.atomic():
        facts: dict[str, Json] = {"minimum_index": minimum, "before": before, "reason": reason}
        record("ledger.minimum-raised", actor=actor, at=at, facts=facts)
    with transaction.atomic(using=_OWNER), connections[_OWNER].cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        cursor.execute(
            "INSERT INTO ledger_minimum (index, raised_at, reason) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [minimum, at, reason],
        )
        for each in going:
            cursor.execute(f'ALTER TABLE public.ledger_leaf DETACH PARTITION public."{each.table}"')
    return minimum


def _hashes(partition: Partition) -> Iterator[tuple[int, list[bytes]]]:
    """The number of each bundle of a partition and the hashes that the database has of its leaves."""
    with connections[_OWNER].cursor() as cursor:
        for n in range(partition.start // TILE_WIDTH, partition.end // TILE_WIDTH):
            cursor.execute(
                "SELECT leaf_hash FROM ledger_leaf WHERE index >= %s AND index < %s ORDER BY index",
                [n * TILE_WIDTH, (n + 1) * TILE_WIDTH],
            )
            yield n, [bytes(row[0]) for row in cursor.fetchall()]
