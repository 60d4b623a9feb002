"""`manage.py rotate_key_encryption_key`: wrap every key under the newest one; safe to kill."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from hub.ledger.record import record
from hub.vault.condition import overview
from hub.vault.envelope import VaultError
from hub.vault.key_store import KeyStore
from hub.vault.keyring import keyring
from hub.vault.providers import FileKeys

_TELL_EVERY = 100


class Command(BaseCommand):
    """Nothing that was sealed changes: only the small files that hold the data keys do."""

    help = "Wrap every key under the newest key-encryption key. Safe to kill; run it again to go on."

    def add_arguments(self, parser: CommandParser) -> None:
        """Deleting is asked for apart, since old backups of the key folder need the old key."""
        parser.add_argument("--delete-old", action="store_true", help="then delete the old key-encryption key files")

    def handle(self, *_args: object, **options: object) -> None:
        """Re-wrap, tell the progress, and say which key-encryption keys nothing needs any more."""
        try:
            self._rotate(keyring().store, delete_old=bool(options["delete_old"]))
        except VaultError as error:
            raise CommandError(str(error)) from error

    def _rotate(self, store: KeyStore, *, delete_old: bool) -> None:
        newest, *old = store.provider.ids()
        waiting = sum(1 for row in overview(store) if row.kek and row.kek != newest)
        if waiting:
            with transaction.atomic():
                record(
                    "vault.key-rotated",
                    actor="system:operator",
                    at=timezone.now(),
                    facts={"use": "key-encryption", "key": newest, "keys": waiting},
                )
        done = 0
        for name, is_changed in store.rewrap():
            done += is_changed
            if is_changed and self._is_worth_telling(done, waiting):
                self.stdout.write(f"{done} of {waiting}: {name}")
        self.stdout.write(f"Every key is wrapped under {newest}; {done} were changed now.")
        if not old:
            self.stdout.write("To rotate, first make a new one: `manage.py create_key_encryption_key --another`.")
        for kek in old:
            self._retire(store, kek, delete_old=delete_old)

    def _is_worth_telling(self, done: int, waiting: int) -> bool:
        return done % _TELL_EVERY == 0 or done == waiting

    def _retire(self, store: KeyStore, kek: str, *, delete_old: bool) -> None:
        if any(row.kek == kek for row in overview(store)):
            raise CommandError(f"A key was just made under {kek}. Run this again.")
        if not isinstance(store.provider, FileKeys):
            self.stdout.write(f"Nothing needs {kek} any more: take it out of HELIOGRAPH_KEY_ENCRYPTION_KEY.")
        elif delete_old:
            store.provider.delete(kek)
            self.stdout.write(f"Deleted {kek}. Backups of the key folder from before today cannot be used any more.")
        else:
            self.stdout.write(f"Nothing needs {kek} any more: --delete-old deletes it.")
