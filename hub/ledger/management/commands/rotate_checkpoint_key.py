"""`manage.py rotate_checkpoint_key`: give the ledger its next signing key."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from hub.ledger import checkpoints
from hub.ledger.record import record
from hub.vault import checkpoint_keys
from hub.vault.envelope import VaultError


class Command(BaseCommand):
    """Published at once; for two days checkpoints bear the signatures of both keys."""

    help = "Make the ledger's next signing key. Witnesses and verifiers learn of it while the old one still signs too."

    def handle(self, *_args: object, **_options: object) -> None:
        """Make it, then record it: a key that nobody recorded has not signed anything yet."""
        try:
            checkpoint_keys.rotate()
        except VaultError as error:
            raise CommandError(str(error)) from error
        newest, *_ = checkpoints.vkeys()
        with transaction.atomic():
            record("ledger.key-rotated", actor="system:operator", at=timezone.now(), facts={"vkey": newest})
        self.stdout.write(f"The ledger's next key is {newest}")
        self.stdout.write("It signs in a minute, for two days beside the old one. Tell witnesses and verifiers.")
