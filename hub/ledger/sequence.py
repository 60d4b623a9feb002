"""The sequencer: turn outbox rows into leaves, one process at a time, nothing lost and nothing doubled."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TypeAlias

import msgspec
import psycopg
import structlog
from django.db import connections

from hub.ledger import leaf
from hub.ledger.actions import ACTIONS
from hub.ledger.leaf import Leaf, Mention
from hub.ledger.mirror import Mirror, Remembered, Said, compare
from hub.ledger.tlog.merkle import Frontier, leaf_hash

BATCH = 5_000  # rows: larger batches were no faster and hold more in memory
PAUSE = 0.25  # seconds between looks at an empty outbox
PARTITION = 1_048_576  # leaves, as in ledger_make_room()
_LOCK = 0x68656C696F00
_LONGEST_WAIT = 5.0  # seconds between attempts to reach the database
_BEHIND_WAIT = 2.0
_MIRRORED = frozenset(name for name, action in ACTIONS.items() if action.mirrored)
_CHUNK = 100_000  # leaves looked through at a time while the mirror catches up

Connect: TypeAlias = Callable[[], "psycopg.Connection[tuple[object, ...]]"]
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Overtaken(RuntimeError):
    """Another sequencer has written meanwhile: this one must not go on from what it knows."""


class BehindTheMirror(RuntimeError):
    """The database was restored; the message says what to do."""


class _Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What record() left in the outbox."""

    action: str
    actor: str
    at: str
    commitments: dict[str, str]
    facts: dict[str, object]
    subjects: list[str]


_decoder = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of the COPY into ledger_leaf."""

    index: int
    leaf_hash: bytes
    entry: bytes
    event: _Event


def connect() -> psycopg.Connection[tuple[object, ...]]:
    """A connection of the sequencer's own under its role: its lock would die behind a pool."""
    known = connections["ledger"].settings_dict
    connection = psycopg.connect(
        dbname=known["NAME"],
        user=known["USER"],
        password=known["PASSWORD"],
        host=known["HOST"],
        port=known["PORT"],
        autocommit=True,
        application_name="heliograph-sequencer",
        connect_timeout=5,
        **known["OPTIONS"],
    )
    connection.execute("SET synchronous_commit = on")  # the mirror is written next, and must never be ahead
    connection.execute("SET timezone = 'UTC'")
    return connection


