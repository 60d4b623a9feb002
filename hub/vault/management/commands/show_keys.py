"""`manage.py show_keys`: which keys exist, of what age and under which key-encryption key; never a secret."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from hub.vault.condition import overview, troubles
from hub.vault.envelope import VaultError
from hub.vault.keyring import keyring

_LINE = "{:<8} {:<30} {:<24} {:>6}  {}"


class Command(BaseCommand):
    """Read-only; needs no database."""

    help = "List the vault's keys: use, scope, period or number, age in days, and what wraps them."
    requires_system_checks = []

    def handle(self, *_args: object, **_options: object) -> None:
        """One line a key, then what is wrong."""
        now = timezone.now()
        try:
            rows = overview(keyring().store)
        except VaultError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_LINE.format("USE", "SCOPE", "NAME", "DAYS", "STATE"))
        for row in rows:
            state = f"destroyed {row.destroyed_at:%Y-%m-%d}" if row.destroyed_at else f"wrapped under {row.kek}"
            self.stdout.write(_LINE.format(row.use, row.scope, row.name, (now - row.made_at).days, state))
        for sentence in troubles():
            self.stderr.write(sentence)
