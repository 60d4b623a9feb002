"""Clocks that jump: Debian's libfaketime under each process of the hub, which reads its offset from a file.

The time of day jumps, the monotonic clock does not, as when a machine's time is set. PostgreSQL's and Valkey's stay
true: leases and waits go by the database's. Where libfaketime is not installed these faults are left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hub.embedded.supervisor import Program
from hub.running import PARTS, RunningHub

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
JUMP_SECONDS = 3600

# Debian 12's libfaketime 0.9.10 answers EINVAL to the call behind Python's `sleep` when it is to leave the monotonic
# clock alone; `select` sleeps as well.
_SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


class Clocks:
    """The offset of each program's clock, in seconds; a change is seen within a second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._patches = folder / "patches"
        self._patches.mkdir()
        (self._patches / "sitecustomize.py").write_text(_SLEEP)
        self.set(PARTS, 0)

    def set(self, programs: Iterable[str], seconds: int) -> None:
        """Put these programs' clocks so far from the time that it is."""
        for program in programs:
            written = self._folder / f"clock-{program}.new"
            written.write_text(f"{seconds:+d}\n")
            written.replace(self._file(program))  # never seen half written

    def environment(self, program: str) -> dict[str, str]:
        """What makes a program's processes go by its clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file(program)),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(self._patches), os.environ.get("PYTHONPATH")))),
        }

    def _file(self, program: str) -> Path:
        return self._folder / f"clock-{program}"


class HubWithClocks(RunningHub):
    """A hub each of whose parts has a clock that can be set."""

    clocks: Clocks | None = None

    def _program(self, part: str) -> Program:
        program = super()._program(part)
        if self.clocks is None:
            return program
        return replace(program, environment=dict(program.environment or os.environ) | self.clocks.environment(part))
