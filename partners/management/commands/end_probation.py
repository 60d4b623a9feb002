"""`manage.py end_probation acme-social`: its signals no longer wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from partners.lifecycle.probation import end_probation
from partners.management.door import PartnersCommand, Who


class Command(PartnersCommand):
    """Trust a company."""

    help = "End a company's probation: its signals no longer wait for a person before they are published."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose."""
        parser.add_argument("slug", help="the partner's slug")

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """End it."""
        return f"{end_probation(options['slug'], **who).slug} is no longer on probation."
