"""`manage.py revoke_key KID`: a key is compromised; done by one person, for when no second one can be reached."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.refusal import Refusal
from partners import public
from signals.lifecycle.quarantine import revoke_compromised_key


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_moment.__name__ = "moment (2026-01-31T12:00)"  # argparse puts it in its complaint


class Command(BaseCommand):
    """Declare a signing key compromised."""

    help = (
        "Revoke a signing key as compromised, with every key it endorsed since, and hide what was received under them. "
        "In the admin this takes two people; here it takes one, and the ledger says that it was the console."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key, and since when."""
        parser.add_argument("kid", help="the key's thumbprint")
        parser.add_argument("--since", type=_moment, metavar="MOMENT", help="UTC; none: nobody knows, so all its time")

    def handle(self, *_args: object, **options: Any) -> str:
        """One call of the verb."""
        key = public.signing_keys([options["kid"]]).get(options["kid"])
        if key is None:
            raise CommandError("No key with this kid is registered.")
        try:
            fallen = revoke_compromised_key(
                key.kid,
                partner_id=key.partner_id,
                compromised_at=options["since"],
                actor="system:console",
                at=timezone.now(),
            )
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        return f"{len(fallen.keys)} fallen: {', '.join(each.kid for each in fallen.keys)}"
