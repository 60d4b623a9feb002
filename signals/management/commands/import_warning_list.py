"""`manage.py import_warning_list FILE…`: take in lists of well-known harmless values in the MISP format."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.refusal import Refusal
from signals.lifecycle.import_warning_list import import_built_in, import_list


class Command(BaseCommand):
    """A list that is there already is replaced by the version in the file."""

    help = (
        "Import warning lists (MISP format, JSON): signals whose value stands on one are held for a person to look at."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The files."""
        parser.add_argument(
            "files", nargs="*", type=Path, metavar="FILE", help="a list.json; none: the built-in list only"
        )

    def handle(self, *_args: object, **options: object) -> None:
        """Import each file; one that cannot be used stops nothing, and the command then ends with an error."""
        at = timezone.now()
        import_built_in(actor="system:operator", at=at)
        unusable = 0
        files: list[Path] = options["files"]  # type: ignore[assignment]  # argparse made them
        for file in files:
            try:
                row = import_list(file.read_bytes(), actor="system:operator", at=at)
                self.stdout.write(f"{file.name}: {row.name}, {row.entry_count:,} keys")
            except (Refusal, OSError) as error:
                unusable += 1
                reason = error.detail if isinstance(error, Refusal) else error.strerror
                self.stderr.write(f"{file.name}: {reason}")
        if unusable:
            raise CommandError(f"{unusable} of {len(files)} files could not be imported.")