class Sequencer:
    """One session that holds the lock. `with Sequencer() as sequencer:` then `sequencer.step()` until it returns 0."""

    def __init__(self, connect: Connect = connect, mirror: Mirror | None = None) -> None:
        self.connection = connect()
        self.mirror = mirror or Mirror()
        self.has_room = False

    def __enter__(self) -> Sequencer:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def try_lock(self) -> bool:
        """Whether this session now is the one sequencer of its database."""
        row = self.connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        return row == (True,)

    def step(self) -> int:
        """Make leaves of what waits, at most BATCH, and bring the mirror up to date; returns how many leaves were made.

        Raises BehindTheMirror, Overtaken, or psycopg's errors; after any of them nothing was written, or all of it.
        """
        if not self.has_room:
            self.connection.execute("SELECT ledger_make_room()")
            self.has_room = True
        remembered = self.mirror.read()
        with self.connection.transaction():
            frontier, epoch, now = self._read(remembered)
            before = frontier.size
            waiting = self.connection.execute(
                "DELETE FROM ledger_outbox WHERE id = ANY(ARRAY(SELECT id FROM ledger_outbox ORDER BY id LIMIT %s))"
                " RETURNING id::text, event",
                [BATCH],
            ).fetchall()
            rows = self._append(sorted(waiting), frontier, now) if waiting else []
        self.has_room = before // PARTITION == frontier.size // PARTITION
        self._mirror(remembered, frontier, epoch, rows)
        return len(rows)

    def _read(self, remembered: Remembered | None) -> tuple[Frontier, int, datetime]:
        """The frontier, the epoch and the time of sequencing; refuses a database that is behind its mirror."""
        row = self.connection.execute(
            "SELECT size, hashes, root, greatest(clock_timestamp(), sequenced_at),"
            " (SELECT max(number) FROM ledger_epoch), (SELECT leaf_hash FROM ledger_leaf WHERE index = %s)"
            " FROM ledger_frontier",
            [remembered.size - 1 if remembered else -1],
        ).fetchone()
        assert row is not None
        size, hashes, root, now, epoch, last = row
        assert isinstance(size, int)
        assert isinstance(hashes, bytes)
        assert isinstance(root, bytes)
        assert isinstance(now, datetime)
        assert isinstance(epoch, int)
        known = last.hex() if isinstance(last, bytes) else None
        standing = compare(remembered, size=size, root=root.hex(), epoch=epoch, last=known)
        if standing.is_behind:
            raise BehindTheMirror(standing.sentence)
        return Frontier.unpacked(size, hashes), epoch, now

    def _append(self, waiting: Sequence[tuple[object, ...]], frontier: Frontier, now: datetime) -> list[_Row]:
        before = frontier.size
        events = [(str(key), _read_event(str(event), now)) for key, event in waiting]
        numbers = self._numbers(Counter(subject for _, event in events for subject in event.subjects))
        sequenced_at = leaf.timestamp(now)
        nonces = secrets.token_hex(leaf.NONCE_BYTES * len(events))
        rows = []
        for position, (key, event) in enumerate(events):
            entry = leaf.exact_bytes(
                Leaf(
                    action=event.action,
                    actor=event.actor,
                    at=event.at,
                    commitments=event.commitments,
                    facts=event.facts,
                    id=key,
                    nonce=nonces[2 * leaf.NONCE_BYTES * position : 2 * leaf.NONCE_BYTES * (position + 1)],
                    sequenced_at=sequenced_at,
                    subjects=[_next(numbers, subject) for subject in event.subjects],
                    v=1,
                )
            )
            rows.append(_Row(before + position, leaf_hash(entry), entry, event))
        frontier.extend(row.leaf_hash for row in rows)
        moved = self.connection.execute(
            "UPDATE ledger_frontier SET size = %s, hashes = %s, root = %s, sequenced_at = %s WHERE size = %s",
            [frontier.size, frontier.packed(), frontier.root(), now, before],
        )
        if moved.rowcount != 1:
            raise Overtaken(f"The ledger no longer has {before} leaves.")
        self._copy(rows)
        return rows

    def _numbers(self, counts: Counter[str]) -> dict[str, int]:
        """Reserve as many running numbers for each subject as it has mentions; subject → the first of them."""
        if not counts:
            return {}
        # In one order, so that two sequencers that should not both be there could at least not wait for each other.
        subjects = sorted(counts)
        rows = self.connection.execute(
            "INSERT INTO ledger_subject AS known (subject, last) SELECT * FROM unnest(%s::text[], %s::bigint[])"
            " ON CONFLICT (subject) DO UPDATE SET last = known.last + excluded.last RETURNING subject, last",
            [subjects, [counts[subject] for subject in subjects]],
        ).fetchall()
        return {str(subject): int(str(last)) - counts[str(subject)] + 1 for subject, last in rows}

    def _copy(self, rows: Sequence[_Row]) -> None:
        statement = "COPY ledger_leaf (index, leaf_hash, entry, action, actor, at, subjects) FROM STDIN (FORMAT BINARY)"
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(["int8", "bytea", "bytea", "text", "text", "timestamptz", "text[]"])
            for row in rows:
                event = row.event
                at = datetime.fromisoformat(event.at)
                copy.write_row((row.index, row.leaf_hash, row.entry, event.action, event.actor, at, event.subjects))

    def _mirror(self, known: Remembered | None, frontier: Frontier, epoch: int, rows: Sequence[_Row]) -> None:
        """Bring the mirror to what has been committed; where it was behind, from the leaves."""
        if known is not None and (known.size, known.epoch) == (frontier.size, epoch):
            return
        missed = self._said_between(known.size if known else 0, frontier.size - len(rows))
        said = ((row.index, row.entry) for row in rows if row.event.action in _MIRRORED)
        last = rows[-1].leaf_hash if rows else self._hash_of(frontier.size - 1)
        state = Remembered(v=1, epoch=epoch, size=frontier.size, root=frontier.root().hex(), last=last.hex())
        self.mirror.write(state, chain(missed, said))

    def _said_between(self, start: int, end: int) -> Iterator[Said]:
        """The mirrored leaves from index `start` up to, not including, `end`."""
        for chunk in range(start, end, _CHUNK):
            rows = self.connection.execute(
                "SELECT index, entry FROM ledger_leaf"
                " WHERE index >= %s AND index < %s AND action = ANY(%s) ORDER BY index",
                [chunk, min(chunk + _CHUNK, end), list(_MIRRORED)],
            )
            for index, entry in rows:
                assert isinstance(index, int)
                assert isinstance(entry, bytes)
                yield index, entry

    def _hash_of(self, index: int) -> bytes:
        row = self.connection.execute("SELECT leaf_hash FROM ledger_leaf WHERE index = %s", [index]).fetchone()
        return row[0] if row is not None and isinstance(row[0], bytes) else b""


