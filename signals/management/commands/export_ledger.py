"""`manage.py export_ledger`: make an export of the ledger here and now, and put its bundle into a file."""

from __future__ import annotations

import shutil
import time
from argparse import RawDescriptionHelpFormatter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import Progress

from hub.ledger.actions import ACTIONS
from hub.ledger.export.own_log import own_log
from hub.ledger.export.query import Kind, Query
from hub.ledger.leaf import timestamp
from hub.refusal import Refusal
from signals.lifecycle import exports
from signals.models import Export, ExportState

_ACTOR = "system:operator"
_EXAMPLES = """
examples:
  manage.py export_ledger --output october.zip --since 2026-10-01 --until 2026-11-01 --reason "monthly evidence"
      every leaf of October: whoever verifies it knows that none is missing
  manage.py export_ledger --output acme.zip --filtered --partner acme-social --reason "asked for by acme"
      all about one partner; its running numbers show that none is missing between the first and the last
  manage.py export_ledger --output keys.zip --partner acme-social --action key.revoked --reason "incident 12"
      every leaf up to now, of which the report and the tables show only these

Times are UTC and mean when a leaf was sequenced. The export is in the ledger before the file is handed out. Values are
never opened from here: that takes two people, in the admin. Check the file with `heliograph verify-export FILE`, or
unpack it and run `python3 verify.py` in it. The exit status is 1 when no bundle was made.
"""


class Command(BaseCommand):
    """The same export as in the admin, made by this process instead of a worker."""

    help = "Export a part of the ledger as one zip that proves itself: leaves, proofs, checkpoints, tables, a report."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """As Django's, with the examples below the options."""
        return super().create_parser(
            prog_name, subcommand, epilog=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        """Filters, all of which a leaf must meet."""
        parser.add_argument(
            "--output", type=Path, required=True, metavar="FILE", help="the zip to write; must not exist"
        )
        parser.add_argument("--reason", required=True, help="why, and for whom: it stands in the bundle")
        parser.add_argument(
            "--filtered",
            action="store_true",
            help="only the leaves that are asked for (default: every leaf of the span)",
        )
        parser.add_argument("--since", metavar="TIME", help="from this time on: 2026-11-03 or 2026-11-03T12:00:00Z")
        parser.add_argument("--until", metavar="TIME", help="before this time")
        parser.add_argument("--partner", metavar="SLUG", help="leaves about this partner, or of what it did")
        parser.add_argument("--programme", metavar="SLUG", help="leaves about this programme")
        parser.add_argument("--signal", metavar="UUID", help="leaves about this signal")
        parser.add_argument("--actor", metavar="ACTOR", help="partner:<slug>, staff:<number> or system:<name>")
        parser.add_argument(
            "--action", action="append", default=[], choices=sorted(ACTIONS), metavar="ACTION", help="may be repeated"
        )

    def handle(self, *_args: object, **options: Any) -> None:
        """Ask, make, copy."""
        output: Path = options["output"]
        if output.exists():
            raise CommandError(f"{output} exists already.")
        try:
            query = _query(options)
            export = exports.ask(query, reason=options["reason"], actor=_ACTOR, at=timezone.now())
            self._make(export)
            handed = exports.download(export.id, actor=_ACTOR, at=timezone.now())
        except Refusal as refusal:
            raise CommandError(refusal.detail) from None
        shutil.copyfile(handed.path, output)
        output.chmod(0o600)
        export.refresh_from_db()
        self.stdout.write(
            f"{output}: {export.entries:,} leaves, {export.matching:,} as asked for, up to {export.checkpoint_size:,}\n"
            f"SHA-256 {export.sha256}\n"
        )

    def _make(self, export: Export) -> None:
        """Make what waits until this one is made, or wait while a worker does."""
        log = own_log()
        with Progress(console=Console(stderr=True), transient=True) as screen:
            bar = screen.add_task("waiting")

            def show(step: str, done: int, total: int) -> None:
                screen.update(bar, description=step, completed=done, total=max(1, total))

            while export.state == ExportState.PENDING:
                if not exports.make_next(log, clock=timezone.now, watch=show):
                    time.sleep(0.5)
                export.refresh_from_db()
                show(export.step, export.step_done, export.step_total)
        if export.state != ExportState.DONE:
            raise CommandError(export.failure or "The export failed.")


def _query(options: dict[str, Any]) -> Query:
    return Query(
        kind=Kind.FILTERED if options["filtered"] else Kind.COMPLETE,
        since=_time(options["since"]),
        until=_time(options["until"]),
        actions=tuple(sorted(set(options["action"]))),
        **{name: options[name] for name in ("partner", "programme", "signal", "actor")},
    )


def _time(said: str | None) -> str | None:
    if said is None:
        return None
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        raise CommandError(f"{said} is no time; write 2026-11-03 or 2026-11-03T12:00:00Z.") from None
    return timestamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
