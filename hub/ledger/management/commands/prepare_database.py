"""`manage.py prepare_database`: run the migrations as the tables' owner and give each role its rights."""

from __future__ import annotations

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connections

from hub.ledger import grants

_LOCK = 0x68656C696F02  # several containers may start at once: one migrates, the others wait for it


class Command(BaseCommand):
    """Safe to run at every start: what is done already is left alone."""

    help = "Run the migrations as the tables' owner and give each database role exactly its rights."

    def handle(self, *_args: object, **options: object) -> None:
        """Migrate, then grant."""
        with connections["owner"].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        try:
            call_command("migrate", database="owner", interactive=False, verbosity=options["verbosity"])
            grants.apply()
        finally:
            connections["owner"].close()  # which lets the lock go
