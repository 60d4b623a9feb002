"""A ledger with something of everything in it, a log over it that signs by itself, and bundles made from both."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction

from hub.ledger.export.making import Beat, Log, Made, OpenValues, Order, make
from hub.ledger.export.query import Query
from hub.ledger.leaf import Json
from hub.ledger.record import Event, record_many
from hub.ledger.sequence import drain
from hub.ledger.tlog import merkle, note, tiles
from hub.ledger.tlog.checkpoint import Checkpoint

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
ORIGIN = "hub.example/ledger"
SIGNAL = "0191b7a4-0000-4000-8000-{:012d}"


@dataclass(frozen=True)
class Signed:
    note: bytes
    size: int


@dataclass
class OwnLog:
    """A log that signs what it is asked to, with keys of its own; nothing of it is kept."""

    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    exports_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sizes: list[int] = field(default_factory=list)  # of the checkpoints that were signed

    @property
    def signer(self) -> note.Signer:
        return note.Signer(ORIGIN, self.key)

    @property
    def exporter(self) -> note.Signer:
        return note.Signer("hub.example/exports", self.exports_key)

    def vkeys(self) -> list[str]:
        return [self.signer.key.vkey(), self.exporter.key.vkey()]

    def sign(self, size: int) -> Signed:
        root = merkle.root_of(_hashes(size))
        return Signed(note.sign(Checkpoint(ORIGIN, size, root).text(), [self.signer]), size)

    def log(self) -> Log:
        return Log(
            origin=ORIGIN,
            end=lambda: self.sign(self.sizes[-1]) if self.sizes else None,
            start=self._start,
            nodes=lambda size: tiles.nodes_from_tiles(_reader(size), size),
            vkeys=self.vkeys,
            policy=lambda: f"log {self.signer.key.vkey()}\nquorum none\n",
            sign=lambda text: note.sign(text, [self.exporter]),
        )

    def _start(self, size: int) -> Signed | None:
        before = [signed for signed in self.sizes if 0 < signed <= size]
        return self.sign(max(before)) if before else None


def _hashes(size: int) -> list[bytes]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT leaf_hash FROM ledger_reading WHERE index < %s ORDER BY index", [size])
        return [bytes(row[0]) for row in cursor.fetchall()]


def _reader(size: int) -> tiles.ReadTile:
    """Tiles made of the leaves' hashes, all at once."""
    levels = [_hashes(size)]
    while len(levels[-1]) >= 256:
        below = levels[-1]
        levels.append([merkle.root_of(below[at : at + 256]) for at in range(0, len(below) // 256 * 256, 256)])
    return lambda level, n, width: b"".join(levels[level][n * 256 : n * 256 + width])


def events(count: int, start: int = 0) -> Iterable[Event]:
    """Different things about a few partners and many signals, a second apart."""
    for number in range(start, start + count):
        at = NOON + timedelta(seconds=number)
        partner, signal = f"partner:{('acme', 'birch', 'cedar')[number % 3]}", f"signal:{SIGNAL.format(number // 4)}"
        subjects = (partner, signal, "programme:csea")
        match number % 5:
            case 0:
                private = {"payload_digest": b"%032d" % number}
                yield Event("statement.accepted", partner, at, subjects, {"line": 1}, private, (signal,))
            case 1:
                yield Event("statement.refused", partner, at, (partner,), {"code": ("schema", "expired")[number % 2]})
            case 2:
                facts: dict[str, Json] = {"count": number, "channel": "pull"}
                yield Event("feed.disclosed", partner, at, (partner, "programme:csea"), facts)
            case 3:
                yield Event("hold.approved", "staff:7", at, (signal,), {"reason": '=HYPERLINK("x")'})
            case _:
                yield Event("signal.withdrawn", partner, at, (signal, "programme:csea"))


def grow(count: int, start: int = 0) -> None:
    """So many more leaves."""
    with transaction.atomic():
        record_many(list(events(count, start)))
    drain()


def size_of_ledger() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT size FROM ledger_tree")
        return int(cursor.fetchone()[0])


def a_bundle(
    home: Path,
    query: Query,
    log: OwnLog,
    *,
    open_values: OpenValues | None = None,
    beat: Beat = lambda step, done, total: None,
    run: dict[str, Any] | None = None,
) -> Made:
    """The bundle of a query, in `home`/bundle.zip."""
    order = Order(query, run or {"asked_by": "staff:7", "reason": "a court asked"}, [("By", "staff:7")], open_values)
    return make(home, order, log.log(), beat=beat)


def unpacked(archive: Path, folder: Path) -> Path:
    """The same as a folder."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder
