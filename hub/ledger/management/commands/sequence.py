"""`manage.py sequence`: the process that turns outbox rows into leaves."""

from __future__ import annotations

import signal
import threading

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.ledger import sequence


class Command(BaseCommand):
    """Start as many as you like: one works, the others wait to take over."""

    help = "Turn outbox rows into leaves of the ledger, until told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to stop when the outbox is empty."""
        parser.add_argument("--once", action="store_true", help="make leaves of what waits now, then stop")

    def handle(self, *_args: object, **options: object) -> None:
        """Run until SIGTERM or SIGINT; the batch at hand is finished."""
        if options["once"]:
            try:
                made = sequence.drain()
            except sequence.BehindTheMirror as error:
                raise CommandError(str(error)) from error
            self.stdout.write(f"Made {made} leaves.")
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        sequence.run(stop)
