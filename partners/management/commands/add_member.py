"""`manage.py add_member acme-social csea`: let a partner into a programme."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from partners.lifecycle.begin_membership import Terms, begin_membership
from partners.management.door import PartnersCommand, Who


def _day(text: str) -> date:
    return date.fromisoformat(text)


_day.__name__ = "day (YYYY-MM-DD)"  # argparse puts it in its complaint


class Command(PartnersCommand):
    """Let a partner into a programme."""

    help = "Let a partner into a programme, for the first time or again."

    def add_arguments(self, parser: CommandParser) -> None:
        """Who, where, and on which terms."""
        parser.add_argument("partner", help="the partner's slug")
        parser.add_argument("programme", help="the programme's slug")
        parser.add_argument("--may-not-submit", action="store_true", help="it only receives")
        parser.add_argument("--may-not-receive", action="store_true", help="it only submits")
        parser.add_argument("--agreement-version", type=int, default=0, help="the agreement it signed (default: 0)")
        parser.add_argument("--training-valid-until", type=_day, metavar="YYYY-MM-DD", help="the last day it counts")

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """Begin the membership."""
        terms = Terms(
            may_submit=not options["may_not_submit"],
            may_receive=not options["may_not_receive"],
            agreement_version=options["agreement_version"],
            training_valid_until=options["training_valid_until"],
        )
        membership = begin_membership(options["partner"], options["programme"], terms, **who)
        return f"{options['partner']} is in {options['programme']}, generation {membership.generation}."
