"""Write down what happened, in its own transaction: an outbox row an event, of which the sequencer makes a leaf."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from django.db import connection
from django.db.transaction import TransactionManagementError

from hub.ledger import leaf
from hub.ledger.actions import ACTIONS
from hub.ledger.leaf import Json

_INSERT = "INSERT INTO ledger_outbox (id, event) VALUES (%s, %s)"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    `actor` is who did it ("partner:acme-social", "staff:7", "system:publisher"), `subjects` what it was done to
    ("signal:<uuid>"), `facts` closed values that name nobody, `private` values kept only as salted commitments, and
    `private_about` those subjects whose erasure closes the commitments (none named: any of the subjects).
    """

    action: str
    actor: str
    at: datetime
    subjects: tuple[str, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)
    private: Mapping[str, str | bytes] = field(default_factory=dict)
    private_about: tuple[str, ...] = ()


def record(
    action: str,
    *,
    actor: str,
    at: datetime,
    subjects: Iterable[str] = (),
    facts: Mapping[str, Json] | None = None,
    private: Mapping[str, str | bytes] | None = None,
) -> None:
    """Record one event; see record_many."""
    record_many([Event(action, actor, at, tuple(subjects), facts or {}, private or {})])


def record_many(events: Sequence[Event]) -> None:
    """Add one outbox row per event by a single COPY, in the caller's transaction on the default connection.

    Raises TransactionManagementError outside a transaction, ValueError for an action that ACTIONS does not name and for
    a malformed actor or subject, and leaf.NotALeaf (a ValueError) for facts that have no canonical form or are too
    large for a leaf. The salts of `private` values go to the salt table.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("An event is recorded in the transaction of what happened; there is none.")
    if not events:
        return
    ids = _ids(len(events))
    salts: list[str] = []
    documents = [_document(event, key, salts) for key, event in zip(ids, events, strict=True)]
    if len(documents) == 1:  # one round trip, where COPY takes two
        _insert(ids[0], documents[0])
    else:
        rows = "".join([f"{key}\t{document}\n" for key, document in zip(ids, documents, strict=True)])
        _copy("COPY ledger_outbox (id, event) FROM STDIN", rows.replace("\\", "\\\\"))
    if salts:
        _copy("COPY ledger_salt (event, field, subject, salt) FROM STDIN", "".join(salts))


def erase_salts(subjects: Sequence[str]) -> int:
    """Forget the salts of everything private that was recorded about any of these subjects; returns how many rows went.

    An event's salts go whole, also where another subject shares it: what can still be opened is not erased.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM ledger_salt WHERE event IN (SELECT event FROM ledger_salt WHERE subject = ANY(%s))",
            [list(subjects)],
        )
        return int(cursor.rowcount)


def _document(event: Event, key: str, salts: list[str]) -> str:
    """The event as canonical JSON; adds the rows of its salts to `salts`."""
    if event.action not in ACTIONS:
        raise ValueError(f"{event.action!r} is no action of the ledger; hub/ledger/actions.py names them all.")
    at = leaf.timestamp(event.at)
    subjects = list(dict.fromkeys(event.subjects))
    leaf.check_event(event.action, event.actor, at, subjects)
    leaf.check(event.facts, depth=1)  # the rest is ours, and has the form it must have
    document = leaf.exact_bytes(
        {
            "action": event.action,
            "actor": event.actor,
            "at": at,
            "commitments": _commit(event, subjects, key, salts) if event.private else {},
            "facts": event.facts,
            "subjects": subjects,
        }
    )
    leaf.check_size(document, len(subjects))
    return document.decode()


def _commit(event: Event, subjects: list[str], key: str, salts: list[str]) -> dict[str, str]:
    about = event.private_about or subjects
    if not about or not set(about) <= set(subjects):
        raise ValueError("A private value is about a subject of its event: otherwise nobody could ever erase it.")
    commitments = {}
    for name, value in event.private.items():
        if not name.isidentifier():
            raise ValueError("A private value's name is an identifier.")
        salt = secrets.token_bytes(leaf.SALT_BYTES)
        commitments[name] = leaf.commitment(salt, name, value)
        salts += [f"{key}\t{name}\t{subject}\t\\\\x{salt.hex()}\n" for subject in about]
    return commitments


def _insert(key: str, document: str) -> None:
    # psycopg's own cursor: nearly every transaction of the hub comes by here, and Django's takes three times as long.
    with connection.wrap_database_errors:
        psycopg.Cursor(connection.connection).execute(_INSERT, (key, document))


def _copy(statement: str, rows: str) -> None:
    # Django translates the errors of `execute` only: a database that goes away in a COPY must be known as just that.
    with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(rows)


_newest = 0  # the time part of the last id given out by this process
_giving_out = threading.Lock()


def _ids(count: int) -> list[str]:
    """UUIDs of version 7 (RFC 9562 §5.7, method 3) that rise within this process: the queue's order, and no fact."""
    global _newest  # noqa: PLW0603  rising ids need the last one
    nanoseconds = time.time_ns()
    now = (nanoseconds // 1_000_000) << 12 | (nanoseconds % 1_000_000) * 4096 // 1_000_000
    with _giving_out:
        first = max(now, _newest + 1)
        _newest = first + count - 1
    chance = secrets.token_bytes(8 * count)
    return [_layout(first + i, int.from_bytes(chance[8 * i : 8 * i + 8], "big")) for i in range(count)]


def _layout(stamp: int, chance: int) -> str:
    """48 bits of milliseconds, version 7, 12 bits of the millisecond's fraction, variant 10, 62 bits of chance."""
    when, tail = stamp >> 12, 0b10 << 62 | chance >> 2  # by hand: uuid.UUID would take a third of an event's time
    return f"{when >> 16:08x}-{when & 0xFFFF:04x}-7{stamp & 0xFFF:03x}-{tail >> 48:04x}-{tail & 0xFFFFFFFFFFFF:012x}"
