"""`manage.py restored`: the database was put back from a backup; bring it up to what the mirror remembers."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.utils import timezone

from hub.ledger import mirror, rebuild
from hub.ledger.mirror import Mirror
from hub.ledger.tile_store import StoreAway
from hub.restoring import restore


class Command(BaseCommand):
    """Until this has been run, a hub whose database is behind its mirror serves nothing."""

    help = (
        "After a backup was put back: apply again the revocations, suspensions, ends, withdrawals and purges that it "
        "forgot, and begin a new epoch, so that every partner walks its feeds again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """It asks, because a new epoch makes every partner read everything anew."""
        parser.add_argument("--yes", action="store_true", help="really do it")

    def handle(self, *_args: object, **options: object) -> None:
        """Look, say what is found, do it when told to."""
        standing = mirror.standing(connection)
        self.stdout.write(standing.sentence)
        try:
            missing = rebuild.plan()
        except (rebuild.CannotRebuild, StoreAway) as error:
            raise CommandError(f"{error} Nothing was done.") from error
        if not standing.is_behind and missing is None:
            return
        waiting = sum(1 for _ in Mirror().journal(standing.size))
        self.stdout.write(f"The mirror remembers {waiting} leaves that the restored ledger of {standing.size} lacks.")
        if missing is not None:
            self.stdout.write(f"{missing.leaves} leaves that were under a checkpoint come back from the tiles.")
        if not options["yes"]:
            raise CommandError("Stop web, workers and sequencer, then run this again with --yes.")
        try:
            result = restore(size=standing.size, at=timezone.now())
        except (rebuild.CannotRebuild, StoreAway) as error:
            raise CommandError(f"{error} Nothing was done.") from error
        if result.brought_back:
            self.stdout.write(f"brought back: {result.brought_back} leaves")
        for action, count in sorted(result.applied.items()):
            self.stdout.write(f"applied again: {count} of {action}")
        for sentence in result.stopped:
            self.stdout.write(f"stopped: {sentence}")
        for sentence in result.skipped:
            self.stdout.write(f"not applied: {sentence}")
        self.stdout.write(f"Epoch {result.epoch} has begun: every channel walks again. Start the hub.")
