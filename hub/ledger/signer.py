"""The signer: checkpoints of the tree, none of which ever contradicts another, whatever is killed or restored.

The order makes each half-done step harmless. Tiles first: nobody asks for tiles that no checkpoint needs. Then the
proof that the tree continues the last one signed, the signature, and at once the file beside the mirror: from then on
no restored database can lead to another history. Then the same beside the tiles, and the row, by which it is published;
a signer that was killed before finds the file and writes the row. Witnesses are asked last, and nothing waits for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import psycopg
import structlog
from django.conf import settings

from hub.ledger import checkpoints, tree
from hub.ledger.last_signed import Known, LastSigned
from hub.ledger.mirror import Mirror
from hub.ledger.tile_store import CHECKPOINT, StoreAway, TileLacking, TileStore, tile_store
from hub.ledger.tile_writer import TileWriter
from hub.ledger.tlog.checkpoint import Checkpoint
from hub.ledger.tlog.note import Signer as NoteSigner
from hub.ledger.tlog.note import sign
from hub.ledger.tlog.proofs import NotProven, check_consistency
from hub.ledger.tlog.tiles import NotATile
from hub.vault import checkpoint_keys

PAUSE = 0.25  # seconds between looks at the tree
_LOCK = 0x68656C696F06
_LONGEST_WAIT = 5.0  # seconds between attempts after a loss of the database or the store
_REFUSED_WAIT = 30.0  # and where a person must act
_LOCK_WAIT = 1.0

Connect: TypeAlias = Callable[[], "psycopg.Connection[tuple[object, ...]]"]
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class MustNotSign(RuntimeError):
    """Signing would contradict a checkpoint that was signed before; the message says what to do."""


class Signer:
    """One session that holds the signer's lock. `with Signer(connect) as signer:` then `signer.step()` for ever."""

    def __init__(
        self,
        connect: Connect,
        *,
        mirror: Mirror | None = None,
        last: LastSigned | None = None,
        store: TileStore | None = None,
    ) -> None:
        self.connection = connect()
        self.mirror = mirror or Mirror()
        self.last = last or LastSigned(self.mirror.folder)
        self.store = store or tile_store()
        self.writer = TileWriter(self.connection, self.store)
        self.signed: float | None = None  # when this process signed last, by the monotonic clock
        self.is_settled = False

    def __enter__(self) -> Signer:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def try_lock(self) -> bool:
        """Whether this session now is the one signer of its database."""
        return self.connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() == (True,)

    def step(self, *, at: datetime) -> Known | None:
        """Sign the tree as it is if that is due; returns what was signed and published.

        Raises MustNotSign, LeavesGone, Contradiction (each until a person has acted), StoreAway, psycopg's errors;
        after any of them nothing was signed, or what was signed is known for ever and will be published next time.
        """
        if not self.is_settled:
            self._settle()
            self.is_settled = True
        known = self.last.read()
        size, root = self._tree()
        if not self._is_due(known, size):
            return None
        if known is not None and size < known.size:
            raise MustNotSign(behind(known.size, size))
        try:
            with self.last.lock():
                if self.last.read() != known:
                    return None
                self.writer.write(size, published=known.size if known else 0)
                signed = self._sign(known, size, root, at=at)
        except TileLacking:
            self.writer.doubt()
            raise
        except (NotProven, NotATile) as why:
            raise MustNotSign(
                f"The ledger of {size} leaves does not continue the last checkpoint that was signed: {why} Leaves were"
                " changed, or the database is another one. Nothing is signed until the right database is back."
            ) from why
        is_beside_tiles = self._put_beside_tiles(signed)
        self._publish(signed)
        self.signed = time.monotonic()
        if is_beside_tiles:
            self._tidy(known, signed)
        return signed

    def _tree(self) -> tuple[int, bytes]:
        row = self.connection.execute("SELECT size, root FROM ledger_frontier").fetchone()
        assert row is not None
        size, root = row
        assert isinstance(size, int)
        assert isinstance(root, bytes)
        return size, root

    def _is_due(self, known: Known | None, size: int) -> bool:
        """Whether the tree has grown and it is time, or nothing was signed for long. Never of an empty tree.

        What the mirror does not know yet waits for the sequencer, which is about to tell it.
        """
        remembered = self.mirror.read()
        if size == 0 or remembered is None or remembered.size < size:
            return False
        since = float("inf") if self.signed is None else time.monotonic() - self.signed
        has_grown = known is None or known.size != size
        return since >= (settings.CHECKPOINT_SECONDS if has_grown else settings.CHECKPOINT_IDLE_SECONDS)

    def _sign(self, known: Known | None, size: int, root: bytes, *, at: datetime) -> Known:
        """Prove, sign, and keep what was signed; only while holding the lock of the last one."""
        if tree.frontier(size, within=size, store=self.store).root() != root:
            raise NotProven("The tiles have another root than the database.")
        if known is not None:
            proof = tree.consistency(known.size, size, self.store)
            check_consistency(known.size, size, proof, known.root, root)
        text = Checkpoint(checkpoints.origin(), size, root).text()
        keys = [NoteSigner(checkpoints.origin(), key.private_key) for key in checkpoint_keys.signers()]
        # Rows are told apart by their time: a clock that was set back makes no earlier one.
        signed_at = max(at, known.signed_at + timedelta(microseconds=1)) if known else at
        signed = Known(sign(text, keys), size, root, signed_at)
        self.last.write(signed)
        return signed

    def _settle(self) -> None:
        """Publish what was signed by a signer that was killed before it could; look for it where the file is lost."""
        known = self.last.read()
        if known is None:
            known = self.last.recall(self.store, *self._published())
            if known is not None:
                with self.last.lock():
                    self.last.write(known)
        elif self._tree()[0] >= known.size:
            self._publish(known)

    def _published(self) -> list[Known]:
        rows = self.connection.execute(
            "SELECT note, signed_at FROM ledger_checkpoint WHERE origin = %s ORDER BY id DESC LIMIT 1",
            [checkpoints.origin()],
        )
        found = []
        for note, signed_at in rows:
            assert isinstance(note, bytes)
            assert isinstance(signed_at, datetime)
            found.append(Known.of(note, signed_at=signed_at))
        return found

    def _publish(self, signed: Known) -> None:
        self.connection.execute(
            "INSERT INTO ledger_checkpoint (origin, size, root, note, signed_at) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (signed_at) DO NOTHING",
            [checkpoints.origin(), signed.size, signed.root, signed.note, signed.signed_at],
        )

    def _put_beside_tiles(self, signed: Known) -> bool:
        """Before others see it, for whoever loses mirror and database at once; it may fail, and the next one comes."""
        try:
            self.store.replace(CHECKPOINT, signed.note)
        except StoreAway as error:
            _log.warning("signer.store-away", error=type(error.__cause__ or error).__name__)
            return False
        return True

    def _tidy(self, before: Known | None, signed: Known) -> None:
        """What may fail without harm: it is done again with the next checkpoint."""
        try:
            if before is not None:
                self.writer.drop_partials(before.size, signed.size)
        except StoreAway as error:
            _log.warning("signer.store-away", error=type(error.__cause__ or error).__name__)


def behind(signed: int, size: int) -> str:
    """The sentence for a database that has fewer leaves than a checkpoint that was signed."""
    return (
        f"A checkpoint of {signed} leaves was signed, and the database has {size}: it was restored from a backup."
        " Run `manage.py restored`, which brings the leaves back from the tiles; nothing is signed until then."
    )


def run(stop: threading.Event, *, connect: Connect, mirror: Mirror | None = None) -> None:
    """Sign until `stop` is set; comes back by itself after whatever went wrong, since nobody would miss a thread."""
    wait = PAUSE
    while not stop.is_set():
        try:
            with Signer(connect, mirror=mirror) as signer:
                while not signer.try_lock():
                    if stop.wait(_LOCK_WAIT):
                        return
                while not stop.wait(PAUSE):
                    signer.step(at=datetime.now(UTC))
                    wait = PAUSE
        except (psycopg.OperationalError, psycopg.InterfaceError, StoreAway) as error:
            _log.warning("signer.interrupted", error=type(error.__cause__ or error).__name__, seconds=wait)
            stop.wait(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        except Exception as error:  # noqa: BLE001  told, and tried again: checkpoints that stop must not stop for good
            _log.error("signer.refuses", exc_info=error)
            stop.wait(_REFUSED_WAIT)
