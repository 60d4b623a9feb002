"""`manage.py add_partner acme-social "Acme Social"`: enrol a company, on probation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from partners.lifecycle.add_partner import add_partner
from partners.management.door import PartnersCommand, Who


class Command(PartnersCommand):
    """Enrol a company."""

    help = "Enrol a company, on probation: its signals wait for a person until probation ends in the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        """Slug and name."""
        parser.add_argument("slug", help="how statements name it, for ever: a-z, 0-9, hyphens (acme-social)")
        parser.add_argument("name", help='how people name it ("Acme Social")')

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """Enrol it."""
        partner = add_partner(options["slug"], options["name"], **who)
        return (
            f"Enrolled {partner.slug} ({partner.name}), on probation. "
            f"Next: add_member {partner.slug} PROGRAMME, activate_key {partner.slug} FILE, "
            f"issue_api_key {partner.slug}."
        )
