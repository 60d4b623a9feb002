"""Write docs/problems.md from the docstrings of the refusals."""

from __future__ import annotations

from django.conf import settings
from django.core.management.base import BaseCommand
from django.urls import get_resolver

from hub import docs


class Command(BaseCommand):
    """`manage.py write_problems`: run it after adding or rewording a refusal."""

    help = "Write docs/problems.md anew."

    def handle(self, *_args: object, **_options: object) -> None:
        """Load every door, and with them every refusal, then write."""
        assert get_resolver().url_patterns
        (settings.BASE_DIR / "docs" / "problems.md").write_text(docs.problems_as_markdown(), encoding="utf-8")
