"""`manage.py suspend_partner acme-social`: at once and by one person, for when no second one can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from partners.lifecycle.resume_partner import resume_partner
from partners.lifecycle.suspend_partner import suspend_partner
from partners.management.door import PartnersCommand, Who


class Command(PartnersCommand):
    """Stop a company."""

    help = (
        "Suspend a company in every programme, or let it go on. In the admin this takes two people; here it takes one, "
        "and the ledger says that it was the console."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, and which way."""
        parser.add_argument("slug", help="the partner's slug")
        parser.add_argument("--lift", action="store_true", help="let it go on")

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """One of the two verbs."""
        if options["lift"]:
            return f"{resume_partner(options['slug'], **who).slug} is active."
        return f"{suspend_partner(options['slug'], **who).slug} is suspended."
