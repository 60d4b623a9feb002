"""Bring back, from the tiles, the leaves that a restored database lost: up to the last checkpoint that was signed.

The log goes on where its readers and witnesses last saw it. What was sequenced after that checkpoint is lost, as what
was committed after the backup is; nobody was ever shown it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import psycopg

from hub.ledger import leaf, tree
from hub.ledger.last_signed import Known, LastSigned
from hub.ledger.sequence import PARTITION, Connect, Sequencer, connect
from hub.ledger.tile_store import TileStore, tile_store
from hub.ledger.tlog import tiles
from hub.ledger.tlog.merkle import Frontier, leaf_hash
from hub.ledger.tlog.tiles import TILE_WIDTH

_AT_ONCE = 16  # bundles in a transaction
_LOCK_SECONDS = 5.0


class CannotRebuild(RuntimeError):
    """The leaves cannot be brought back; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is missing: the leaves from index `start` to that of the last checkpoint's end."""

    start: int
    known: Known

    @property
    def leaves(self) -> int:
        """How many come back."""
        return self.known.size - self.start


def plan(connect: Connect = connect, *, last: LastSigned | None = None, store: TileStore | None = None) -> Plan | None:
    """Look whether leaves are missing that were under a checkpoint, and that all of them can be had; changes nothing.

    None when none are missing. Raises CannotRebuild, StoreAway.
    """
    store = store or tile_store()
    known = (last or LastSigned()).recall(store)
    with connect() as connection:
        frontier = _frontier(connection)
    if known is None or frontier.size >= known.size:
        return None
    if tree.frontier(frontier.size, within=known.size, store=store) != frontier:
        raise CannotRebuild(
            f"The {frontier.size} leaves of the database are not the beginning of the log: it has gone on by itself"
            " since it was put back. Put the backup back once more, and run `manage.py restored` before anything else."
        )
    if tree.frontier(known.size, within=known.size, store=store).root() != known.root:
        raise CannotRebuild(
            f"The tiles are not those of the checkpoint of {known.size} leaves: put the store back from its backup."
        )
    for first in range(frontier.size // TILE_WIDTH, -(-known.size // TILE_WIDTH)):
        _bundle(store, first, known.size)
    return Plan(frontier.size, known)


@contextmanager
def alone(connect: Connect = connect) -> Iterator[Sequencer]:
    """Be the one sequencer of this database, as long as it is brought up to date. Raises CannotRebuild after 5 s."""
    with Sequencer(connect) as sequencer:
        deadline = time.monotonic() + _LOCK_SECONDS
        while not sequencer.try_lock():
            if time.monotonic() > deadline:
                raise CannotRebuild("A sequencer is at work on this database: stop it, then run this again.")
            time.sleep(0.1)
        yield sequencer


def carry_out(plan: Plan, sequencer: Sequencer, *, store: TileStore | None = None) -> int:
    """Write the missing leaves, move frontier and running numbers on, and drop waiting events that are leaves by now.

    `sequencer` is `alone`. Returns how many leaves came back. Killed anywhere, it goes on where it was when it is
    planned and run again.
    """
    store = store or tile_store()
    connection = sequencer.connection
    made = 0
    while (size := _frontier(connection).size) < plan.known.size:
        connection.execute("SELECT ledger_make_room()")
        room = (size // PARTITION + 2) * PARTITION
        end = min((size // TILE_WIDTH + _AT_ONCE) * TILE_WIDTH, plan.known.size, room)
        with connection.transaction():
            made += _add(connection, store, plan.known.size, end)
    return made


def _add(connection: psycopg.Connection[tuple[object, ...]], store: TileStore, size: int, end: int) -> int:
    """Append the leaves up to, not including, index `end`; the tree they come from has `size` leaves."""
    frontier = _frontier(connection)
    start = frontier.size
    entries = [entry for n in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)) for entry in _bundle(store, n, size)][
        start % TILE_WIDTH :
    ][: end - start]
    leaves = [leaf.decode(entry) for entry in entries]
    hashes = [leaf_hash(entry) for entry in entries]
    frontier.extend(hashes)
    copying = "COPY ledger_leaf (index, leaf_hash, entry, action, actor, at, subjects) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types(["int8", "bytea", "bytea", "text", "text", "timestamptz", "text[]"])
        for index, (digest, entry, each) in enumerate(zip(hashes, entries, leaves, strict=True), start):
            subjects = [mention.id for mention in each.subjects]
            at = datetime.fromisoformat(each.at)
            copy.write_row((index, digest, entry, each.action, each.actor, at, subjects))
    numbers: dict[str, int] = {}
    for each in leaves:
        numbers.update((mention.id, mention.n) for mention in each.subjects)
    connection.execute(
        "INSERT INTO ledger_subject AS known (subject, last) SELECT * FROM unnest(%s::text[], %s::bigint[])"
        " ON CONFLICT (subject) DO UPDATE SET last = excluded.last WHERE excluded.last > known.last",
        [list(numbers), list(numbers.values())],
    )
    connection.execute("DELETE FROM ledger_outbox WHERE id = ANY(%s::uuid[])", [[each.id for each in leaves]])
    connection.execute(
        "UPDATE ledger_frontier SET size = %s, hashes = %s, root = %s, sequenced_at = greatest(sequenced_at, %s)",
        [frontier.size, frontier.packed(), frontier.root(), datetime.fromisoformat(leaves[-1].sequenced_at)],
    )
    return len(leaves)


def _bundle(store: TileStore, n: int, size: int) -> Sequence[bytes]:
    """The entries of one bundle of the tree of `size` leaves, each the one that the tree's tiles commit to."""
    width = min(TILE_WIDTH, size - n * TILE_WIDTH)
    entries = tiles.decode_bundle(store.bundle(n, width))
    if [leaf_hash(entry) for entry in entries] != tiles.hashes(store.tile(0, n, width)):
        raise CannotRebuild(
            f"{tiles.entries_path(n, width)} in the tile store is damaged: put it back from the store's backup."
        )
    return entries


def _frontier(connection: psycopg.Connection[tuple[object, ...]]) -> Frontier:
    row = connection.execute("SELECT size, hashes FROM ledger_frontier").fetchone()
    assert row is not None
    size, hashes = row
    assert isinstance(size, int)
    assert isinstance(hashes, bytes)
    return Frontier.unpacked(size, hashes)
