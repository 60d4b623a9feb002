"""`manage.py destroy_period SCOPE PERIOD --yes`: shred a month or a hold by hand."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from hub.ledger.record import record
from hub.vault.envelope import VaultError
from hub.vault.keyring import destroy_period, list_periods, month_of


class Command(BaseCommand):
    """Cannot be undone, so it asks."""

    help = "Destroy the key of a scope's month or hold: what it sealed is gone, in every backup of the database too."

    def add_arguments(self, parser: CommandParser) -> None:
        """The words that `show_keys` prints."""
        parser.add_argument("scope", help='"hub" or "programme:<slug>"')
        parser.add_argument("period", help='"2026-11", "hold" or "hold-<word>"')
        parser.add_argument("--yes", action="store_true", help="really do it")

    def handle(self, *_args: object, **options: object) -> None:
        """Record, then destroy: what is recorded and not done is done by the next run."""
        scope, period = str(options["scope"]), str(options["period"])
        now = timezone.now()
        try:
            if period not in list_periods(scope):
                raise CommandError(f"{scope} has no key for {period}: it never had one, or it is destroyed already.")
            if not options["yes"]:
                early = (
                    "That month is not over: signals that still live would be lost. " if period >= month_of(now) else ""
                )
                raise CommandError(
                    f"This makes all that {scope} sealed for {period} unreadable for ever. {early}Add --yes to do it."
                )
            with transaction.atomic():
                facts = {"scope": scope, "period": period}
                record("vault.period-destroyed", actor="system:operator", at=now, facts=facts)
            destroy_period(scope, period)
        except (ValueError, VaultError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Destroyed {period} of {scope}. Every process has forgotten it within 30 seconds.")
