"""`manage.py create_key_encryption_key`: the first start of a production hub, and the first half of a rotation."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from hub.vault.folder import KeyFolder
from hub.vault.providers import EnvironmentKeys, FileKeys


class Command(BaseCommand):
    """Needs no database, so that it can run before there is one."""

    help = "Prepare the key folder and make its first key-encryption key (or, with --another, the next one)."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """One flag, because a second key-encryption key is rarely what a second run means."""
        parser.add_argument(
            "--another", action="store_true", help="make a new one beside those that exist, to rotate to"
        )

    def handle(self, *_args: object, **options: object) -> None:
        """Prepare the folder; make the key unless it comes from the environment."""
        folder = KeyFolder(settings.KEYS_DIR)
        if settings.KEY_ENCRYPTION_KEY:
            newest = EnvironmentKeys(settings.KEY_ENCRYPTION_KEY).ids()[0]
            if options["another"]:
                raise CommandError(
                    "The key-encryption key comes from HELIOGRAPH_KEY_ENCRYPTION_KEY. Put a new one there "
                    "(`openssl rand -base64 32`) before the old one, separated by a comma."
                )
            folder.prepare()
            self.stdout.write(f"{folder.root} is ready; the key-encryption key {newest} comes from the environment.")
            return
        folder.prepare()
        keys = FileKeys(folder, may_create=True)
        if options["another"]:
            made = keys.create()
            self.stdout.write(f"Made {keys.place / made}.key. It wraps new keys from now on.")
            self.stdout.write("Run `manage.py rotate_key_encryption_key` to wrap the existing keys under it too.")
            return
        self.stdout.write(f"{folder.root} is ready; its key-encryption key is {keys.place / keys.ids()[0]}.key.")
        self.stdout.write("Back that file up apart from the database and apart from the rest of the key folder.")
