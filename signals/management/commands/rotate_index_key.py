"""`manage.py rotate_index_key PROGRAMME`: a new blind-index key, every index computed anew, the old key destroyed."""

from __future__ import annotations

import time
from datetime import datetime

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from hub.vault import keyring
from partners import public
from signals.lifecycle.reindex import reindex_chunk, rows_under


class Command(BaseCommand):
    """May be killed at any moment and run again; a rotation that is under way is continued."""

    help = "Replace a programme's blind-index key: begins, re-computes all rows in chunks, retires the old key."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which programme."""
        parser.add_argument("programme", help="its slug")

    def handle(self, *_args: object, **options: object) -> None:
        """Wait until all write with the new key, re-compute, wait until none may write with the old, retire it."""
        slug = str(options["programme"])
        if public.programme(slug) is None:
            raise CommandError(f"There is no programme {slug}.")
        scope = f"programme:{slug}"
        rotation = keyring.begin_index_rotation(scope)
        total = rows_under(rotation.old)
        self.stdout.write(f"{rotation.key_id} replaces {', '.join(rotation.old)}: {total} signals to re-compute.")
        self._wait_until(rotation.written_from, "until every process writes with the new key")
        done = 0
        while count := reindex_chunk(scope, old=rotation.old):
            done += count
            self.stdout.write(f"{done} re-computed, {rows_under(rotation.old)} left")
        self._wait_until(rotation.may_retire_from, "until no process can still write with the old key")
        while reindex_chunk(scope, old=rotation.old):
            pass
        for key_id in rotation.old:
            keyring.retire_index_key(scope, key_id)
        self.stdout.write("The old key is destroyed; every look-up asks the new one.")

    def _wait_until(self, moment: datetime, why: str) -> None:
        left = (moment - timezone.now()).total_seconds()
        if left > 0:
            self.stdout.write(f"Waiting {left:.0f} seconds {why}.")
            time.sleep(left)
