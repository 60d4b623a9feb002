"""`manage.py leave acme-social csea`: a partner leaves a programme; with `--hub` all of them and the hub, for good."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.refusal import Refusal
from signals.lifecycle import leave


class Command(BaseCommand):
    """End a stay."""

    help = (
        "A partner leaves a programme, or the hub for good: memberships end (and with the hub its keys), its signals "
        "are kept or withdrawn by the programme's rule, and it is asked to sign that it has erased the rest."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Who leaves what."""
        parser.add_argument("partner", help="the partner's slug")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("programme", nargs="?", help="the programme's slug")
        what.add_argument("--hub", action="store_true", help="everything, for good; its slug is never used again")

    def handle(self, *_args: object, **options: Any) -> None:
        """One call of a verb, and what the leaver is to be told where no endpoint of it answers."""
        at, actor = timezone.now(), "system:console"
        try:
            if options["hub"]:
                departures = leave.leave_hub(options["partner"], actor=actor, at=at)
            else:
                departures = [leave.leave_programme(options["partner"], options["programme"], actor=actor, at=at)]
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(f"{options['partner']} has left {'the hub' if options['hub'] else options['programme']}.")
        for each in departures:
            self.stdout.write(
                f"Its signals: {each.fate}. It signs by {each.due_at:%Y-%m-%d} under departure {each.id}."
            )
