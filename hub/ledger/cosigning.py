"""Collect cosignatures: witnesses are asked about each new checkpoint, what they sign is kept, nothing waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import psycopg
import structlog

from hub.ledger import checkpoints, tree, witnesses
from hub.ledger.tile_store import StoreAway
from hub.ledger.tlog import policy
from hub.ledger.tlog.policy import NotAPolicy

PAUSE = 1.0  # seconds between looks for a new checkpoint
AGAIN = 10.0  # and until those are asked again that did not cosign the one at hand
_LOCK = 0x68656C696F04
_LONGEST_WAIT = 30.0

Connect: TypeAlias = Callable[[], "psycopg.Connection[tuple[object, ...]]"]
_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Collector:
    """One session that keeps cosignatures. A second one beside it would only ask twice: each line is kept once."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self.connection = connection
        self.known = self._cosigned_sizes()
        self.asked: tuple[object, float] = (None, 0.0)  # about which checkpoint last, and when by the monotonic clock

    def try_lock(self) -> bool:
        """Whether this session now is the one that asks for its database."""
        return self.connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() == (True,)

    def step(self) -> int:
        """Ask whoever has not cosigned the newest checkpoint, unless asked just now; returns how many did.

        The policy's file is read anew each time, so that a witness joins without a restart. Raises NotAPolicy,
        OSError where its file cannot be read, StoreAway, psycopg's errors.
        """
        newest = self._newest()
        if newest is None:
            return 0
        number, note = newest
        if self.asked[0] == number and time.monotonic() - self.asked[1] < AGAIN:
            return 0
        self.asked = (number, time.monotonic())
        done = self._done(number)
        lacking = [each for each in policy.parse(checkpoints.policy_text()).witnesses if each.name not in done]
        found = witnesses.ask(note, lacking, tree.consistency, self.known)
        for each in found:
            self.connection.execute(
                "INSERT INTO ledger_cosignature (checkpoint_id, witness, line, cosigned_at) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                [number, each.witness, each.line.line(), datetime.fromtimestamp(each.at_unix, UTC)],
            )
        return len(found)

    def _newest(self) -> tuple[int, bytes] | None:
        row = self.connection.execute(
            "SELECT id, note FROM ledger_checkpoint WHERE origin = %s ORDER BY id DESC LIMIT 1", [checkpoints.origin()]
        ).fetchone()
        if row is None:
            return None
        number, note = row
        assert isinstance(number, int)
        assert isinstance(note, bytes)
        return number, note

    def _done(self, number: int) -> set[object]:
        query = "SELECT witness FROM ledger_cosignature WHERE checkpoint_id = %s"
        return {witness for (witness,) in self.connection.execute(query, [number])}

    def _cosigned_sizes(self) -> dict[str, int]:
        rows = self.connection.execute(
            "SELECT witness, max(size) FROM ledger_cosignature c JOIN ledger_checkpoint p ON p.id = c.checkpoint_id"
            " WHERE p.origin = %s GROUP BY witness",
            [checkpoints.origin()],
        )
        return {str(witness): int(str(size)) for witness, size in rows}


def run(stop: threading.Event, *, connect: Connect) -> None:
    """Collect until `stop` is set; comes back by itself after whatever went wrong, since nobody would miss a thread."""
    wait = PAUSE
    while not stop.is_set():
        try:
            with connect() as connection:
                collector = Collector(connection)
                is_the_one = False
                while not stop.wait(PAUSE):
                    is_the_one = is_the_one or collector.try_lock()
                    if is_the_one:
                        collector.step()
                    wait = PAUSE
        except (psycopg.OperationalError, psycopg.InterfaceError, StoreAway) as error:
            _log.warning("cosigning.interrupted", error=type(error).__name__, seconds=wait)
        except (NotAPolicy, OSError) as error:
            _log.error("cosigning.policy-unreadable", exc_info=error)
            wait = _LONGEST_WAIT
        except Exception as error:  # noqa: BLE001  told, and tried again
            _log.error("cosigning.failed", exc_info=error)
            wait = _LONGEST_WAIT
        stop.wait(wait)
        wait = min(wait * 2, _LONGEST_WAIT)
