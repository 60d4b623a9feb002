"""A log that grows and is signed: what tests of checkpoints, tiles and restores stand on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from django.db import connections, transaction

from hub.ledger.last_signed import Known
from hub.ledger.record import Event, record_many
from hub.ledger.sequence import connect, drain
from hub.ledger.signer import Signer

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
_seconds = count()


def grow(leaves: int, *, about: tuple[str, ...] = ()) -> None:
    with transaction.atomic():
        events = [Event("statement.accepted", "partner:acme", NOON, about, facts={"n": n}) for n in range(leaves)]
        record_many(events)
    drain()


def sign(by: type[Signer] = Signer) -> Known:
    with by(connect) as one:
        signed = one.step(at=NOON + timedelta(seconds=next(_seconds)))
    assert signed is not None
    return signed


def leaf_hashes() -> list[bytes]:
    with connections["ledger"].cursor() as cursor:
        cursor.execute("SELECT leaf_hash FROM ledger_leaf ORDER BY index")
        return [bytes(row[0]) for row in cursor.fetchall()]