def drain() -> int:
    """Make leaves of all that waits now, then return how many; waits for the lock if another sequencer is at work."""
    with Sequencer() as sequencer:
        _wait_for_lock(sequencer, threading.Event())
        made = 0
        while step := sequencer.step():
            made += step
        return made


def run(stop: threading.Event, *, connect: Connect = connect, mirror: Mirror | None = None) -> None:
    """Sequence until `stop` is set; comes back by itself after every loss of the database."""
    wait = PAUSE
    while not stop.is_set():
        try:
            with Sequencer(connect, mirror) as sequencer:
                _wait_for_lock(sequencer, stop)
                wait = PAUSE
                _keep_stepping(sequencer, stop)
        except (psycopg.OperationalError, psycopg.InterfaceError, Overtaken) as error:
            _log.warning("sequencer.interrupted", error=type(error).__name__, seconds=wait)
            stop.wait(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        except BehindTheMirror as error:
            _log.error("sequencer.database-behind-mirror", exc_info=error)
            stop.wait(_BEHIND_WAIT)


def _wait_for_lock(sequencer: Sequencer, stop: threading.Event) -> None:
    if not sequencer.try_lock():
        _log.info("sequencer.waiting-for-another-to-end")
        while not stop.wait(PAUSE) and not sequencer.try_lock():
            pass
    if not stop.is_set():
        _log.info("sequencer.started")


def _keep_stepping(sequencer: Sequencer, stop: threading.Event) -> None:
    while not stop.is_set():
        if sequencer.step() < BATCH:
            stop.wait(PAUSE)


def _next(numbers: dict[str, int], subject: str) -> Mention:
    number = numbers[subject]
    numbers[subject] = number + 1
    return Mention(subject, number)


def _read_event(text: str, now: datetime) -> _Event:
    """The event; of a row that is none of ours, one that says so, because a single bad row must not stop the log."""
    try:
        event = _decoder.decode(text)
        leaf.check_event(event.action, event.actor, event.at, event.subjects)
        leaf.check_values(event.facts, event.commitments)
        leaf.check_size(text.encode(), len(event.subjects))
        datetime.fromisoformat(event.at)
    except (msgspec.DecodeError, ValueError, RecursionError):
        facts: dict[str, object] = {"bytes": len(text.encode()), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return _Event("ledger.row-unreadable", "system:sequencer", leaf.timestamp(now), {}, facts, [])
    return event
