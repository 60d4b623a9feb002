"""What goes wrong, by name: each fault is done to a running hub from outside and says when it was over."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGQUIT, SIGSTOP, Signals

import psycopg
import redis
from django.conf import settings

from hub.embedded.postgres import Postgres
from hub.running import PARTS
from tests.chaos.clocks import JUMP_SECONDS, LIBRARY
from tests.chaos.reading import MISBEHAVIOURS, Inbox, Puller
from tests.chaos.stage import Stage

RESUME_SECONDS = 30.0  # after kill -9 of any process
RESUME_AFTER_ENGINE_SECONDS = 60.0  # after the broker was wiped, the database restarted, or a clock jumped


@dataclass
class Trouble:
    """Everything a fault may strike, and how many have struck."""

    stage: Stage
    inboxes: list[Inbox]
    pullers: list[Puller]
    chance: random.Random
    lasting: list[threading.Timer] = field(default_factory=list)  # what ends a fault that lasts

    def strike(self, name: str) -> None:
        """Do it; some go on for a while after this returns."""
        FAULTS[name](self)

    def wait_for_end(self) -> None:
        """Until nothing lasts any more."""
        for timer in self.lasting:
            timer.join(30)
        self.lasting.clear()

    def later(self, seconds: float, end: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, end)
        timer.daemon = True
        self.lasting.append(timer)
        timer.start()

    # ------------------------------------------------------------ processes
    def kill(self, program: str, *, child: bool = False) -> None:
        """SIGKILL a program, or one of its children, waiting a little for one that is just being restarted."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            pid = self.stage.pid(program)
            family = children(pid) if pid and child else [pid] if pid else []
            if family and send_signal(self.chance.choice(family), SIGKILL):
                return
            time.sleep(0.1)
        self.stage.findings.say(f"{program} has not come back within 10 s, so it could not be killed again")

    # ------------------------------------------------------------ engines
    def wipe_broker(self) -> None:
        with contextlib.suppress(redis.RedisError, OSError):
            self.stage.valkey().flushall()

    def stop_broker(self) -> None:
        pid = self.stage.pid("valkey")
        if pid is not None and send_signal(pid, SIGSTOP):
            self.later(self.chance.uniform(1.0, 6.0), partial(send_signal, pid, SIGCONT))

    def restart_database(self) -> None:
        """As `pg_ctl restart -m immediate` does: no goodbye, then recovery from the log."""
        pid = self.stage.pid("postgres")
        if pid is not None:
            send_signal(pid, SIGQUIT)

    def end_sessions(self) -> None:
        with contextlib.suppress(psycopg.Error), Postgres(settings.HOME).bootstrap_connection() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )

    # ------------------------------------------------------------ clocks
    def jump(self, seconds: int) -> None:
        """Set the clock of every process of the hub, or of one program's, and soon after right again."""
        clocks = self.stage.clocks
        assert clocks is not None
        programs = PARTS if self.chance.random() < 0.5 else (self.chance.choice(PARTS),)
        clocks.set(programs, seconds)
        self.later(self.chance.uniform(2.0, 4.0), partial(clocks.set, programs, 0))

    # ------------------------------------------------------------ readers
    def break_receiver(self, how: str) -> None:
        inbox = self.chance.choice(self.inboxes)
        inbox.misbehave(how, applies=self.chance.random() < 0.5)
        self.later(self.chance.uniform(0.5, 4.0), inbox.recover)

    def restart_puller(self) -> None:
        self.chance.choice(self.pullers).restart.set()


def _killing(program: str, *, child: bool = False) -> Callable[[Trouble], None]:
    return lambda trouble: trouble.kill(program, child=child)


def _jumping(seconds: int) -> Callable[[Trouble], None]:
    return lambda trouble: trouble.jump(seconds)


def _breaking(how: str) -> Callable[[Trouble], None]:
    return lambda trouble: trouble.break_receiver(how)


CLOCKS = {"clock ahead": _jumping(JUMP_SECONDS), "clock back": _jumping(-JUMP_SECONDS)}
FAULTS: dict[str, Callable[[Trouble], None]] = {
    "kill web": _killing("web"),
    "kill web child": _killing("web", child=True),
    "kill worker": _killing("worker"),
    "kill worker child": _killing("worker", child=True),
    "kill deliverer": _killing("deliverer"),
    "kill deliverer child": _killing("deliverer", child=True),
    "kill beat": _killing("beat"),
    "kill sequencer": _killing("sequencer"),
    "kill broker": _killing("valkey"),
    "wipe broker": Trouble.wipe_broker,
    "stop broker": Trouble.stop_broker,
    "restart database": Trouble.restart_database,
    "end sessions": Trouble.end_sessions,
    **{f"receiver {how}": _breaking(how) for how in MISBEHAVIOURS},
    "restart reader": Trouble.restart_puller,
    **(CLOCKS if LIBRARY is not None else {}),
}
_OF_ENGINES = {"kill broker", "wipe broker", "stop broker", "restart database", "end sessions", *CLOCKS}


def schedule(chance: random.Random, count: int, *, only: str = "") -> list[list[str]]:
    """Volleys of one to three faults, `count` in all; each kind (that holds `only`) comes once before any again."""
    kinds = sorted(name for name in FAULTS if only in name)
    names: list[str] = []
    while len(names) < count:
        names += chance.sample(kinds, len(kinds))
    volleys, names = [], names[:count]
    while names:
        size = chance.choice((1, 1, 2, 3))
        volleys.append(names[:size])
        names = names[size:]
    return volleys


def bound(volley: list[str]) -> float:
    """Within how many seconds work must go on."""
    return RESUME_AFTER_ENGINE_SECONDS if _OF_ENGINES.intersection(volley) else RESUME_SECONDS


def children(pid: int) -> list[int]:
    """The process ids of a process's children that live now."""
    try:
        return [
            int(word)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()
        ]
    except OSError:
        return []


def with_children(pid: int | None) -> list[int]:
    """A process and its children; nothing when it does not run."""
    return [] if pid is None else [pid, *children(pid)]


def send_signal(pid: int, number: Signals) -> bool:
    """Send it; False when there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
