"""`manage.py part_with_leaves`: retention of the ledger, by whole partitions, with a dry run unless told `--yes`."""

from __future__ import annotations

from datetime import UTC, datetime

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from django.utils import timezone

from hub.ledger import checkpoints, retention
from hub.ledger.tile_store import StoreAway


class Command(BaseCommand):
    """As the tables' owner: it needs the owner's login."""

    help = "Part with the oldest partitions of leaves: detached, never deleted, once their files are checked."

    def add_arguments(self, parser: CommandParser) -> None:
        """What goes, and why."""
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--before", type=_day, metavar="DATE", help="partitions whose events all happened before it")
        what.add_argument("--below", type=int, metavar="INDEX", help="partitions that lie wholly below this leaf")
        parser.add_argument("--reason", default="retention", help="goes into the ledger")
        parser.add_argument("--yes", action="store_true", help="really do it")

    def handle(self, *_args: object, **options: object) -> None:
        """Say what would go; with --yes check every leaf of it in the tile store, then let go."""
        below, before = options["below"], options["before"]
        assert below is None or isinstance(below, int)
        assert before is None or isinstance(before, datetime)
        going = retention.what_would_go(below=below, before=before)
        for each in going:
            newest = f"the newest of {each.newest:%Y-%m-%d}" if each.newest else "no event"
            size = f"{each.bytes / 2**20:,.0f} MiB"
            self.stdout.write(f"{each.table}: leaves {each.start} to {each.end - 1}, {newest}, {size}")
        if not going:
            self.stdout.write("No whole partition is that old and under a checkpoint; nothing to part with.")
            return
        if not options["yes"]:
            raise CommandError(f"The minimum index would rise to {going[-1].end}. Run this again with --yes.")
        signed = checkpoints.latest()
        assert signed is not None  # what goes is under it
        try:
            for each in going:
                retention.check(each, size=signed.size)
            minimum = retention.part_with(
                going, reason=str(options["reason"]), actor="system:operator", at=timezone.now()
            )
        except (retention.CannotPart, StoreAway) as error:
            raise CommandError(f"{error} Nothing was done.") from error
        except OperationalError as error:
            raise CommandError("The leaves are in use: run this again in a moment.") from error
        self.stdout.write(f"The minimum index is {minimum}. Detached: {', '.join(each.table for each in going)}.")
        self.stdout.write("The tables stay, closed to everybody, until their owner dumps and drops them.")


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
