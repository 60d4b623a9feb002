"""`manage.py sequence`: the process that turns outbox rows into leaves, and signs checkpoints of them."""

from __future__ import annotations

import gc
import signal
import threading

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.ledger import cosigning, sequence, signer
from hub.ledger.tile_store import StoreAway


class Command(BaseCommand):
    """Start as many as you like: one works, the others wait to take over."""

    help = "Turn outbox rows into leaves of the ledger and sign checkpoints of it, until told to stop."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whether to stop when the outbox is empty."""
        parser.add_argument("--once", action="store_true", help="make leaves of what waits now, sign, then stop")

    def handle(self, *_args: object, **options: object) -> None:
        """Run until SIGTERM or SIGINT; the batch at hand is finished."""
        if options["once"]:
            try:
                made = sequence.drain()
                with signer.Signer(sequence.connect) as once:
                    signed = once.step(at=timezone.now())
            except (sequence.BehindTheMirror, signer.MustNotSign, StoreAway) as error:
                raise CommandError(str(error)) from error
            of = f"signed a checkpoint of {signed.size}" if signed else "signed nothing"
            self.stdout.write(f"Made {made} leaves, {of}.")
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        gc.freeze()  # what is loaded by now stays: a batch of leaves would have it all looked through again and again
        # Threads of their own: a store that is slow or away must not hold up the leaves, nor a witness the checkpoints.
        beside = [
            threading.Thread(target=work, args=(stop,), kwargs={"connect": sequence.connect}, name=name)
            for name, work in (("signer", signer.run), ("cosigning", cosigning.run))
        ]
        for thread in beside:
            thread.start()
        sequence.run(stop)
        for thread in beside:
            thread.join()
