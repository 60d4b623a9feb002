"""`manage.py up`: run the whole hub on this machine until Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub import terminal
from hub.embedded import CannotStart
from hub.embedded.supervisor import Line
from hub.running import PARTS, RunningHub

_LEVELS = {"printed": "info", "started": "info", "stopped": "info", "died": "warning", "killed": "warning"}

_ONE_KEYPRESS = 1.0  # seconds: a terminal, `uv run` and `timeout` may each pass on the same Ctrl-C


class Command(BaseCommand):
    """Starts what is missing, shows what happens, and leaves no process behind."""

    help = "Run the whole hub on this machine: engines (unless their URLs are set), web, workers, timetable, sequencer."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """What to run, and where it listens."""
        parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="NAME",
                            help=f"run these parts only: {', '.join(PARTS)}")  # fmt: skip
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
        parser.add_argument("--port", type=int, default=8000, help="the port to listen on; 0 takes a free one")
        parser.add_argument("--workers", type=int, default=1, help="how many web processes (default 1)")

    def handle(self, *_args: object, **options: Any) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP; a second one does not wait for the work in hand."""
        asked = _Asked()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, asked.hear)
        show = Show()
        hub = RunningHub(
            on_line=show.line,
            host=options["host"],
            port=options["port"],
            web_processes=options["workers"],
            only=tuple(options["only"]),
        )
        asked.tell(hub)
        try:
            hub.start()
            self._greet(show, hub)
            asked.is_asked.wait()
        except CannotStart as error:
            if not asked.is_asked.is_set():
                raise CommandError(str(error)) from None
        finally:
            if hub.pids():
                show.say("hub.stopping")
            hub.stop(hurry=asked.is_in_a_hurry)

    def _greet(self, show: Show, hub: RunningHub) -> None:
        show.say("hub.running")
        if not show.is_terminal and hub.first_account is None:
            return
        self.stdout.write(f"\n  Heliograph runs on {hub.url} (admin: {hub.url}/admin/). Ctrl-C stops it.")
        if hub.first_account is not None:
            name, password = hub.first_account
            self.stdout.write(f"  First admin account: {name}, one-time password (shown only now): {password}")
        self.stdout.write("")
        self.stdout.flush()


class _Asked:
    """What the person at the keyboard wants: first to stop, then to stop at once."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self._first_at: float | None = None
        self._is_in_a_hurry = False
        self._hub: RunningHub | None = None

    def tell(self, hub: RunningHub) -> None:
        self._hub = hub

    def hear(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
        elif now - self._first_at > _ONE_KEYPRESS:
            self._is_in_a_hurry = True
        if self._hub is not None:
            self._hub.give_up()
        self.is_asked.set()

    def is_in_a_hurry(self) -> bool:
        return self._is_in_a_hurry


class Show:
    """Shows lines: columns at a terminal, JSON lines elsewhere; goes quiet when nobody reads any more."""

    def __init__(self) -> None:
        self.is_terminal = settings.LOG_FORMAT == "text" or (settings.LOG_FORMAT == "auto" and sys.stdout.isatty())
        self._lock = threading.Lock()
        self._is_heard = True

    def line(self, line: Line) -> None:
        """One line of a program, or what happened to one."""
        if line.kind == "printed":
            self._write(terminal.read_line(line.program, line.text))
            return
        event = line.text if self.is_terminal else f"program.{line.kind}"
        self._write({**_now(_LEVELS[line.kind]), "event": event, "program": line.program, **line.facts})

    def say(self, event: str) -> None:
        """One line about the hub itself."""
        self._write({**_now("info"), "event": event, "program": "hub"})

    def _write(self, event: dict[str, Any]) -> None:
        if self.is_terminal:
            text = terminal.sentence(event, has_colour=sys.stdout.isatty())
        else:
            text = json.dumps(event, default=str)
        with self._lock:
            try:
                if self._is_heard:
                    print(text, flush=True)
            except (BrokenPipeError, ValueError):
                self._is_heard = False


def _now(level: str) -> dict[str, Any]:
    return {"time": datetime.now(UTC).isoformat(), "level": level}
