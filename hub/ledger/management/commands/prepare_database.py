"""`manage.py prepare_database`: run the migrations as the tables' owner and give each role its rights."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from hub.ledger import grants


class Command(BaseCommand):
    """Safe to run at every start: what is done already is left alone."""

    help = "Run the migrations as the tables' owner and give each database role exactly its rights."

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate, then grant."""
        call_command("migrate", database="owner", interactive=False, verbosity=options["verbosity"])
        grants.apply()
