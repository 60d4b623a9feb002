"""The sequencer: every event becomes one leaf, in order, whoever dies and whatever else is in the outbox."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connections, transaction

from hub.ledger import sequence
from hub.ledger.mirror import Mirror, Remembered
from hub.ledger.record import Event, record, record_many
from hub.ledger.sequence import Overtaken, Sequencer, connect, drain
from tests.cluster import postgres
from tests.ledger.conftest import leaves

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
ACME = "partner:acme-social"
GOOD = (
    '{"action":"signal.expired","actor":"system:x","at":"2026-11-03T12:00:00.000000Z","commitments":{},'
    '"facts":{},"subjects":[]}'
)


def happen(count: int, action: str = "statement.accepted") -> None:
    with transaction.atomic():
        record_many([Event(action, ACME, NOON, (ACME, f"signal:s{n % 3}"), {"n": n}) for n in range(count)])


def run_in_thread(stop: threading.Event, mirror: Mirror) -> threading.Thread:
    thread = threading.Thread(target=sequence.run, args=(stop,), kwargs={"mirror": mirror})
    thread.start()
    return thread


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def size() -> int:
    with connections["ledger"].cursor() as cursor:
        cursor.execute("SELECT size FROM ledger_frontier")
        return int(cursor.fetchone()[0])


def test_events_become_leaves_in_order_with_running_numbers(ledger: Mirror) -> None:
    before = size()
    happen(7)
    assert drain() == 7
    made = leaves(before)
    assert [leaf.facts for leaf in made] == [{"n": n} for n in range(7)]
    first = made[0].subjects[0].n
    assert [leaf.subjects[0].n for leaf in made] == list(range(first, first + 7))
    assert len({leaf.nonce for leaf in made}) == 7
    assert drain() == 0


def test_a_backlog_larger_than_a_batch_keeps_its_order(ledger: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "BATCH", 10)
    before = size()
    happen(35)
    assert drain() == 35
    assert [leaf.facts["n"] for leaf in leaves(before)] == list(range(35))


def test_what_commits_late_is_not_lost(ledger: Mirror) -> None:
    before = size()
    with psycopg.connect(_url("default")) as late:
        late.execute(
            "INSERT INTO ledger_outbox (id, event) VALUES ('01900000-0000-7000-8000-000000000000', %s)",
            [GOOD],
        )
        happen(1)
        assert drain() == 1
    assert drain() == 1
    assert [leaf.action for leaf in leaves(before)] == ["statement.accepted", "signal.expired"]


@pytest.mark.parametrize(
    "row",
    [
        "",
        "no JSON",
        "[" * 100_000,
        GOOD.replace('"facts":{}', '"facts":{"n":0.5}'),
        GOOD.replace('"facts":{}', '"facts":{"n":"' + "x" * 70_000 + '"}'),
        GOOD.replace("signal.expired", "signal.\\u0000"),
        GOOD.replace("system:x", "nobody"),
        GOOD.replace('"subjects":[]', '"subjects":["x"]'),
        GOOD.replace('"commitments":{}', '"commitments":{"value":"x"}'),
        GOOD.replace("2026-11-03", "2026-13-03"),
        GOOD.replace('"facts":{}', '"facts":{},"more":1'),
    ],
)
def test_a_row_that_is_no_event_is_named_and_stops_nothing(ledger: Mirror, row: str) -> None:
    before = size()
    happen(1)
    with connections["default"].cursor() as cursor:
        cursor.execute("INSERT INTO ledger_outbox (id, event) VALUES (gen_random_uuid(), %s)", [row])
    happen(1)
    assert drain() == 3
    actions = sorted(leaf.action for leaf in leaves(before))
    assert actions == ["ledger.row-unreadable", "statement.accepted", "statement.accepted"]


def test_a_second_sequencer_waits_and_takes_over(ledger: Mirror) -> None:
    before = size()
    with Sequencer() as first:
        assert first.try_lock()
        stop = threading.Event()
        thread = run_in_thread(stop, ledger)
        happen(5)
        time.sleep(0.6)
        assert size() == before, "the second one worked while the first held the lock"
        assert first.step() == 5
        happen(5)
    until(lambda: size() == before + 10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    leaves()


def test_an_overtaken_sequencer_writes_nothing(ledger: Mirror) -> None:
    """Two at work at once can only be a bug; the fence keeps even that from doubling an index."""
    before = size()

    class Slow(Sequencer):
        def _read(self, remembered: Remembered | None) -> Any:
            known = super()._read(remembered)
            happen(2)
            with Sequencer() as other:
                assert other.step() == 2
            happen(3)
            return known

    with Slow() as slow, pytest.raises(Overtaken):
        slow.step()
    assert size() == before + 2
    assert drain() == 3
    leaves()


def test_it_comes_back_after_postgresql_was_restarted(ledger: Mirror) -> None:
    before = size()
    stop = threading.Event()
    thread = run_in_thread(stop, ledger)
    happen(3)
    until(lambda: size() == before + 3)
    connections.close_all()
    postgres.stop()
    time.sleep(0.5)
    postgres.start()
    happen(3)
    until(lambda: size() == before + 6)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    leaves()


# ---------------------------------------------------------------- kill -9
class Mortal(psycopg.Cursor[Any]):
    """A cursor whose process dies by kill -9 once it has run so many statements."""

    left = 0

    def execute(self, *args: Any, **kwargs: Any) -> Mortal:
        _die_at_zero()
        super().execute(*args, **kwargs)
        return self

    @contextmanager
    def copy(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
        _die_at_zero()
        with super().copy(*args, **kwargs) as copy:
            yield copy


def _die_at_zero() -> None:
    if Mortal.left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    Mortal.left -= 1


class DyingMirror(Mirror):
    """Dies when the leaves have been committed and the mirror has not been written."""

    def write(self, state: Remembered, leaves: Any) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(state)


class HalfMirror(Mirror):
    """Dies in the middle of a line of the journal."""

    def write(self, state: Remembered, leaves: Any) -> NoReturn:
        index, entry = next(iter(leaves))
        with self.journal_file.open("ab") as file:
            file.write(b"%d %s" % (index, entry[:40]))
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(state)


def kill_a_child(mirror: Mirror, statements: int) -> int:
    """Fork a sequencer that dies after so many statements of its first step; returns the signal it died of, or 0."""
    child = os.fork()
    if child == 0:
        try:
            connection = connect()
            connection.cursor_factory = Mortal
            sequencer = Sequencer(lambda: connection, mirror)
            Mortal.left = statements
            sequencer.try_lock()
            sequencer.step()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def test_killed_after_any_statement_it_loses_and_doubles_nothing(ledger: Mirror) -> None:
    before, expected, deaths = size(), 0, 0
    connections.close_all()
    for statements in range(20):
        happen(4)
        expected += 4
        connections.close_all()
        if kill_a_child(ledger, statements) == 0:
            break
        deaths += 1
    assert deaths >= 7, "lock, room, read, delete, number, copy, move"
    drain()
    made = leaves(before)
    assert len(made) == expected
    assert [leaf.facts["n"] for leaf in made] == [0, 1, 2, 3] * (expected // 4)


@pytest.mark.parametrize("kind", [DyingMirror, HalfMirror])
def test_killed_before_the_mirror_is_written_it_catches_up_from_the_leaves(ledger: Mirror, kind: type[Mirror]) -> None:
    before = size()
    happen(2, "signal.withdrawn")
    connections.close_all()
    assert kill_a_child(kind(), 100) == signal.SIGKILL
    assert size() == before + 2
    remembered = ledger.read()
    assert remembered is not None
    assert remembered.size == before
    happen(1, "signal.withdrawn")
    happen(1)
    drain()
    assert [index for index, _ in ledger.journal(before)] == [before, before + 1, before + 2]


@pytest.mark.races
def test_the_command_killed_again_and_again_under_load_loses_and_doubles_nothing(ledger: Mirror) -> None:
    before = size()
    stop = threading.Event()
    recorded = 0

    def load() -> None:
        nonlocal recorded
        try:
            while not stop.is_set():
                happen(10, "signal.withdrawn")
                recorded += 10
                stop.wait(0.02)
        finally:
            connections.close_all()

    thread = threading.Thread(target=load)
    thread.start()
    environment = os.environ | {
        "HELIOGRAPH_LEDGER_DATABASE_URL": _url("ledger"),
        "HELIOGRAPH_MIRROR_DIR": str(ledger.folder),
        "HELIOGRAPH_LEDGER_DIR": str(ledger.folder.with_name("tiles")),
        "HELIOGRAPH_LOG_FORMAT": "json",
    }
    for life in range(3):
        reached = size()
        child = subprocess.Popen(
            [sys.executable, "manage.py", "sequence"],
            cwd=settings.BASE_DIR,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda reached=reached: size() > reached, seconds=60)  # type: ignore[misc]  # the loop's value is meant
        time.sleep(0.13 * life)
        child.send_signal(signal.SIGTERM if life == 2 else signal.SIGKILL)
        assert child.wait(20) == (0 if life == 2 else -signal.SIGKILL)
    stop.set()
    thread.join(20)
    drain()
    assert len(leaves(before)) == recorded
    assert [index for index, _ in ledger.journal(before)] == list(range(before, before + recorded))


def test_once_makes_leaves_and_stops(ledger: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    from django.core.management import call_command

    with transaction.atomic():
        record("signal.withdrawn", actor=ACME, at=NOON)
    call_command("sequence", "--once")
    assert capsys.readouterr().out == f"Made 1 leaves, signed a checkpoint of {size()}.\n"


def _parameters(alias: str) -> dict[str, str]:
    known = connections[alias].settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return {name: str(known[key]) for name, key in names.items()}


def _url(alias: str) -> str:
    of = _parameters(alias)
    return f"postgresql://{of['user']}:{quote(of['password'])}@{quote(of['host'], safe='')}/{of['dbname']}"
