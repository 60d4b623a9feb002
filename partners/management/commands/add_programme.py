"""`manage.py add_programme csea --preset csea`: found a sharing agreement with sensible settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from partners.core.programmes import PRESETS
from partners.lifecycle.add_programme import add_programme
from partners.management.door import PartnersCommand, Who


class Command(PartnersCommand):
    """Found a programme."""

    help = "Found a programme from a preset: its violations, indicator types and retention. Change them in the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        """Slug, name, preset."""
        parser.add_argument("slug", help="how statements name it, for ever: a-z, 0-9, hyphens (csea)")
        parser.add_argument("--name", default="", help="how people name it (default: the slug in capitals)")
        parser.add_argument(
            "--preset",
            choices=sorted(PRESETS),
            required=True,
            help="csea: child sexual exploitation and abuse, all types; ncii: intimate images without consent, hashes",
        )

    def act(self, who: Who, options: Mapping[str, Any]) -> str:
        """Found it."""
        name = options["name"] or options["slug"].upper()
        programme = add_programme(options["slug"], name, PRESETS[options["preset"]], **who)
        return (
            f"Founded {programme.slug} ({programme.name}): {len(programme.violations)} violations, "
            f"{len(programme.indicator_types)} indicator types. Next: add_member PARTNER {programme.slug}."
        )
