"""`manage.py rotate_hub_key`: give the hub its next signing key."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from hub.ledger.record import record
from hub.vault import hub_keys
from hub.vault.envelope import VaultError


class Command(BaseCommand):
    """Published at once, signing a minute later; the old key stays in the JWKS for 30 days."""

    help = "Make the hub's next signing key. Published at once, it signs a minute later."

    def handle(self, *_args: object, **_options: object) -> None:
        """Make it, then record it: a key that nobody recorded has not signed anything yet."""
        try:
            kid = hub_keys.rotate()
        except VaultError as error:
            raise CommandError(str(error)) from error
        with transaction.atomic():
            record("hub-key.rotated", actor="system:operator", at=timezone.now(), facts={"kid": kid})
        self.stdout.write(f"The hub's next key is {kid}; it signs in a minute.")
