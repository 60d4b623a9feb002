"""Write docs/ledger-actions.md from the registry of actions."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand

from hub.ledger import actions


class Command(BaseCommand):
    """`manage.py write_ledger_actions`: run it after adding or rewording an action."""

    help = "Write docs/ledger-actions.md anew."

    def handle(self, *_args: object, **_options: object) -> None:
        """Write the page."""
        page = settings.BASE_DIR / "docs" / "ledger-actions.md"
        page.write_text(actions.as_markdown(), encoding="utf-8")
