"""`manage.py demo`: a whole hub and three invented companies, from the first key to the last tombstone."""

from __future__ import annotations

import logging
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from heliograph_client.hub import HubProblem

from hub import embedded
from hub.demo import examples, home
from hub.demo.expectations import Expectations
from hub.demo.scenes import Play
from hub.demo.screen import Screen
from hub.embedded import CannotStart
from hub.embedded.postgres import Postgres
from hub.embedded.supervisor import Line
from hub.embedded.valkey import Valkey
from hub.running import HomeLock, RunningHub
from signals.core.indicators import INDICATOR_TYPES

_LAST_WORDS = 20


class Command(BaseCommand):
    """Starts a hub in a home of its own, plays the scenes, and says whether all was as it must be."""

    help = (
        "Start a whole hub in a home of its own (var/demo, emptied at each run) and watch signals travel, signed, "
        "verified and recorded, from one invented company to another by webhook and by pull; then keep it running "
        "until Ctrl-C."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """What is sent, and what happens afterwards."""
        parser.add_argument("--input", type=Path, metavar="FILE",
                            help="send this file's lines, one value each, not the built-in examples")  # fmt: skip
        parser.add_argument("--type", choices=sorted(INDICATOR_TYPES), metavar="TYPE",
                            help=f"what those values are: {', '.join(sorted(INDICATOR_TYPES))}")  # fmt: skip
        parser.add_argument("--service", metavar="DOMAIN",
                            help=f"whose usernames or account_ids they are (default: {examples.SERVICE})")  # fmt: skip
        parser.add_argument("--exit", action="store_true",
                            help="stop at the end: exit code 0 if every expectation held, else 1")  # fmt: skip
        parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free one)")

    def handle(self, *_args: object, **options: Any) -> None:
        """Play, then wait for Ctrl-C unless told to exit."""
        if not home.is_ours(settings.HOME):
            raise CommandError("The demo wants a home of its own: run it as `manage.py demo`.")
        chosen = _examples(options)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell may have switched it off
            signal.signal(number, _interrupt)
        logging.getLogger("heliograph_client").setLevel(logging.WARNING)  # each webhook has its place in a bar
        screen = Screen()
        expectations = Expectations(on_each=screen.judge)
        try:
            _empty_home()
        except CannotStart as error:
            raise CommandError(str(error)) from None
        is_interrupted = self._run(chosen, options, screen, expectations)
        if expectations.broken:
            raise CommandError("Not as it must be: " + "; ".join(expectations.broken) + f".\nLog: {_log_file()}")
        if is_interrupted:
            raise SystemExit(130)

    def _run(
        self,
        chosen: list[examples.Example],
        options: dict[str, Any],
        screen: Screen,
        expectations: Expectations,
    ) -> bool:
        """Start, play, stop; says whether it was interrupted before the end."""
        has_ended = False
        last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        began = time.monotonic()
        screen.scene(f"A hub of its own under {settings.HOME}")
        with _log_file().open("a", encoding="utf-8", buffering=1) as log:

            def keep(line: Line) -> None:
                last_words.append(f"{line.program}: {line.text}")
                log.write(f"{line.program}: {line.text}\n")

            hub = RunningHub(on_line=keep, port=options["port"])
            play = Play(hub.url, settings.HOME / "companies", screen, expectations)
            try:
                hub.start()
                play.url = hub.url
                screen.say(f"runs on {hub.url} after {time.monotonic() - began:.1f} s; its log is {_log_file()}")
                rows = play.play(chosen)
                screen.scene("In short")
                screen.table(rows)
                has_ended = True
                if not options["exit"]:
                    self._stay(hub, screen)
            except KeyboardInterrupt:
                screen.say("stopping …")
            except HubProblem as problem:
                has_ended = True
                expectations.expect(False, "the hub answers what it is asked", found=problem)
            except CannotStart as error:
                raise CommandError("\n".join([str(error), *last_words])) from None
            finally:
                _stop(hub, play)
        return not has_ended

    def _stay(self, hub: RunningHub, screen: Screen) -> None:
        name, password = hub.first_account or ("admin", "(made by an earlier start)")
        screen.scene(f"The hub keeps running: {hub.url}/admin/ · API: {hub.url}/api/docs")
        screen.say(f"account {name}, one-time password (shown only now): {password}")
        screen.say("Ctrl-C stops it.")
        while True:
            signal.pause()


def _examples(options: dict[str, Any]) -> list[examples.Example]:
    file, kind = options["input"], options["type"]
    if (file is None) != (kind is None):
        raise CommandError("--input and --type go together: a file of values, and what they are.")
    if file is None:
        return examples.built_in()
    try:
        chosen = examples.from_file(file, kind, service=options["service"])
    except OSError as error:
        raise CommandError(f"Cannot read {file}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is no text in UTF-8.") from None
    if not chosen:
        raise CommandError(f"{file} holds no value.")
    return chosen


def _empty_home() -> None:
    lock = HomeLock(settings.HOME)
    lock.take()
    try:
        Postgres(settings.HOME).end_orphan()
        Valkey(settings.HOME).end_orphan()
        home.clear(settings.HOME, embedded.place(settings.HOME), embedded.run_folder(settings.HOME))
        _log_file().parent.mkdir(exist_ok=True)
    finally:
        lock.release()


def _log_file() -> Path:
    return settings.HOME / "logs" / "hub.log"


def _stop(hub: RunningHub, play: Play) -> None:
    """Stop everything; a further Ctrl-C ends the grace."""
    presses: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: presses.append(number))
    if play.receiving is not None:
        play.receiving.close()
    connections.close_all()
    if isinstance(connections["default"], DatabaseWrapper):
        connections["default"].close_pool()
    hub.stop(hurry=lambda: bool(presses))


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt
