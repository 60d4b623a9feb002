"""Run several programs as one: start in steps, restart with back-off, hand on what they print, stop in reverse."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from signal import SIGKILL, SIGTERM, Signals
from typing import IO, Literal

from hub.embedded import keeper
from hub.embedded.tether import tethered

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 30.0  # seconds before a restart; doubled each time
_STEADY_SECONDS = 30.0  # whoever ran this long starts again at the first pause


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and how to end it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] | None = None  # all of it; None: ours
    account: tuple[int, int] | None = None  # (uid, gid) to run as; None: ours
    before_start: Callable[[], None] | None = None  # clears what a killed one left behind; called at every restart
    stop_signal: Signals = SIGTERM
    grace_seconds: float = 15.0  # between the stop signal and the kill


@dataclass(frozen=True, slots=True)
class Line:
    """One line for the log: what a program printed, or what the supervisor saw happen to it."""

    program: str
    text: str
    kind: Literal["printed", "started", "stopped", "died", "killed"]
    facts: Mapping[str, int | float | str] = field(default_factory=dict)


class Supervisor:
    """A context manager; leaving it, or this process being killed, even by SIGKILL, leaves no program running."""

    def __init__(self, on_line: Callable[[Line], None]) -> None:
        self._on_line = on_line
        self._steps: list[list[_Ward]] = []
        self._keeper: subprocess.Popen[str] | None = None
        self._telling = threading.Lock()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *programs: Program) -> None:
        """Start the programs as one step, at once; steps are stopped in the reverse of this order."""
        if self._keeper is None:
            command = [sys.executable, "-I", "-S", os.path.abspath(keeper.__file__)]
            self._keeper = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True, cwd="/")
        wards = [_Ward(program, self._on_line, self._tell_keeper) for program in programs]
        self._steps.append(wards)
        for ward in wards:
            ward.start()

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop every step, the last started first; `hurry` is asked while waiting and ends the grace when true."""
        for step in reversed(self._steps):
            for ward in step:
                ward.ask_to_stop()
            for ward in step:
                ward.wait_for_end(hurry)
        self._steps.clear()
        if self._keeper is not None and self._keeper.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._keeper.stdin.close()
            self._keeper.wait()
            self._keeper = None

    def pids(self) -> dict[str, int | None]:
        """The process id of each program now; None between death and restart."""
        return {ward.program.name: ward.pid for step in self._steps for ward in step}

    def _tell_keeper(self, message: str) -> None:
        with self._telling, contextlib.suppress(BrokenPipeError, ValueError):
            pipe = self._keeper.stdin if self._keeper is not None else None
            if pipe is not None:
                pipe.write(message + "\n")
                pipe.flush()


class _Ward:
    """One program and the thread that starts it: that thread outlives it, as the death signal of Linux demands."""

    def __init__(self, program: Program, on_line: Callable[[Line], None], tell_keeper: Callable[[str], None]) -> None:
        self.program = program
        self.pid: int | None = None
        self._on_line = on_line
        self._tell_keeper = tell_keeper
        self._is_stopping = threading.Event()
        self._has_ended = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"supervise-{program.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        with self._lock:
            self._is_stopping.set()
            if self.pid is not None:
                _signal(os.kill, self.pid, self.program.stop_signal)

    def wait_for_end(self, hurry: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.program.grace_seconds
        while not self._has_ended.wait(0.1):
            if time.monotonic() > deadline or hurry():
                with self._lock:
                    if self.pid is not None:
                        self._say("killed", "did not stop in time and was killed")
                        _signal(os.killpg, self.pid, SIGKILL)
                self._has_ended.wait(10)
                break
        self._thread.join(10)

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        try:
            while not self._is_stopping.is_set():
                began = time.monotonic()
                how = self._run_once()
                lived = time.monotonic() - began
                if self._is_stopping.is_set():
                    self._say("stopped", "stopped", seconds=round(lived, 1))
                    return
                pause = _FIRST_PAUSE if lived > _STEADY_SECONDS else pause
                self._say("died", f"{how} after {lived:.1f} s; starts again in {pause:g} s", seconds=round(lived, 1))
                self._is_stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._has_ended.set()

    def _run_once(self) -> str:
        """Start it, wait for its end and for the end of its children; says how it ended."""
        program = self.program
        try:
            if program.before_start is not None:
                program.before_start()
            with self._lock:
                if self._is_stopping.is_set():
                    return "not started"
                command = tethered(program.command, on_parents_death=program.stop_signal, account=program.account)
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=program.environment,
                    start_new_session=True,
                )
                self.pid = process.pid
        except (OSError, RuntimeError) as error:
            return f"could not start ({error})"
        self._tell_keeper(f"+{process.pid}")
        self._say("started", "started", pid=process.pid)
        assert process.stdout is not None
        reader = threading.Thread(target=self._hand_on, args=(process.stdout,), daemon=True)
        reader.start()
        code = process.wait()
        with self._lock:
            self.pid = None
        _signal(os.killpg, process.pid, SIGKILL)  # its children, if it was killed before it could end them
        reader.join(5)
        self._tell_keeper(f"-{process.pid}")
        return f"was killed by {Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _hand_on(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in stream:
                text = raw.decode("utf-8", errors="replace").rstrip()
                if text:
                    self._on_line(Line(self.program.name, text, "printed"))

    def _say(self, kind: Literal["started", "stopped", "died", "killed"], text: str, **facts: float) -> None:
        self._on_line(Line(self.program.name, text, kind, facts))


def _signal(send: Callable[[int, int], None], target: int, signal: Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(target, signal)


def wait_until(
    is_ready: Callable[[], bool], *, seconds: float, is_given_up: Callable[[], bool] = lambda: False
) -> bool:
    """Ask every 50 ms until it is so, the time is over or somebody gives up; says whether it is so."""
    deadline = time.monotonic() + seconds
    while not is_given_up():
        if is_ready():
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return False
