"""`manage.py explain TYPE VALUE`: show how the hub reads a value, before anybody signs it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from signals.core import benign
from signals.core.indicators import INDICATOR_TYPES, read
from signals.core.refusals import InvalidIndicator


class Command(BaseCommand):
    """Reads one value and prints what would be stored, what was changed, and what would make a person look at it."""

    help = "Show how the hub reads a value: what it stores, what it changes, what it would hold or refuse, and why."
    requires_system_checks = []  # it needs no database and no broker

    def add_arguments(self, parser: ArgumentParser) -> None:
        """TYPE and VALUE; the rest as in a signal."""
        parser.add_argument("type", metavar="TYPE", choices=list(INDICATOR_TYPES), help=", ".join(INDICATOR_TYPES))
        parser.add_argument("value", metavar="VALUE", help="the value, or - to read it from standard input")
        parser.add_argument("--service", help="the domain a username or account_id belongs to")
        parser.add_argument("--quality", type=int, help="the quality of a pdq hash, 0 to 100")

    def handle(self, *_args: object, **options: object) -> None:
        """Print the reading, or fail with the reason."""
        value = str(options["value"])
        if value == "-":  # so that the identifier stays out of the shell's history
            value = sys.stdin.readline().rstrip("\r\n")
        service, quality = options["service"], options["quality"]
        try:
            reading = read(
                str(options["type"]),
                value,
                service=service if isinstance(service, str) else None,
                quality=quality if isinstance(quality, int) else None,
            )
        except InvalidIndicator as refusal:
            raise CommandError(f"{refusal.code}: {refusal.detail}") from None
        self._line("type", f"{reading.type} ({reading.family}: {INDICATOR_TYPES[reading.type].meaning.lower()})")
        self._line("value", reading.value)
        self._line("service", reading.service)
        for change in reading.changes:
            self._line("changed", change)
        for remark in reading.remarks:
            self._line("held", remark)
        if benign.names(benign.built_in(), reading):
            self._line("held", f"It is on the warning list “{benign.built_in().name}”.")
        self._line("in lists", reading.masked)

    def _line(self, label: str, text: str | None) -> None:
        if text is not None:
            self.stdout.write(f"{label:<9} {text}")
