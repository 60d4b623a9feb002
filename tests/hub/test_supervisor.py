"""The supervisor restarts, stops in order, and leaves nothing behind, not even when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hub.embedded.supervisor import Line, Program, Supervisor, wait_until

SHELL = "/bin/sh"
HOLD = """
import time
from hub.embedded.supervisor import Program, Supervisor
supervisor = Supervisor(lambda line: print(line.text, flush=True) if line.kind == "printed" else None)
supervisor.start(Program("family", ("/bin/sh", "-c", "trap '' TERM; sh -c 'echo $$; sleep 60' & echo $$; wait; wait")))
time.sleep(60)
"""


def shell(name: str, script: str, *, grace_seconds: float = 10.0) -> Program:
    return Program(name, (SHELL, "-c", script), grace_seconds=grace_seconds)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_ends_is_started_again_after_a_pause_that_doubles() -> None:
    lines: list[Line] = []
    with Supervisor(lines.append) as supervisor:
        supervisor.start(shell("faint", "echo hello; exit 3"))
        assert wait_until(lambda: sum(line.kind == "died" for line in lines) >= 3, seconds=10)
    deaths = [line.text for line in lines if line.kind == "died"]
    assert "exit code 3" in deaths[0]
    assert [text.split("again in ")[1] for text in deaths[:3]] == ["0.25 s", "0.5 s", "1 s"]
    assert [line.text for line in lines if line.kind == "printed"][:2] == ["hello", "hello"]


def test_steps_stop_in_the_reverse_order() -> None:
    lines: list[Line] = []
    with Supervisor(lines.append) as supervisor:
        supervisor.start(shell("engine", "trap 'echo ended; exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
        supervisor.start(
            shell("worker", "trap 'sleep 0.3; echo ended; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        )
        assert wait_until(lambda: sum(line.text == "ready" for line in lines) == 2, seconds=10)
    assert [line.program for line in lines if line.text == "ended"] == ["worker", "engine"]


def test_who_does_not_stop_is_killed_with_its_children() -> None:
    lines: list[Line] = []
    with Supervisor(lines.append) as supervisor:
        supervisor.start(
            shell("deaf", "trap '' TERM; sh -c 'echo $$; sleep 60' & echo $$; wait; wait", grace_seconds=0.3)
        )
        assert wait_until(lambda: sum(line.kind == "printed" for line in lines) == 2, seconds=10)
    pids = [int(line.text) for line in lines if line.kind == "printed"]
    assert any(line.kind == "killed" for line in lines)
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids), seconds=5)


def test_children_of_a_killed_program_go_before_it_is_started_again() -> None:
    lines: list[Line] = []
    with Supervisor(lines.append) as supervisor:
        supervisor.start(shell("parent", "sh -c 'echo $$; sleep 60' & wait"))
        assert wait_until(lambda: any(line.kind == "printed" for line in lines), seconds=10)
        child = int(next(line.text for line in lines if line.kind == "printed"))
        parent = supervisor.pids()["parent"]
        assert parent is not None
        os.kill(parent, signal.SIGKILL)
        assert wait_until(lambda: not is_alive(child), seconds=5)
        assert wait_until(lambda: supervisor.pids()["parent"] not in {None, parent}, seconds=5)
    assert any("killed by SIGKILL" in line.text for line in lines)


def test_a_program_that_cannot_start_is_said_so_and_tried_again() -> None:
    lines: list[Line] = []

    def refuse() -> None:
        raise RuntimeError("the disk is full")

    with Supervisor(lines.append) as supervisor:
        supervisor.start(Program("refused", (SHELL, "-c", "true"), before_start=refuse))
        assert wait_until(lambda: any("the disk is full" in line.text for line in lines), seconds=5)


@pytest.mark.races
def test_killing_the_supervisor_leaves_nothing_running_however_deaf() -> None:
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        pids = [int(holder.stdout.readline()), int(holder.stdout.readline())]
        assert all(is_alive(pid) for pid in pids)
        holder.kill()
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids), seconds=15)
